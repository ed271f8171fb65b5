"""Work that takes longer than a reconcile may: done beside it, one piece at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Generic, TypeVar

import msgspec

from shipkeeper.operator.api.kind import CustomObject

T = TypeVar("T")


class _Errand(msgspec.Struct, Generic[T], frozen=True):
    """A piece of work, the UID of the object that it is for, and the generation of its spec."""

    uid: str
    generation: int
    task: asyncio.Task[T]


class Errands(Generic[T]):
    """Pieces of work, one for each object; `changed` is called with its key when it is done.

    One at a time, because each may hold a whole cluster in memory, or as many as a `turn` has;
    `slots` bounds them beside those of other kinds, and kinds that share a `turn` take it between
    them. What is done for an object is never told to another of its name, nor, if it is `of_spec`,
    once that has changed.
    """

    def __init__(
        self,
        changed: Callable[[str], None],
        slots: asyncio.Semaphore | None = None,
        turn: asyncio.Lock | asyncio.Semaphore | None = None,
        *,
        of_spec: bool = False,
    ) -> None:
        self._changed = changed
        self._turn = turn or asyncio.Lock()
        self._slots = slots or nullcontext()
        self._of_spec = of_spec
        self._going: dict[str, _Errand[T]] = {}

    def outcome(self, found: CustomObject, work: Callable[[], Awaitable[T]]) -> T | None:
        """What the work came to, told once; None while it goes on. Raises what it raised."""
        key = found.key
        if not self.is_under_way(found):
            self.drop(key)
            task = asyncio.create_task(self._run(work))
            task.add_done_callback(lambda _: self._changed(key))
            self._going[key] = _Errand(found.uid, found.metadata.generation, task)
            return None
        task = self._going[key].task
        if not task.done():
            return None
        del self._going[key]
        return task.result()

    def is_under_way(self, found: CustomObject) -> bool:
        """Whether an object's work waits for its turn, goes on, or is done and not yet told."""
        errand = self._going.get(found.key)
        if errand is None or errand.uid != found.uid:
            return False
        return not self._of_spec or errand.generation == found.metadata.generation

    def drop(self, key: str) -> None:
        """Nobody wants the work of a key any more."""
        errand = self._going.pop(key, None)
        if errand is not None:
            errand.task.cancel()

    async def halt(self, key: str) -> None:
        """Nobody wants the work of a key any more, and it does nothing more when this returns."""
        errand = self._going.pop(key, None)
        if errand is not None:
            errand.task.cancel()
            await asyncio.gather(errand.task, return_exceptions=True)

    async def stop(self) -> None:
        """Stop everything."""
        tasks = [each.task for each in self._going.values()]
        self._going.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self._turn, self._slots:
            return await work()
