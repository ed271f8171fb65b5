"""A queue of keys for level-triggered work: each is handled by one worker at a time.

What is added while it is handled is handled again afterwards; what is added often meanwhile, once.
"""

import asyncio
from datetime import timedelta

from shipkeeper.kube.backoff import backoff

_FIRST = timedelta(milliseconds=500)
_LONGEST = timedelta(minutes=2)


class WorkQueue:
    """Keys that are to be looked at, now or after a while; `depth` are those that wait."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._handled: set[str] = set()
        self._again: set[str] = set()
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}

    @property
    def depth(self) -> int:
        """How many keys wait for a worker."""
        return len(self._waiting)

    def add(self, key: str) -> None:
        """Have a key handled soon."""
        if key in self._handled:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: str, delay: timedelta) -> None:
        """Have a key handled after a while, unless it is due earlier already."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay.total_seconds()
        known = self._later.get(key)
        if known is not None:
            if known.when() <= due:
                return
            known.cancel()
        self._later[key] = loop.call_at(due, self._fire, key)

    def retry(self, key: str) -> None:
        """Have a key handled again that failed, later each time in a row."""
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        self.add_after(key, backoff(failures, first=_FIRST, longest=_LONGEST))

    def succeeded(self, key: str) -> None:
        """Forget that a key failed."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key; the worker that got it says when it is done."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._handled.add(key)
        return key

    def done(self, key: str) -> None:
        """A worker is done with a key."""
        self._handled.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Let nothing come any more."""
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()

    def _fire(self, key: str) -> None:
        del self._later[key]
        self.add(key)
