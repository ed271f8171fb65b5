"""Whether two objects mean the same: defaults, status and what servers set are no difference. Pure.

Both are brought into one form (`normalise`), and what differs then is told by path (`differences`).
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from shipkeeper.backup.defaults import fill_defaults
from shipkeeper.backup.manifest import Manifest, is_list, is_map, part, parts
from shipkeeper.backup.strip import strip

# Written by controllers about what they did.
_CONTROLLERS_WORDS = (
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.daemonset.template.generation",
    "endpoints.kubernetes.io/last-change-trigger-time",
    "cronjob.kubernetes.io/instantiate",
    "autoscaling.alpha.kubernetes.io/conditions",
    "autoscaling.alpha.kubernetes.io/current-metrics",
    "volume.kubernetes.io/storage-resizer",
    "kubernetes.io/description",
)
# autoscaling/v1 keeps what only later versions have a field for as JSON.
_JSON_ANNOTATIONS = (
    "autoscaling.alpha.kubernetes.io/metrics",
    "autoscaling.alpha.kubernetes.io/behavior",
)
_EMPTY_IS_NOTHING = ("labels", "annotations", "finalizers", "ownerReferences")
Path: TypeAlias = tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One field that differs; a side that has nothing there is UNSET in text and null in JSON."""

    path: Path
    old: Any
    new: Any

    @property
    def field(self) -> str:
        """The path as kubectl writes one: `spec.template.spec.containers[0].image`."""
        text = ""
        for step in self.path:
            if step.startswith("["):
                text += step
            elif "." in step or "/" in step:
                text += f"[{step!r}]"
            else:
                text += f".{step}" if text else step
        return text


def normalise(manifest: Manifest, group: str) -> Manifest:
    """The object without what servers and controllers set, and with every default spelled out."""
    found = _without_nulls(copy.deepcopy(strip(manifest, group)))
    metadata = found["metadata"]
    annotations = part(metadata, "annotations")
    for key in _CONTROLLERS_WORDS:
        annotations.pop(key, None)
    for key in _JSON_ANNOTATIONS:
        if key in annotations:
            annotations[key] = _same_json(annotations[key])
    for owner in parts(metadata, "ownerReferences"):
        owner.pop("uid", None)
        for flag in ("controller", "blockOwnerDeletion"):
            if not owner.get(flag):
                owner.pop(flag, None)
    for key in _EMPTY_IS_NOTHING:
        if not metadata.get(key):
            metadata.pop(key, None)
    fill_defaults(found, group)
    return found


def differences(old: Manifest, new: Manifest, group: str) -> tuple[Difference, ...]:
    """What differs in meaning between two objects of one kind, in one API version."""
    return tuple(_compare((), normalise(old, group), normalise(new, group)))


def are_equal(old: Manifest, new: Manifest, group: str) -> bool:
    """Whether two objects of one kind, in one API version, mean the same."""
    return normalise(old, group) == normalise(new, group)


def merge_patch(live: Manifest, wanted: Manifest, group: str) -> dict[str, Any]:
    """The JSON merge patch that makes a live object mean what the wanted one does.

    Fields are taken away only if their absence means something: a default stays as it is.
    """
    return _patch(normalise(live, group), normalise(wanted, group))


def _patch(live: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {key: None for key in live if key not in wanted}
    for key, value in wanted.items():
        known = live.get(key)
        if is_map(value) and is_map(known):
            if inner := _patch(known, value):
                patch[key] = inner
        elif value != known:
            patch[key] = value
    return patch


def _same_json(text: str) -> str:
    """JSON without nulls, its keys in order; what is none stays as it is."""
    try:
        return json.dumps(_without_nulls(json.loads(text)), sort_keys=True)
    except ValueError:
        return text


def _without_nulls(value: Any) -> Any:
    if is_map(value):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if is_list(value) else value


def _compare(path: Path, old: Any, new: Any) -> Iterator[Difference]:
    if is_map(old) and is_map(new):
        for key in sorted({*old, *new}):
            yield from _compare((*path, key), old.get(key), new.get(key))
    elif is_list(old) and is_list(new) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _compare((*path, f"[{index}]"), before, after)
    elif old != new:
        yield Difference(path=path, old=old, new=new)
