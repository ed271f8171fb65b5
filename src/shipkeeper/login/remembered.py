"""What was found out lately, for a while: asked for together, it is found out once."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import timedelta

from shipkeeper.login.directory import Person

_MOST = 20_000


class Remembered:
    """People by login, each for `during` from the moment of the question on; failures never are."""

    def __init__(
        self,
        find: Callable[[str], Awaitable[Person]],
        during: timedelta,
        clock: Callable[[], float],
    ) -> None:
        self._find = find
        self._seconds = during.total_seconds()
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, asyncio.Task[Person]]] = OrderedDict()

    async def of(self, login: str) -> Person:
        """The person of a login; whatever `find` raises."""
        began, task = self._found.get(login, (0.0, None))
        if task is None or (task.done() and self._clock() - began >= self._seconds):
            task = self._begin(login)
        # Shielded: one who goes away must not take the answer from the others.
        return await asyncio.shield(task)

    def forget(self, login: str) -> None:
        """Find out anew the next time."""
        self._found.pop(login, None)

    def _begin(self, login: str) -> asyncio.Task[Person]:
        task = asyncio.ensure_future(self._find(login))
        assert isinstance(task, asyncio.Task)  # noqa: S101  (of a coroutine)
        self._found[login] = (self._clock(), task)
        self._found.move_to_end(login)
        while len(self._found) > _MOST:
            self._found.popitem(last=False)
        task.add_done_callback(lambda done: self._settle(login, done))
        return task

    def _settle(self, login: str, task: "asyncio.Task[Person]") -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and self._found.get(login, (0.0, None))[1] is task:
            del self._found[login]
