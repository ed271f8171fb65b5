"""Writing an object's status, its finalizer and Events about it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.resources import EVENTS
from shipkeeper.kube.writer import Writer
from shipkeeper.operator.api.kind import CustomObject, Kind

FINALIZER = "shipkeeper.dev/operator"


async def write_status(
    writer: Writer, kind: Kind[Any], found: CustomObject, status: msgspec.Struct
) -> bool:
    """Bring an object's status up to date; False if it was, and nothing was written."""
    before = cast("dict[str, Any]", msgspec.json.decode(found.status))
    now = cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(status)))
    patch = difference(before, now)
    if not patch:
        return False
    body = {"metadata": {"uid": found.uid}, "status": patch}
    await writer.patch(kind.resource, found.name, body, subresource="status")
    return True


async def heed(writer: Writer, kind: Kind[Any], found: CustomObject, observed: int) -> bool:
    """Tell that a spec was seen of which nothing comes any more; False if it was told before.

    kstatus takes what has not observed its generation for under way.
    """
    seen = found.metadata.generation
    if observed == seen:
        return False
    body = {"metadata": {"uid": found.uid}, "status": {"observedGeneration": seen}}
    await writer.patch(kind.resource, found.name, body, subresource="status")
    return True


async def claim_status(
    writer: Writer, kind: Kind[Any], found: CustomObject, status: msgspec.Struct
) -> CustomObject:
    """Write a status onto the object just as it was found; ConflictError if it is another now."""
    before = cast("dict[str, Any]", msgspec.json.decode(found.status))
    now = cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(status)))
    metadata = {"uid": found.uid, "resourceVersion": found.metadata.resource_version}
    body = {"metadata": metadata, "status": difference(before, now)}
    return await writer.patch(kind.resource, found.name, body, subresource="status")


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that makes one of the other; empty if they are the same."""
    patch: dict[str, Any] = {key: None for key in before if key not in now}
    for key, value in now.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            inner = difference(cast("dict[str, Any]", old), cast("dict[str, Any]", value))
            if inner:
                patch[key] = inner
        elif key not in before or old != value:
            patch[key] = value
    return patch


async def hold(writer: Writer, kind: Kind[Any], found: CustomObject) -> None:
    """Let the object not be gone before we have let go of it."""
    if FINALIZER not in found.metadata.finalizers:
        await _set_finalizers(writer, kind, found, [*found.metadata.finalizers, FINALIZER])


async def let_go(writer: Writer, kind: Kind[Any], found: CustomObject) -> None:
    """Let the object go; ConflictError if it changed meanwhile."""
    if FINALIZER in found.metadata.finalizers:
        left = [each for each in found.metadata.finalizers if each != FINALIZER]
        await _set_finalizers(writer, kind, found, left)


def stuck(kind: Kind[Any], found: CustomObject, why: str, first: str) -> str:
    """What is said of an object that is deleted and cannot be taken back, and what helps."""
    patch = '{"metadata":{"finalizers":null}}'
    return (
        f"it was deleted, and cannot be taken back: {why}; {first}; let it go with: "
        f"kubectl patch {kind.short[0]} {found.name} --type merge -p '{patch}'"
    )


async def _set_finalizers(
    writer: Writer, kind: Kind[Any], found: CustomObject, finalizers: list[str]
) -> None:
    metadata = {
        "resourceVersion": found.metadata.resource_version,
        "finalizers": finalizers or None,
    }
    await writer.patch(kind.resource, found.name, {"metadata": metadata})


async def tell_event(
    writer: Writer,
    kind: Kind[Any],
    found: CustomObject,
    reason: str,
    message: str,
    *,
    is_warning: bool = False,
) -> None:
    """Tell of an object by an Event, at best effort: nothing waits for it or fails with it."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    manifest = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{found.name[:200]}.", "namespace": "default"},
        "involvedObject": {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "name": found.name,
            "uid": found.uid,
        },
        "reason": reason,
        "message": message[:1024],
        "type": "Warning" if is_warning else "Normal",
        "source": {"component": "shipkeeper-operator"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
    try:
        await writer.create(EVENTS, manifest, namespace="default")
    except ShipkeeperError:
        return
