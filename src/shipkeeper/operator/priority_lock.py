"""One at a time, in the order in which they came; whoever is in a hurry goes first."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count


class PriorityLock:
    """As asyncio.Lock, but for those in a hurry: they go before all others that wait."""

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @asynccontextmanager
    async def held(self, *, in_hurry: bool = False) -> AsyncGenerator[None]:
        """A turn, for the length of the context."""
        await self._take(in_hurry=in_hurry)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, *, in_hurry: bool) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (not in_hurry, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It came at the same moment.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            _, _, turn = heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False
