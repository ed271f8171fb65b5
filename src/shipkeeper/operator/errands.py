"""Work that takes longer than a reconcile may: done beside it, one piece at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Errands(Generic[T]):
    """Pieces of work by key; `changed` is called with a key when its work is done.

    One at a time, because each may hold a whole cluster in memory.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._turn = asyncio.Lock()
        self._going: dict[str, asyncio.Task[T]] = {}

    def outcome(self, key: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """What the work came to, told once; None while it goes on. Raises what it raised."""
        task = self._going.get(key)
        if task is None:
            self._going[key] = task = asyncio.create_task(self._run(work))
            task.add_done_callback(lambda _: self._changed(key))
            return None
        if not task.done():
            return None
        del self._going[key]
        return task.result()

    def is_under_way(self, key: str) -> bool:
        """Whether the work of a key waits for its turn, goes on, or is done and not yet told."""
        return key in self._going

    def drop(self, key: str) -> None:
        """Nobody wants the work of a key any more."""
        task = self._going.pop(key, None)
        if task is not None:
            task.cancel()

    async def stop(self) -> None:
        """Stop everything."""
        tasks = tuple(self._going.values())
        self._going.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self._turn:
            return await work()
