"""What a prune would do to a repository as it was found. Pure."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from shipkeeper.store.blobs import PARTIAL, BlobInfo
from shipkeeper.store.documents import (
    FORGOTTEN,
    INDEX,
    PACKS,
    base,
    pack_path,
    segments_in,
)
from shipkeeper.store.index import IndexBlob
from shipkeeper.store.records import Mark, Record

LIVE_PART = 0.5
"""A pack is copied into a new one when less than this part of it is needed."""

SMALL_BYTES = 1024 * 1024
SMALL_PACKS = 16
MANY_INDEXES = 16

SegmentName = tuple[bytes, int]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A repository as a prune found it; `now` is the store's clock just before.

    `sizes` are the stored bytes of every indexed segment, by the pack it lies in and its name.
    """

    now: dt.datetime
    grace: dt.timedelta
    blobs: Mapping[str, BlobInfo]
    records: Sequence[Record]
    indexes: Sequence[IndexBlob]
    marks: Sequence[Mark]
    forgotten: frozenset[str]
    sizes: Mapping[tuple[bytes, SegmentName], int]

    def old(self, name: str) -> bool:
        """Whether a blob has been there for the grace: no writer at work can have made it."""
        return self.now - self.blobs[name].modified >= self.grace


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: `sweep` and `marks_done` go now; `copy` are segments to copy out of the `repack`
    packs; the index is written anew over `live` packs, when `reindex`; `mark` are doomed."""

    sweep: tuple[str, ...]
    marks_done: tuple[str, ...]
    repack: tuple[bytes, ...]
    copy: frozenset[SegmentName]
    live: frozenset[bytes]
    reindex: bool
    replaced: tuple[str, ...]
    mark: tuple[str, ...]


def work(found: Found) -> Work:
    """Decide everything."""
    needed = {s for r in found.records if r.document for s in segments_in(r.document.needs)}
    held = _held(found)
    doomed = {blob for mark in found.marks for blob in mark.document.blobs}
    ripe = {blob for mark in found.marks if _ripe(found, mark) for blob in mark.document.blobs}
    keepers = {pack for pack in held if pack_path(pack) not in doomed}
    covered = {segment for pack in keepers for segment in held[pack]}
    # A backup that was at work when a pack was doomed may have come to need it.
    rescued = {p for p in held if p not in keepers and needed & held[p] - covered}
    home = _homes(needed, held, keepers | rescued)
    used = set(home.values())
    settled = {pack for pack in held if found.old(pack_path(pack))} - rescued
    dead = (keepers - used) & settled
    repack = _worth_copying(found, home, (keepers & used) & settled)
    young = {b.name for b in found.indexes if not found.old(b.name)}
    old_indexes = {b.name for b in found.indexes} - young - doomed
    reindex = bool(dead or repack or len(old_indexes) >= MANY_INDEXES)
    replaced = tuple(sorted(old_indexes)) if reindex else ()
    live = frozenset(keepers - dead - repack | rescued)
    sweep = _sweep(found, ripe, held, rescued)
    strays = _strays(found, held, doomed)
    mark = {pack_path(pack) for pack in dead | repack} | set(replaced) | strays
    return Work(
        sweep=tuple(sorted(sweep, key=_packs_first)),
        marks_done=tuple(sorted(m.stored.name for m in found.marks if _ripe(found, m))),
        repack=tuple(sorted(repack)),
        copy=frozenset(segment for segment, pack in home.items() if pack in repack),
        live=live,
        reindex=reindex,
        replaced=replaced,
        mark=tuple(sorted(mark - doomed)),
    )


def _held(found: Found) -> dict[bytes, set[SegmentName]]:
    """The segments that each present, indexed pack holds."""
    held: dict[bytes, set[SegmentName]] = {}
    for blob in found.indexes:
        for row in blob.document.packs:
            info = found.blobs.get(pack_path(row.name))
            if info and info.size == row.size:
                held[row.name] = set(segments_in(row.holds))
    return held


def _ripe(found: Found, mark: Mark) -> bool:
    return (found.now - mark.stored.modified).total_seconds() >= mark.document.grace_s


def _homes(
    needed: set[SegmentName], held: Mapping[bytes, set[SegmentName]], packs: set[bytes]
) -> dict[SegmentName, bytes]:
    """One pack for each needed segment: the one that holds most of what is needed."""
    homes: dict[SegmentName, bytes] = {}
    for pack in sorted(packs, key=lambda p: (-len(needed & held[p]), p)):
        for segment in needed & held[pack]:
            homes.setdefault(segment, pack)
    return homes


def _worth_copying(
    found: Found, home: Mapping[SegmentName, bytes], candidates: set[bytes]
) -> set[bytes]:
    live: Counter[bytes] = Counter()
    for segment, pack in home.items():
        live[pack] += found.sizes.get((pack, segment), 0)
    size = {pack: found.blobs[pack_path(pack)].size for pack in candidates}
    small = {pack for pack in candidates if size[pack] < SMALL_BYTES}
    mostly_dead = {pack for pack in candidates - small if live[pack] < LIVE_PART * size[pack]}
    return mostly_dead | (small if len(small) >= SMALL_PACKS else set())


def _sweep(
    found: Found,
    ripe: set[str],
    held: Mapping[bytes, set[SegmentName]],
    rescued: set[bytes],
) -> set[str]:
    """Of what is ripe: not what was rescued, and no index that alone lists a pack that stays."""
    going = {name for name in ripe if name in found.blobs} - {pack_path(p) for p in rescued}
    staying = {pack for pack in held if pack_path(pack) not in going}
    kept_lists = {
        row.name for b in found.indexes if b.name not in going for row in b.document.packs
    }
    needed_indexes = {
        b.name
        for b in found.indexes
        if b.name in going
        and any(r.name in staying and r.name not in kept_lists for r in b.document.packs)
    }
    return going - needed_indexes


def _strays(found: Found, held: Mapping[bytes, set[SegmentName]], doomed: set[str]) -> set[str]:
    """What killed writers left, and notes on forgotten backups that nobody speaks of any more."""
    packs = {n for n in found.blobs if n.startswith(f"{PACKS}/")} - {pack_path(p) for p in held}
    partial = {name for name in found.blobs if name.startswith(f"{PARTIAL}/")}
    spoken = {n for b in found.indexes for n in (*b.document.knows, b.document.announces)}
    spoken |= {n for r in found.records if r.document for n in r.document.knows}
    notes = {n for n in found.blobs if n.startswith(f"{FORGOTTEN}/") and base(n) not in spoken}
    return {name for name in packs | partial | notes if found.old(name)} - doomed


def _packs_first(name: str) -> tuple[bool, bool, str]:
    # Killed in between, a prune leaves an index that lists too much, never a pack without index.
    return (not name.startswith(f"{PACKS}/"), not name.startswith(f"{INDEX}/"), name)
