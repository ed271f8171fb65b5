"""What differs between two snapshots: keys that came, went, or were written again."""

from collections.abc import Iterator

import msgspec

from shipkeeper.etcd.browse import Browser, place
from shipkeeper.etcd.index import Row
from shipkeeper.etcd.registry import is_meant

ADDED = "Added"
REMOVED = "Removed"
CHANGED = "Changed"


class Change(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An object that is not the same in two snapshots; revisions are 0 where it is not there."""

    change: str
    resource: str
    namespace: str
    name: str
    old_revision: int
    new_revision: int


def compare(
    old: Browser, new: Browser, wanted: str = "", namespaces: frozenset[str] = frozenset()
) -> Iterator[Change]:
    """The changes from one snapshot to another, in the order of keys."""
    for before, after in _side_by_side(old, new):
        row = after or before
        at = place(row.key) if row else None
        if at is None or (namespaces and at.namespace not in namespaces):
            continue
        if wanted and not is_meant(at.resource, wanted):
            continue
        change = _change(old, new, before, after)
        if change:
            yield Change(
                change=change,
                resource=at.resource,
                namespace=at.namespace,
                name=at.name,
                old_revision=before.main if before else 0,
                new_revision=after.main if after else 0,
            )


def _change(old: Browser, new: Browser, before: Row | None, after: Row | None) -> str:
    if before is None:
        return ADDED
    if after is None:
        return REMOVED
    return CHANGED if old.value(before) != new.value(after) else ""


def _side_by_side(old: Browser, new: Browser) -> Iterator[tuple[Row | None, Row | None]]:
    """The living rows of two indexes, joined by key."""
    left, right = _living(old), _living(new)
    one, other = next(left, None), next(right, None)
    while one or other:
        if other is None or (one and one.key < other.key):
            yield one, None
            one = next(left, None)
        elif one is None or other.key < one.key:
            yield None, other
            other = next(right, None)
        else:
            yield one, other
            one, other = next(left, None), next(right, None)


def _living(browser: Browser) -> Iterator[Row]:
    return (row for row in browser.index.latest() if not row.is_gone)
