"""Removing bytes that no backup needs: marked first, swept once every writer has had its time.

A writer builds on packs it found at its start. So a prune only marks what no backup needs; writers
that start later do not build on marked packs; and one that is at work may make its backup visible
only while less than three quarters of the mark's grace are over. What is marked for the whole grace
and still not needed is removed. All times are the store's own.
"""

import datetime as dt
from collections.abc import Iterable

import msgspec

from shipkeeper.store import upkeep
from shipkeeper.store.access import Access
from shipkeeper.store.blobs import create_same, listed
from shipkeeper.store.documents import (
    DOOMED,
    FORGOTTEN,
    DoomedDocument,
    base,
    new_name,
    pack_path,
)
from shipkeeper.store.errors import AccessDeniedError, DamagedError
from shipkeeper.store.index import pack_row, read_index_blobs, store_index
from shipkeeper.store.pack import (
    MAGIC,
    TARGET_BYTES,
    Contents,
    Segment,
    assemble,
    contents_of,
    segments_of,
)
from shipkeeper.store.records import read_marks, read_records, visible
from shipkeeper.store.repository import Repository
from shipkeeper.store.sealing import content_hash
from shipkeeper.store.upkeep import Found, Work

GRACE = dt.timedelta(hours=24)


class PrunePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune would do now; sizes in bytes.

    `sweep` are blobs marked at least `grace` ago, `mark` those that become sweepable a grace later,
    `repack` packs that are mostly dead: their live segments are copied, then they are marked.
    """

    sweep: tuple[str, ...]
    sweep_bytes: int
    mark: tuple[str, ...]
    mark_bytes: int
    repack: tuple[str, ...]
    repack_bytes: int


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune did; `refused` are blobs the store would not delete (object lock)."""

    swept: tuple[str, ...]
    swept_bytes: int
    marked: tuple[str, ...]
    refused: tuple[str, ...]


async def plan(
    repository: Repository, grace: dt.timedelta = GRACE, now: dt.datetime | None = None
) -> PrunePlan:
    """Look only; needs the writer's key, not the reader's.

    `now` is this machine's clock unless given: asking the store's would take a write.
    """
    found, _ = await _look(repository.access, now or dt.datetime.now(dt.UTC), grace)
    todo = upkeep.work(found)
    repack = tuple(pack_path(pack) for pack in todo.repack)

    def size(names: Iterable[str]) -> int:
        return sum(found.blobs[name].size for name in names)

    return PrunePlan(
        sweep=todo.sweep,
        sweep_bytes=size(todo.sweep),
        mark=todo.mark,
        mark_bytes=size(todo.mark),
        repack=repack,
        repack_bytes=size(repack),
    )


async def prune(repository: Repository, grace: dt.timedelta = GRACE) -> Pruned:
    """Sweep, repack, mark. Safe beside writers and readers, and when killed at any point.

    DamagedError, and nothing is removed, while a record or an index is damaged: what it needs is
    not known. A `grace` shorter than the longest backup makes such backups fail, never break.
    """
    access = repository.access
    clock = await _mark(access, (), grace)
    now = (await access.blobs.info(clock)).modified
    found, tables = await _look(access, now, grace)
    todo = upkeep.work(found)
    swept, refused = await _remove(access, todo.sweep)
    await _remove(access, (clock, *(() if refused else todo.marks_done)))
    if todo.reindex:
        await _write_anew(access, found, todo, tables)
    if todo.mark:
        await _mark(access, todo.mark, grace)
    return Pruned(
        swept=tuple(swept),
        swept_bytes=sum(found.blobs[name].size for name in swept),
        marked=todo.mark,
        refused=tuple(refused),
    )


async def _look(
    access: Access, now: dt.datetime, grace: dt.timedelta
) -> tuple[Found, dict[bytes, Contents]]:
    access.writing  # noqa: B018 - asked for before anything is read
    marks = await read_marks(access)
    # Indexes before records: a record that appears in between finds its packs young.
    blobs = await listed(access.blobs, "")
    indexes, lost = await read_index_blobs(access, [n for n in blobs if n.startswith("index/")])
    records = await read_records(access, (await visible(access)).values())
    damaged = [record.stored.name for record in records if record.document is None]
    if lost or damaged:
        raise DamagedError(
            f"{', '.join([*lost, *damaged])} cannot be read: what is needed is not known",
            hint="Run verify; forget a damaged backup, then prune.",
        )
    tables: dict[bytes, Contents] = {}
    for blob in indexes:
        rows = zip(blob.document.packs, blob.contents(access), strict=True)
        tables.update((row.name, contents) for row, contents in rows)
    found = Found(
        now=now,
        grace=grace,
        blobs=blobs,
        records=records,
        indexes=indexes,
        marks=[mark for mark in marks if mark.document.blobs],
        forgotten=frozenset(base(n) for n in blobs if n.startswith(f"{FORGOTTEN}/")),
        sizes={
            (pack, (segment.origin, segment.number)): segment.stored
            for pack, contents in tables.items()
            for segment in segments_of(pack, contents)
        },
    )
    return found, tables


async def _mark(access: Access, blobs: tuple[str, ...], grace: dt.timedelta) -> str:
    name = new_name()
    document = DoomedDocument(grace_s=grace.total_seconds(), blobs=blobs)
    path = f"{DOOMED}/{name}"
    await create_same(access.blobs, path, access.sign(DOOMED, name, document))
    return path


async def _remove(access: Access, names: Iterable[str]) -> tuple[list[str], list[str]]:
    gone: list[str] = []
    refused: list[str] = []
    for name in names:
        try:
            await access.blobs.remove(name)
            gone.append(name)
        except AccessDeniedError:
            refused.append(name)
    return gone, refused


async def _write_anew(
    access: Access, found: Found, todo: Work, tables: dict[bytes, Contents]
) -> None:
    """Copy what lives out of packs that mostly do not, then write one index over everything."""
    rows = {
        row.name: row
        for blob in found.indexes
        for row in blob.document.packs
        if row.name in todo.live
    }
    packs = [(rows[name], tables[name]) for name in sorted(rows)]
    batch: list[tuple[Segment, bytes]] = []
    async for segment, stored in _copied(access, todo, tables):
        batch.append((segment, stored))
        if sum(len(b) for _, b in batch) >= TARGET_BYTES:
            packs.append(await _store_copy(access, batch))
            batch = []
    if batch:
        packs.append(await _store_copy(access, batch))
    older = {name for blob in found.indexes for name in blob.document.replaces}
    await store_index(
        access,
        packs,
        knows=[record.name for record in found.records],
        replaces=sorted({*todo.replaced, *older} & _spoken_of(found) | set(todo.replaced)),
    )


def _spoken_of(found: Found) -> set[str]:
    return {n for r in found.records if r.document for n in r.document.indexes}


async def _copied(access: Access, todo: Work, tables: dict[bytes, Contents]):
    remaining = set(todo.copy)
    for pack in todo.repack:
        content = await access.blobs.read(pack_path(pack))
        if content_hash(content) != pack:
            raise DamagedError(f"{pack_path(pack)} is not what was written")
        for segment in segments_of(pack, tables[pack]):
            if (segment.origin, segment.number) in remaining:
                remaining.discard((segment.origin, segment.number))
                yield segment, content[segment.offset : segment.offset + segment.stored]


async def _store_copy(access: Access, batch: list[tuple[Segment, bytes]]):
    contents = contents_of([segment for segment, _ in batch])
    pack = assemble([MAGIC, *(stored for _, stored in batch)], contents, access.index_key)
    await create_same(access.blobs, pack_path(pack.name), pack.content)
    return pack_row(pack.name, len(pack.content), contents), contents
