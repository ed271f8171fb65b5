"""The steps of a restore: phases of objects, webhooks quieted and put back, extras deleted."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from shipkeeper.backup.archive import Archive
from shipkeeper.backup.kinds import Kind, Served
from shipkeeper.backup.manifest import Manifest
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.restore_plan import (
    FILL,
    PROCEDURE,
    PROVIDE,
    PRUNE,
    QUIET,
    WAKE,
    WRITES,
)
from shipkeeper.backup.restore_plan import Action as Doing
from shipkeeper.backup.skip import Surroundings
from shipkeeper.backup.transform import transform
from shipkeeper.backup.volumes.filling import Filler
from shipkeeper.backup.volumes.snapshots import data_source
from shipkeeper.backup.webhooks import quiet, wake
from shipkeeper.backup.writing import ObjectWriter
from shipkeeper.engine.action import Action, StepRecord
from shipkeeper.engine.journal import Phase
from shipkeeper.engine.plan import Item, Step
from shipkeeper.engine.progress import ItemChanged, Sink
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer

_READ_AT_ONCE = 500
_NAMED = 3


class RestoreContext(msgspec.Struct, frozen=True, kw_only=True):
    """What all steps of a restore share; `count` hears of every object that is done.

    `filler` brings volumes back, if that is asked for; `data_sources` are the snapshots that claims
    are made from, by the claims' keys.
    """

    archive: Archive
    options: RestoreOptions
    served: Served
    around: Surroundings
    writer: ObjectWriter
    tell: Sink
    count: Callable[[int], None]
    filler: Filler | None = None
    data_sources: Mapping[str, str] = {}

    def source_kind(self, key: str) -> Kind:
        """The kind of an item, as the backup has it."""
        name = key.partition("/")[0]
        return next(each.kind for each in self.archive.contents.kinds if each.kind.name == name)

    async def read(self, items: Sequence[Item]) -> list[Manifest]:
        """The objects of items, whole, as the backup has them."""
        return await self.archive.read_contents(
            [(self.source_kind(each.key), bytes.fromhex(each.uid)) for each in items]
        )


class _Failures:
    """What could not be done of a step."""

    def __init__(self) -> None:
        self.messages: dict[str, ShipkeeperError] = {}

    def verdict(self, step: Step) -> Verdict | None:
        if not self.messages:
            return None
        shown = [f"{key}: {error.message}" for key, error in self.messages.items()]
        more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
        first = next(iter(self.messages.values()))
        return Verdict(
            target=step.target,
            effect=Effect.WARN,
            reason=first.reason,
            message=f"{len(shown)} of {len(step.items)} failed: {'; '.join(shown[:_NAMED])}{more}",
            remedy=first.hint,
        )


class _Each(ABC):
    """A step that does its items side by side, journals each, and goes on past those that fail."""

    def __init__(self, context: RestoreContext) -> None:
        self.context = context
        self._failures: dict[str, _Failures] = {}

    async def check(self, step: Step) -> Verdict | None:
        """Nothing forbids it; each item is checked as it is done."""
        return None

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Do every item that writes, and is not done yet."""
        failures = self._failures[step.id] = _Failures()
        left = [
            item
            for item in step.items
            if item.action in WRITES and record.items.get(item.key) is not Phase.AFTER
        ]
        queue: asyncio.Queue[tuple[Item, Manifest | None]] = asyncio.Queue(
            2 * self.context.options.parallel
        )
        writing: set[asyncio.Task[None]] = set()

        async def work() -> None:
            while True:
                item, manifest = await queue.get()
                try:
                    await self.do(item, manifest)
                    entry = record.write(Phase.AFTER, item=item.key)
                except ShipkeeperError as error:
                    failures.messages[item.key] = error
                    self.context.tell(ItemChanged(step.id, item.key, "Failed", error.message))
                    entry = record.write(
                        Phase.FAILED, item=item.key, reason=error.reason, message=error.message
                    )
                # The next object is not held up by the disk: an item whose entry got lost is
                # found to be there when it is done again.
                task = asyncio.create_task(_await(entry))
                writing.add(task)
                self.context.count(1)
                queue.task_done()

        workers = [asyncio.create_task(work()) for _ in range(self.context.options.parallel)]
        try:
            await _until_failure(self._feed(queue, left), workers)
            await asyncio.gather(*writing)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _feed(
        self, queue: asyncio.Queue[tuple[Item, Manifest | None]], left: Sequence[Item]
    ) -> None:
        for start in range(0, len(left), _READ_AT_ONCE):
            batch = left[start : start + _READ_AT_ONCE]
            for item, manifest in zip(batch, await self.read(batch), strict=True):
                await queue.put((item, manifest))
        await queue.join()

    async def read(self, items: Sequence[Item]) -> Sequence[Manifest | None]:
        """What the items' objects are in the backup."""
        return await self.context.read(items)

    @abstractmethod
    async def do(self, item: Item, manifest: Manifest | None) -> None:
        """Do one item; ShipkeeperError if it cannot be."""

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """What the API server accepted and named a UID for is there; what it refused is told."""
        return self._failures[step.id].verdict(step)

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """What was made stays: it may be in use by now."""
        return False


async def _await(entry: Any) -> None:
    await entry


async def _until_failure(feeding: Any, workers: Sequence[asyncio.Task[None]]) -> None:
    """Feed the workers to the end; a worker that ends before has met what nobody expected."""
    feeder = asyncio.create_task(feeding)
    try:
        await asyncio.wait({feeder, *workers}, return_when=asyncio.FIRST_COMPLETED)
        for worker in workers:
            if worker.done():
                worker.result()
        await feeder
    finally:
        feeder.cancel()


class Restoring(_Each):
    """Objects of one phase as the backup has them."""

    async def do(self, item: Item, manifest: Manifest | None) -> None:
        """Bring one object into the state of the backup."""
        if manifest is None:
            raise TypeError("an object of the backup is restored, and there is none")
        context = self.context
        kind, wanted = transform(
            manifest, context.served, context.options, context.around.kept_volumes
        )
        metadata = wanted["metadata"]
        snapshot = context.data_sources.get(f"{metadata.get('namespace', '')}/{metadata['name']}")
        if snapshot and kind.group_kind == ("", "PersistentVolumeClaim"):
            wanted = data_source(wanted, snapshot)
        await context.writer.write(Doing(item.action), kind, wanted)


class Filling(_Each):
    """Volumes of the backup brought back, some side by side; the files of each at once or not."""

    async def read(self, items: Sequence[Item]) -> Sequence[Manifest | None]:
        """Their files are read one after the other."""
        return [None] * len(items)

    async def do(self, item: Item, manifest: Manifest | None) -> None:
        """Bring one volume back."""
        fresh = item.action == Doing.CREATE
        await self.filler.fill(item.key.partition("/")[2], item.uid, fresh=fresh)

    @property
    def filler(self) -> Filler:
        """What does it."""
        if self.context.filler is None:
            raise TypeError("volumes are restored, and there is no way to their hosts")
        return self.context.filler


class Providing(Filling):
    """Snapshots that claims are about to be made from."""

    async def do(self, item: Item, manifest: Manifest | None) -> None:
        """Have one snapshot ready."""
        await self.filler.provide(item.key.partition("/")[2])


class Pruning(_Each):
    """Extras deleted, each by its UID, one after the other in the order of the plan."""

    async def read(self, items: Sequence[Item]) -> Sequence[Manifest | None]:
        """Nothing is needed but their names."""
        return [None] * len(items)

    async def do(self, item: Item, manifest: Manifest | None) -> None:
        """Delete one object, if it is still the same."""
        name, namespace, object_name = item.key.split("/", 2)
        kind = next(each for each in self.context.served.preferred if each.name == name)
        named = {"metadata": {"namespace": namespace, "name": object_name}}
        await self.context.writer.delete(kind, named, item.uid)


class Quieting:
    """Webhooks that fail closed and that nobody answers for let everything pass."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    async def check(self, step: Step) -> Verdict | None:
        """Each is looked at again as it is done."""
        return None

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Quiet those that are still down."""
        for item in step.items:
            await quiet(self._reader, self._writer, *item.key.split("/", 1))
            await record.write(Phase.AFTER, item=item.key)

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """The API server told what each is now."""
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Put each back as it was."""
        woken = [
            await wake(self._reader, self._writer, *item.key.split("/", 1)) for item in step.items
        ]
        return any(woken)


class Waking(Quieting):
    """Quieted webhooks as they were before."""

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Put each back as it was."""
        for item in step.items:
            await wake(self._reader, self._writer, *item.key.split("/", 1))
            await record.write(Phase.AFTER, item=item.key)

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """There is nothing to take back."""
        return False


def restore_actions(
    context: RestoreContext, reader: Reader, writer: Writer
) -> Mapping[str, Action]:
    """How each kind of step is done."""
    return {
        PROCEDURE: Restoring(context),
        PRUNE: Pruning(context),
        FILL: Filling(context),
        PROVIDE: Providing(context),
        **webhook_actions(reader, writer),
    }


def webhook_actions(reader: Reader, writer: Writer) -> dict[str, Action]:
    """The steps that need the cluster alone."""
    return {QUIET: Quieting(reader, writer), WAKE: Waking(reader, writer)}
