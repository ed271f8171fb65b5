"""Writing a run's conditions on its nodes, beside the run and in order for each node.

They are written at best effort: a run neither waits for them on its way nor fails with them, but
before it ends they are brought up to date. States that follow each other faster than they can be
written are skipped, so that a node costs few requests.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime

from shipkeeper.engine import progress
from shipkeeper.engine.journal import Entry, Phase
from shipkeeper.engine.plan import Plan
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.errors import ConflictError, ForbiddenError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import STRATEGIC_PATCH, Writer
from shipkeeper.model.node import Node
from shipkeeper.nodes.conditions import (
    Change,
    Conditions,
    Course,
    change_of,
    foreign_words,
    has_ours,
)

_AT_ONCE = 4
_LAST_WORDS = 30.0  # seconds that the last changes may take once the run is over
_ATTEMPTS = 6
_GATHERING = 0.3  # seconds
_FIRST_PAUSE = 0.1  # seconds


@contextlib.asynccontextmanager
async def signalling(
    reader: Reader,
    writer: Writer,
    plan: Plan,
    run: str,
    entries: Sequence[Entry],
    sink: progress.Sink,
) -> "AsyncGenerator[Signals]":
    """Yield a sink that passes everything on, and keeps the conditions of the plan's nodes.

    `entries` is what the journal holds of the run so far. After the context nothing says any more
    that something is in progress.
    """
    signals = Signals(reader, writer, plan, run, entries, sink)
    writing = [asyncio.create_task(signals.write()) for _ in range(_AT_ONCE)]
    try:
        yield signals
    finally:
        if not signals.is_settled:
            await signals.stop()
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)


class Signals:
    """A sink that passes everything on, and keeps the conditions of a run's nodes."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        plan: Plan,
        run: str,
        entries: Sequence[Entry],
        sink: progress.Sink,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._tell = sink
        self._course = Course(plan)
        for entry in entries:
            if not entry.item:
                self._course.take(entry.step, entry.phase)
        nodes = list(self._course.wanted)
        self._messages = {
            name: f"run {run}, node {number} of {len(nodes)}"
            for number, name in enumerate(nodes, start=1)
        }
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._soon: dict[str, asyncio.TimerHandle] = {}
        # Of a run that only begins, no node shows anything yet; of others it is not known.
        self._written: dict[str, Conditions] = {} if entries else dict.fromkeys(nodes, frozenset())
        self._told: set[str] = set()
        self._is_forbidden = False
        self.is_settled = False
        self._touch(nodes)

    def __call__(self, event: progress.Event) -> None:
        """Pass an event on; if it changes a node's conditions, have them written."""
        self._tell(event)
        match event:
            case progress.StepStarted(step):
                node = self._course.take(step, Phase.BEFORE)
            case progress.StepDone(step):
                node = self._course.take(step, Phase.AFTER)
            case progress.StepFailed(step):
                node = self._course.take(step, Phase.FAILED)
            case progress.StepUndone(step):
                node = self._course.take(step, Phase.UNDONE)
            case _:
                return
        if node:
            self._touch([node])

    def forbid(self, why: str) -> None:
        """Write nothing, and say so once."""
        if not self._is_forbidden:
            self._is_forbidden = True
            self._say_once(f"the nodes' conditions are not kept: {why}")

    async def settle(self) -> None:
        """The run is over: return when the nodes show it, or it takes too long."""
        self._course.end()
        await self._flush()

    async def give_up(self) -> None:
        """The run is given up: return when no node shows it any more, or it takes too long."""
        self._course.give_up()
        await self._flush()

    async def stop(self) -> None:
        """The run stops where it is: return when no node is in progress, or it takes too long."""
        self._course.stop()
        await self._flush()

    async def write(self) -> None:
        """Bring one node after the other up to date, until cancelled."""
        while True:
            name = await self._queue.get()
            try:
                await self._write_node(name)
            finally:
                # Only now, so that no two tasks write one node at a time.
                self._queued.discard(name)
                self._queue.task_done()

    def _touch(self, nodes: Iterable[str]) -> None:
        """Have nodes written after a moment, in which more may change of them."""
        loop = asyncio.get_running_loop()
        for name in nodes:
            if name not in self._queued and not self._is_written(name):
                self._queued.add(name)
                self._soon[name] = loop.call_later(_GATHERING, self._enqueue, name)

    def _enqueue(self, name: str) -> None:
        self._soon.pop(name).cancel()
        self._queue.put_nowait(name)

    def _is_written(self, name: str) -> bool:
        return self._is_forbidden or self._written.get(name) == self._course.wanted[name]

    async def _flush(self) -> None:
        self.is_settled = True
        self._touch(self._course.wanted)
        for name in tuple(self._soon):
            self._enqueue(name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._queue.join()

    async def _write_node(self, name: str) -> None:
        """Write until what is written is what is wanted, which may change meanwhile."""
        for attempt in range(_ATTEMPTS):
            while not self._is_written(name):
                wanted = self._course.wanted[name]
                if not await self._try(name, wanted):
                    break
                self._written[name] = wanted
            else:
                return
            await asyncio.sleep(_FIRST_PAUSE * 2**attempt)

    async def _try(self, name: str, wanted: Conditions) -> bool:
        """Whether the node's conditions are as wanted now, or there is no such node."""
        try:
            await self._change(name, wanted)
        except NotFoundError:
            return True
        except ForbiddenError as error:
            self.forbid(error.message)
            return True
        except ShipkeeperError:
            return False
        return True

    async def _change(self, name: str, wanted: Conditions) -> None:
        node = await self._reader.get(NODES, name)
        change = change_of(node, wanted, self._messages[name], datetime.now(UTC))
        if change.foreign:
            self._say_once(foreign_words(name, change.foreign))
        await _write(self._writer, node, change)

    def _say_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._tell(progress.Note(message, is_warning=True))


async def clear_conditions(reader: Reader, writer: Writer, seen: Node) -> None:
    """Take what runs said of a node away, as it is in service again; at best effort."""
    if not has_ours(seen):
        return
    for attempt in range(_ATTEMPTS):
        try:
            node = await reader.get(NODES, seen.name)
            await _write(writer, node, change_of(node, frozenset(), "", datetime.now(UTC)))
        except ConflictError:
            # Controllers change a node right after its uncordon.
            await asyncio.sleep(_FIRST_PAUSE * 2**attempt)
        except ShipkeeperError:
            return
        else:
            return


async def _write(writer: Writer, node: Node, change: Change) -> None:
    if change.patch is not None:
        await writer.patch(
            NODES, node.name, change.patch, subresource="status", content_type=STRATEGIC_PATCH
        )
