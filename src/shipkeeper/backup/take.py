"""Taking a backup: every kind, many at once, all of one moment, the bytes passed through.

All kinds are listed at one revision of etcd, which the API server answers from etcd's history
(`resourceVersionMatch=Exact`); ADR 14 says why not by watching each kind up to it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import msgspec

from shipkeeper.backup.contents import (
    Contents,
    KindContents,
    Moment,
    Unreadable,
    encode_contents,
    encode_name,
)
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.outline import Outline, outline
from shipkeeper.backup.pages import Page, one_ahead, pages
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.record import VolumeCounts
from shipkeeper.backup.volumes.saving import VolumeProgress, VolumeSaving
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import ExpiredError
from shipkeeper.store.values import Backup, Entry, ObjectId
from shipkeeper.store.writer import BackupWriter

# How many kinds are listed at a time. More make nothing faster: one kind's pages follow each
# other, and a large cluster has a handful of large kinds.
_AT_ONCE = 8
# How often everything is listed anew because the server threw the revision away meanwhile.
_ATTEMPTS = 3


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a backup is: objects and bytes so far, and how many objects there are about."""

    objects: int
    of_objects: int
    content_bytes: int


Tell = Callable[[Progress | VolumeProgress], None]


async def take(
    connection: Requests,
    writer: BackupWriter,
    selection: Selection,
    tell: Tell,
    volumes: VolumeSaving | None = None,
) -> tuple[Backup, Contents]:
    """Store everything that is chosen and make the backup visible, complete or not.

    What could not be read is named in its contents, or in the records of `volumes`.
    """
    began_at = datetime.now(UTC)
    for attempt in range(1, _ATTEMPTS + 1):
        plan = await outline(connection, selection)
        is_last = attempt == _ATTEMPTS
        taking = _Taking(connection, writer, selection, plan, tell, may_scatter=is_last)
        try:
            taken = await taking.all_kinds()
        except ExpiredError:
            writer.start_over()
            continue
        break
    else:
        raise AssertionError("the last attempt does without a common revision")
    counts = await volumes.save(writer, selection, tell) if volumes else VolumeCounts()
    contents = Contents(
        cluster=plan.cluster,
        server=plan.server,
        version=plan.version,
        began_at=began_at,
        revision=plan.revision,
        selection=selection,
        kinds=taken,
        unreadable=(*plan.unreadable, *taking.unreadable),
        volumes=counts,
    )
    return await writer.commit(encode_contents(contents)), contents


class _Stored(msgspec.Struct, frozen=True, order=True, gc=False):
    namespace: str
    name: str
    id: ObjectId
    size: int

    def entry(self) -> Entry:
        return Entry(encode_name(self.namespace, self.name), (self.id,), self.size)


class _Taking:
    """One attempt at listing and storing everything at one revision."""

    def __init__(
        self,
        connection: Requests,
        writer: BackupWriter,
        selection: Selection,
        plan: Outline,
        tell: Tell,
        *,
        may_scatter: bool,
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._selection = selection
        self._plan = plan
        self._tell = tell
        self._may_scatter = may_scatter
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._objects = 0
        self._bytes = 0
        self.unreadable: list[Unreadable] = []

    async def all_kinds(self) -> tuple[KindContents, ...]:
        """Every kind that could be read, stored and listed; the large ones are begun first."""
        largest_first = sorted(self._plan.kinds, key=lambda each: -each[1].objects)
        tasks = [asyncio.create_task(self._guarded(kind)) for kind, _ in largest_first]
        try:
            taken = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        found = (each for each in taken if each is not None)
        return tuple(sorted(found, key=lambda each: each.section))

    async def _guarded(self, kind: Kind) -> KindContents | None:
        async with self._gate:
            try:
                return await self._as_well_as_possible(kind)
            except ShipkeeperError as error:
                if isinstance(error, ExpiredError) and not self._may_scatter:
                    raise
                self.unreadable.append(Unreadable.because(kind.name, error))
                return None

    async def _as_well_as_possible(self, kind: Kind) -> KindContents:
        if kind.name in self._plan.apart:
            return await self._kind(kind, Moment.APART)
        try:
            return await self._kind(kind, Moment.COMMON, self._plan.revision)
        except ExpiredError:
            if not self._may_scatter:
                raise
            return await self._kind(kind, Moment.OWN)

    async def _kind(self, kind: Kind, moment: Moment, revision: str = "") -> KindContents:
        found: list[_Stored] = []
        seen = revision
        for namespace in self._places(kind):
            listing = pages(
                self._connection,
                kind,
                namespace=namespace,
                selector=self._selection.selector,
                revision=revision,
            )
            async with aclosing(one_ahead(listing)) as listed:
                async for page in listed:
                    seen = page.revision
                    found += await self._store(kind, page)
        found.sort()
        contents = KindContents(kind=kind, objects=len(found), moment=moment, revision=seen)
        await self._writer.append(contents.section, [each.entry() for each in found])
        return contents

    def _places(self, kind: Kind) -> Sequence[str]:
        """The namespaces to list, each by itself; the empty one stands for all."""
        return (
            self._selection.namespaces if kind.namespaced and self._selection.namespaces else ("",)
        )

    async def _store(self, kind: Kind, page: Page) -> list[_Stored]:
        chosen = page.objects
        if not self._selection.is_everything:
            chosen = [
                each
                for each in page.objects
                if self._selection.has_key(kind, each.namespace, each.name)
            ]
        bodies = [each.body for each in chosen]
        ids, sizes = await self._writer.put(bodies), list(map(len, bodies))
        self._count(sizes)
        return [
            _Stored(each.namespace, each.name, id_, size)
            for each, id_, size in zip(chosen, ids, sizes, strict=True)
        ]

    def _count(self, sizes: list[int]) -> None:
        self._objects += len(sizes)
        self._bytes += sum(sizes)
        self._tell(
            Progress(
                objects=self._objects,
                of_objects=max(self._plan.objects, self._objects),
                content_bytes=self._bytes,
            )
        )
