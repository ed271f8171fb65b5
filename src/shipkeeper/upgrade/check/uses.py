"""Signs that an object's API version is used, read from its JSON; pure.

Of each object only its metadata is decoded, so that 100,000 of them are a matter of seconds.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from shipkeeper.model.base import KubeStruct
from shipkeeper.upgrade.catalog import Removal
from shipkeeper.upgrade.check.evidence import Seen, Use

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
Known = Mapping[tuple[str, str], Removal]


class _Fields(KubeStruct, frozen=True, kw_only=True):
    manager: str = ""
    api_version: str = ""
    time: datetime | None = None


class _Meta(KubeStruct, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""
    annotations: dict[str, str] = {}
    managed_fields: tuple[_Fields, ...] = ()


class _Object(KubeStruct, frozen=True, kw_only=True):
    metadata: _Meta


class _Applied(KubeStruct, frozen=True, kw_only=True):
    api_version: str = ""
    kind: str = ""


_OBJECT = msgspec.json.Decoder(_Object)
_APPLIED = msgspec.json.Decoder(_Applied)


def uses_of(body: bytes | memoryview, kind: str, known: Known) -> Iterator[Use]:
    """Who wrote an object of a kind in an API version that ends some day."""
    metadata = _OBJECT.decode(body).metadata
    target = target_of(kind, metadata.namespace, metadata.name)
    newest: dict[tuple[str, str], _Fields] = {}
    for each in metadata.managed_fields:
        if (each.api_version, kind) in known:
            newest[each.api_version, each.manager] = each
    for (version, manager), each in newest.items():
        yield Use(
            seen=Seen.FIELDS,
            api_version=version,
            kind=kind,
            target=target,
            who=manager,
            at=each.time,
        )
    applied = metadata.annotations.get(LAST_APPLIED)
    if applied:
        yield from _applied(applied, target, known)


def _applied(text: str, target: str, known: Known) -> Iterator[Use]:
    try:
        found = _APPLIED.decode(text)
    except msgspec.DecodeError:
        return
    # The kind, too, may have been another one: what counts is what is applied again.
    if (found.api_version, found.kind) in known:
        yield Use(
            seen=Seen.APPLIED,
            api_version=found.api_version,
            kind=found.kind,
            target=target,
            who="kubectl apply",
        )


def target_of(kind: str, namespace: str, name: str) -> str:
    """What an object is called in findings."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
