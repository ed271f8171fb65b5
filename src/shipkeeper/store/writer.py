"""Writing one backup."""

import datetime as dt
from collections.abc import Sequence

from blake3 import blake3

from shipkeeper.store.access import Access
from shipkeeper.store.blobs import create_same
from shipkeeper.store.documents import (
    BACKUPS,
    BackupBody,
    BackupDocument,
    PackRow,
    needs,
    new_name,
    pack_path,
)
from shipkeeper.store.errors import ForgottenError, OutlivedError
from shipkeeper.store.index import Index, pack_row, store_index
from shipkeeper.store.pack import TARGET_BYTES, Contents, Pack, Packer, Segment
from shipkeeper.store.pipeline import Job, Pipeline
from shipkeeper.store.records import (
    forget,
    latest_created,
    locked_body,
    microseconds,
    read_marks,
    require_not_forgotten,
    visible,
)
from shipkeeper.store.tree import TreeBuilder, encode_sections
from shipkeeper.store.values import MAX_OBJECT_BYTES, MAX_PARTS, Backup, Entry, Figures, ObjectId

SEGMENT_BYTES = 128 * 1024
_INDEX_EVERY = 64
_NODES_BYTES = 8 * 1024 * 1024
_SAFE_PART = 0.75
"""Of a mark's grace: a backup that needs marked packs may become visible only within it."""


class _Filling:
    """A segment that takes objects until it is full.

    Full ones are held back until they are some bytes in all, and then lie one after the other.
    """

    def __init__(self, pipeline: Pipeline, held: int = 0) -> None:
        self._pipeline = pipeline
        self._most = held
        self._held: list[Job] = []
        self._open()

    def add(self, id_: ObjectId, body: bytes) -> Segment:
        segment = self._segment
        segment.ids.append(id_)
        self._bodies.append(body)
        self._size += len(body)
        if self._size >= SEGMENT_BYTES:
            self.close()
        return segment

    def close(self) -> None:
        if self._bodies:
            self._segment.lengths = list(map(len, self._bodies))
            self._held.append(Job(self._segment, self._bodies, self._size))
            self._open()
        if sum(job.size for job in self._held) >= self._most:
            self._release()

    def finish(self) -> None:
        self.close()
        self._release()

    def _release(self) -> None:
        for job in self._held:
            self._pipeline.feed(job)
        self._held = []

    def _open(self) -> None:
        self._segment = Segment(ids=[], lengths=[])
        self._bodies: list[bytes] = []
        self._size = 0


class BackupWriter:
    """One backup being written. Calls may run side by side; the order within a section is theirs.

    Nothing is visible before `commit`; leaving the context without it abandons the backup.
    """

    def __init__(self, access: Access, index: Index, name: str = "") -> None:
        self.name = name or new_name()
        self._access = access
        self._where = index.where
        self._used: set[Segment] = set()
        packer = Packer(access.config.recipients, access.index_key, access.dictionary, TARGET_BYTES)
        self._pipeline = Pipeline(packer, self._upload)
        # Manifest nodes lie together, apart from contents: a reader of names fetches only them.
        self._contents = _Filling(self._pipeline)
        self._nodes = _Filling(self._pipeline, held=_NODES_BYTES)
        self._trees: dict[str, TreeBuilder] = {}
        self._packs: list[tuple[PackRow, Contents]] = []
        self._indexes: list[str] = []
        self._put = self._new = self._added = 0

    async def put(self, bodies: Sequence[bytes | memoryview]) -> list[ObjectId]:
        """Store the bodies not yet in the repository; returns their ids in order.

        Fastest with hundreds to thousands of bodies (up to some MB) a call. Waits while uploads
        lag behind. A body holds at most MAX_OBJECT_BYTES (ValueError).
        """
        ids = self._store(bodies, self._contents)
        self._put += len(ids)
        await self._pipeline.relax()
        return ids

    async def append(self, section: str, entries: Sequence[Entry]) -> None:
        """Add entries at a section's end; ValueError for parts that were never `put`.

        Keep the order stable between backups: that is what makes an unchanged manifest cost
        nothing (sort by namespace and name, or by path).
        """
        most = max((len(entry.parts) for entry in entries), default=0)
        if most > MAX_PARTS:
            raise ValueError(f"an entry has {most} parts, at most {MAX_PARTS} go")
        where = self._where
        try:
            self._used.update([where[part] for entry in entries for part in entry.parts])
        except KeyError as error:
            raise ValueError(f"object {error.args[0].hex()} was not put") from None
        self._tree(section).append(entries)
        await self._pipeline.relax()

    async def add(
        self, section: str, metas: Sequence[bytes], bodies: Sequence[bytes | memoryview]
    ) -> list[ObjectId]:
        """`put` and `append` in one: an entry of one part for each body."""
        ids = await self.put(bodies)
        entries = [Entry(m, (i,), len(b)) for m, i, b in zip(metas, ids, bodies, strict=True)]
        await self.append(section, entries)
        return ids

    async def commit(self, summary: bytes, kind: str = "") -> Backup:
        """Upload what is left and make the backup visible by one last put.

        `summary` is the caller's own (some kB): readable with the writer's or the reader's key.
        `kind` tells what it is a backup of; `latest` and policies go by kinds.
        OutlivedError when a prune may already take away what the backup builds on,
        ForgottenError when the name was forgotten meanwhile.
        """
        sections = [tree.finish(name) for name, tree in self._trees.items()]
        root = self._store_node(encode_sections(sections))
        self._contents.finish()
        self._nodes.finish()
        await self._pipeline.finish()
        known = await visible(self._access)
        index = await self._flush_index(tuple(known), last=True)
        clock = (await self._access.blobs.info(index)).modified
        await self._refuse_if_outlived(clock)
        # Backups are in one order, even where the store's clock tells whole seconds only.
        last = await latest_created(self._access, known)
        created = max(clock, last + dt.timedelta(microseconds=1))
        figures = Figures(
            entries=sum(section.entries for section in sections),
            content_bytes=sum(section.content_bytes for section in sections),
            objects=self._put,
            new_objects=self._new,
            added_bytes=self._added,
        )
        await self._publish(
            created,
            tuple(known),
            BackupBody(root=root, summary=summary, figures=figures, kind=kind),
        )
        return Backup(name=self.name, created=created, summary=summary, figures=figures, kind=kind)

    def start_over(self) -> None:
        """Forget every section; what was `put` stays, and is found again by its content."""
        self._trees.clear()
        self._used.clear()

    async def abandon(self) -> None:
        """Stop; what is uploaded stays invisible and goes with a later prune."""
        await self._pipeline.abandon()

    def _tree(self, section: str) -> TreeBuilder:
        tree = self._trees.get(section)
        if tree is None:
            tree = self._trees[section] = TreeBuilder(self._store_node)
        return tree

    def _store_node(self, node: bytes) -> ObjectId:
        (id_,) = self._store([node], self._nodes)
        self._used.add(self._where[id_])
        return id_

    def _store(self, bodies: Sequence[bytes | memoryview], filling: _Filling) -> list[ObjectId]:
        key, where = self._access.id_key, self._where
        ids = [blake3(body, key=key).digest() for body in bodies]
        for id_, body in zip(ids, bodies, strict=True):
            if id_ not in where:
                if len(body) > MAX_OBJECT_BYTES:
                    raise ValueError(
                        f"an object of {len(body)} bytes; at most {MAX_OBJECT_BYTES} go"
                    )
                # A copy: a view would keep the caller's whole page in memory.
                where[id_] = filling.add(id_, bytes(body))
                self._new += 1
        return ids

    async def _upload(self, pack: Pack) -> None:
        await create_same(self._access.blobs, pack_path(pack.name), pack.content)
        size = len(pack.content)
        self._added += size
        self._packs.append((pack_row(pack.name, size, pack.contents), pack.contents))
        if len(self._packs) >= _INDEX_EVERY:
            # An interrupted long backup finds these again when it is rerun.
            await self._flush_index()

    async def _flush_index(self, knows: tuple[str, ...] = (), *, last: bool = False) -> str:
        packs, self._packs = self._packs, []
        name, size = await store_index(
            self._access, packs, announces=self.name, last=last, knows=knows
        )
        self._added += size
        self._indexes.append(name)
        return name

    async def _refuse_if_outlived(self, clock: dt.datetime) -> None:
        needed = {pack_path(segment.pack) for segment in self._used}
        for mark in await read_marks(self._access):
            age = (clock - mark.stored.modified).total_seconds()
            if age >= _SAFE_PART * mark.document.grace_s and needed & set(mark.document.blobs):
                # Its index is complete by now: verify would take the record for removed.
                await forget(self._access, self.name)
                raise OutlivedError("a prune was at work for too long beside this backup")

    async def _publish(
        self, created: dt.datetime, knows: tuple[str, ...], body: BackupBody
    ) -> None:
        document = BackupDocument(
            created_us=microseconds(created),
            knows=knows,
            indexes=tuple(self._indexes),
            needs=needs((segment.origin, segment.number) for segment in self._used),
            locked=locked_body(self._access, body),
        )
        record = self._access.sign(BACKUPS, self.name, document)
        await require_not_forgotten(self._access, self.name)
        await create_same(self._access.blobs, f"{BACKUPS}/{self.name}", record)
        try:
            # Whoever forgets puts the note first: it is seen here, or the record by them.
            await require_not_forgotten(self._access, self.name)
        except ForgottenError:
            await forget(self._access, self.name)
            raise
