"""From the version an object was saved in to one that a server serves, step by step. Pure."""

import copy

import msgspec

from shipkeeper.backup.convert.admission import ADMISSION
from shipkeeper.backup.convert.apps import APPS
from shipkeeper.backup.convert.autoscaling import AUTOSCALING
from shipkeeper.backup.convert.definitions import DEFINITIONS
from shipkeeper.backup.convert.flowcontrol import FLOWCONTROL
from shipkeeper.backup.convert.networking import NETWORKING
from shipkeeper.backup.convert.others import GONE, OTHERS
from shipkeeper.backup.convert.resource import RESOURCE
from shipkeeper.backup.convert.step import Steps, UnconvertibleError, unconvertible
from shipkeeper.backup.kinds import GroupKind, Kind, Served
from shipkeeper.backup.manifest import Manifest

STEPS: Steps = {
    **OTHERS,
    **NETWORKING,
    **APPS,
    **AUTOSCALING,
    **DEFINITIONS,
    **ADMISSION,
    **FLOWCONTROL,
    **RESOURCE,
}


class Converted(msgspec.Struct, frozen=True):
    """An object in a version that is served, and the kind it is created as."""

    manifest: Manifest
    kind: Kind


def convert(manifest: Manifest, served: Served) -> Converted:
    """Keep the version if it is served, else take the steps to the first one that is.

    The object that is given stays as it is. UnconvertibleError if there is none.
    """
    found = manifest
    while True:
        kind = served.find(found["apiVersion"], found["kind"])
        if kind is not None:
            return Converted(found, kind)
        following = _next(found)
        if following is None:
            raise _not_served(manifest)
        found = following


def modern(manifest: Manifest) -> Manifest:
    """The object in the newest version that is known here, so that old and new compare."""
    found = manifest
    while True:
        try:
            following = _next(found)
        except UnconvertibleError:
            return found
        if following is None:
            return found
        found = following


def modern_kind(api_version: str, kind: str) -> GroupKind:
    """The group and kind that objects of an apiVersion are found as today."""
    while (step := STEPS.get((api_version, kind))) is not None:
        api_version = step.api_version
    return (api_version.rpartition("/")[0], kind)


def _next(manifest: Manifest) -> Manifest | None:
    step = STEPS.get((manifest["apiVersion"], manifest["kind"]))
    if step is None:
        return None
    changed = copy.deepcopy(manifest)
    changed["apiVersion"] = step.api_version
    step.change(changed)
    return changed


def _not_served(manifest: Manifest) -> UnconvertibleError:
    place = (manifest["apiVersion"], manifest["kind"])
    if place in GONE:
        return unconvertible(f"{place[0]} {place[1]} {GONE[place]}")
    return UnconvertibleError(
        f"the target serves no {place[1]} of {place[0]}, nor of a version it could be made into",
        reason="KindNotServed",
        hint="install what defines it, then restore again",
    )
