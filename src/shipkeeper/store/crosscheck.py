"""The blobs against each other: is everything there that something else speaks of? Pure."""

from collections import defaultdict
from collections.abc import Iterator

from shipkeeper.store.access import Access
from shipkeeper.store.documents import (
    BACKUPS,
    DICTIONARIES,
    BackupDocument,
    pack_path,
    segments_in,
)
from shipkeeper.store.findings import MISSING, UNFINISHED, Finding, altered
from shipkeeper.store.inspection import Inspection


def cross_check(access: Access, seen: Inspection, present: set[str]) -> Iterator[Finding]:
    """Everything that is missing, unfinished, or damaged and needed; `present` are all names."""
    dictionary = f"{DICTIONARIES}/{access.config.dictionary}"
    if access.config.dictionary and dictionary not in present:
        yield _missing(dictionary, "the dictionary that every segment was compressed with")
    yield from _records(seen)
    yield from _indexes(seen, present)
    yield from _packs(seen, present)


def _records(seen: Inspection) -> Iterator[Finding]:
    for name in seen.damaged_records:
        yield altered(f"{BACKUPS}/{name}", [name])
    there = {*seen.records, *seen.damaged_records, *seen.forgotten}
    for name in sorted(_known(seen) - there):
        yield _missing(f"{BACKUPS}/{name}", "other documents know this backup", name)
    announced = {b.document.announces: b for b in seen.indexes.values() if b.document.announces}
    finished = {b.document.announces for b in seen.indexes.values() if b.document.last}
    for name, blob in sorted(announced.items()):
        if name in there:
            continue
        if name in finished:
            message = "its index is complete: killed right before its last put, or removed"
            yield _missing(f"{BACKUPS}/{name}", message, name)
        else:
            message = f"backup {name} was interrupted"
            yield Finding(reason=UNFINISHED, blob=blob.name, message=message, harmless=True)


def _known(seen: Inspection) -> set[str]:
    by_records = {n for r in seen.records.values() if r.document for n in r.document.knows}
    return by_records | {n for blob in seen.indexes.values() for n in blob.document.knows}


def _indexes(seen: Inspection, present: set[str]) -> Iterator[Finding]:
    replaced = {name for blob in seen.indexes.values() for name in blob.document.replaces}
    for backup, document in _visible(seen):
        for name in document.indexes:
            if name not in present and name not in replaced:
                yield _missing(name, "a backup wrote this index", backup)


def _packs(seen: Inspection, present: set[str]) -> Iterator[Finding]:
    holders: dict[tuple[bytes, int], set[bytes]] = defaultdict(set)
    listed: dict[bytes, int] = {}
    for blob in seen.indexes.values():
        for row in blob.document.packs:
            listed[row.name] = row.size
            for segment in segments_in(row.holds):
                holders[segment].add(row.name)
    needed_by = _needed_by(seen, holders)
    for name in sorted(seen.packs.keys() - listed.keys()):
        message = "no index lists it: left by an interrupted run, or its index is gone"
        users = needed_by.get(name, set())
        yield Finding(
            reason=UNFINISHED,
            blob=pack_path(name),
            message=message,
            backups=tuple(sorted(users)),
            harmless=not users,
        )
    for path in seen.altered_packs:
        yield altered(path, needed_by.get(bytes.fromhex(path.rpartition("/")[2]), ()))
    lost = {name for name in {*listed, *needed_by} if pack_path(name) not in present}
    for name in sorted(lost):
        yield from _lost(name, needed_by, listed=name in listed)


def _lost(name: bytes, needed_by: dict[bytes, set[str]], *, listed: bool) -> Iterator[Finding]:
    users = needed_by.get(name, set())
    if users or listed:
        yield Finding(
            reason=MISSING,
            blob=pack_path(name),
            message="objects are lost with it"
            if users
            else "an index lists it, no backup needs it",
            backups=tuple(sorted(users)),
            harmless=not users,
        )


def _needed_by(
    seen: Inspection, holders: dict[tuple[bytes, int], set[bytes]]
) -> dict[bytes, set[str]]:
    """Which backups lose something when a pack is lost or damaged."""
    needed_by: dict[bytes, set[str]] = defaultdict(set)
    for name, document in _visible(seen):
        for segment in segments_in(document.needs):
            holding = holders.get(segment, {segment[0]})
            if not holding & seen.packs.keys():
                for pack in holding:
                    needed_by[pack].add(name)
            elif not holders.get(segment):
                needed_by[segment[0]].add(name)
    return needed_by


def _visible(seen: Inspection) -> Iterator[tuple[str, BackupDocument]]:
    for name, record in sorted(seen.records.items()):
        if record.document and name not in seen.forgotten:
            yield name, record.document


def _missing(blob: str, message: str, *backups: str) -> Finding:
    return Finding(reason=MISSING, blob=blob, message=message, backups=backups)
