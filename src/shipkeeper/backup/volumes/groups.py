"""Volumes that are to be saved between the same hooks. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from shipkeeper.backup.volumes.hooks import Hooks
from shipkeeper.backup.volumes.record import Volume


class Group(msgspec.Struct, kw_only=True):
    """Volumes, and the hooks of the pods that use them, by the pods' keys."""

    volumes: list[Volume]
    hooks: dict[str, Hooks]


def grouped(volumes: Sequence[Volume], hooks: Mapping[str, Hooks]) -> list[Group]:
    """One group for all volumes that pods with hooks tie together, each other one for itself."""
    groups: list[Group] = []
    for volume in volumes:
        own = {pod: hooks[pod] for pod in volume.pods if pod in hooks}
        merged = Group(volumes=[volume], hooks=own)
        apart: list[Group] = []
        for group in groups:
            if group.hooks.keys() & own.keys():
                merged.volumes = [*group.volumes, *merged.volumes]
                merged.hooks = {**group.hooks, **merged.hooks}
            else:
                apart.append(group)
        groups = [*apart, merged]
    return groups
