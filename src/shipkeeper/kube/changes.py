"""What happened to an object between two sights of it."""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeAlias, TypeVar

import msgspec

from shipkeeper.model.meta import KubeObject

T = TypeVar("T", bound=KubeObject)


class Added(msgspec.Struct, Generic[T], frozen=True):
    """An object that was not there before."""

    object: T


class Modified(msgspec.Struct, Generic[T], frozen=True):
    """An object that changed; `old` is how it was seen last."""

    old: T
    object: T


class Deleted(msgspec.Struct, Generic[T], frozen=True):
    """An object that is gone, or that the selectors no longer match, in its last known state."""

    object: T


Change: TypeAlias = Added[T] | Modified[T] | Deleted[T]


def transition(known: T | None, seen: T) -> list[Change[T]]:
    """What seeing an object means for what was known under its name.

    Nothing if it is the same version; a deletion and an addition if another object took the name.
    """
    if known is None:
        return [Added(seen)]
    if known.uid != seen.uid:
        return [Deleted(known), Added(seen)]
    if known.metadata.resource_version == seen.metadata.resource_version:
        return []
    return [Modified(known, seen)]


def difference(known: Mapping[str, T], listed: Iterable[T]) -> list[Change[T]]:
    """What a new list means for what was known: first what is gone, then the rest as listed."""
    seen = {each.key: each for each in listed}
    gone: list[Change[T]] = [Deleted(old) for key, old in known.items() if key not in seen]
    for key, each in seen.items():
        gone += transition(known.get(key), each)
    return gone
