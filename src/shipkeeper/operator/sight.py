"""The whole cluster in memory: once at a time, however many plans are made of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec

from shipkeeper.kube.reader import Reader
from shipkeeper.nodes.fleet.observe import Whole, observe_whole
from shipkeeper.operator.priority_lock import PriorityLock

# A hundred plans may wait for their turn: each is made of what was read after it was asked for, and
# not longer ago than this.
_FRESH_SECONDS = 15.0


class _Seen(msgspec.Struct, frozen=True):
    """The cluster as it was read; `began` is when, by the loop's clock."""

    began: float
    whole: Whole


class Sight:
    """Takes turns between all who have every pod in memory."""

    def __init__(self) -> None:
        self._turns = PriorityLock()
        self._seen: _Seen | None = None
        self._end: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """A turn for somebody who reads the cluster in their own way."""
        async with self._turns.held():
            self._forget()
            yield

    @asynccontextmanager
    async def of(self, reader: Reader, asked: float) -> AsyncGenerator[Whole]:
        """The cluster as it was at the moment `asked` of the loop's clock, or later.

        Nobody keeps it beyond the context: whoever has the next turn may read all pods anew.
        """
        async with self._turns.held():
            yield await self._look(reader, asked)

    @asynccontextmanager
    async def now(self, reader: Reader) -> AsyncGenerator[Whole]:
        """The cluster as it is now, before all others that wait: a run stands still until then."""
        asked = asyncio.get_running_loop().time()
        async with self._turns.held(in_hurry=True):
            yield await self._look(reader, asked)

    async def _look(self, reader: Reader, asked: float) -> Whole:
        loop = asyncio.get_running_loop()
        began = loop.time()
        seen = self._seen
        if seen is None or seen.began < max(asked, began - _FRESH_SECONDS):
            self._forget()
            del seen
            seen = _Seen(began, await observe_whole(reader))
            self._seen = seen
            self._end = loop.call_later(_FRESH_SECONDS, self._forget)
        return seen.whole

    def _forget(self) -> None:
        self._seen = None
        if self._end is not None:
            self._end.cancel()
            self._end = None
