"""Appointments: what is to be attended to, and when."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

K = TypeVar("K")


class Timetable(Generic[K]):
    """At most one appointment a key, kept by a fixed number of tasks.

    Two appointments of one key are never kept at the same time. Times are the event loop's.
    """

    def __init__(self, keep: Callable[[K], Awaitable[None]], *, at_once: int) -> None:
        self._keep = keep
        self._at_once = at_once
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._due: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._busy: set[K] = set()

    def at(self, key: K, when: float) -> None:
        """Make an appointment; if the key has one already, the earlier of the two stays."""
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_at(when, self._fall_due, key)

    def cancel(self, key: K) -> None:
        """Drop a key's appointment; what is being attended to goes on."""
        self._waiting.discard(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _fall_due(self, key: K) -> None:
        del self._timers[key]
        self._waiting.add(key)
        if key not in self._busy:
            self._due.put_nowait(key)

    async def run(self) -> None:
        """Keep appointments until cancelled; an exception from one ends them all."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._due.get()
            # A key stands in the queue twice when it was cancelled there and fell due again.
            if key not in self._waiting or key in self._busy:
                continue
            self._waiting.discard(key)
            self._busy.add(key)
            await self._keep(key)
            self._busy.discard(key)
            if key in self._waiting:
                self._due.put_nowait(key)
