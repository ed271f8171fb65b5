"""Limits against guessing passwords, by login and by address."""

import asyncio
import unicodedata
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

# Who guesses for more names than this at once makes the oldest be forgotten, not memory grow.
_KEYS = 50_000

_Key = tuple[str, str]


class Guessing(Protocol):
    """So many failures in a window: of a user from an address, of a user, from an address."""

    @property
    def failures(self) -> int:
        """Of a user from one address."""
        ...

    @property
    def failures_of_login(self) -> int:
        """Of a user, from wherever."""
        ...

    @property
    def failures_of_address(self) -> int:
        """From an address, of whomever."""
        ...


_Counts = tuple[tuple[_Key, int], ...]


class TooManyFailuresError(Exception):
    """Somebody guesses, or seems to; `wait` seconds from now one more attempt is allowed."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"to be tried again in {wait:.0f} s")
        self.wait = wait


class Attempt:
    """One attempt; it failed unless it is said to have succeeded."""

    def __init__(self) -> None:
        self.has_failed = True

    def did_not_fail(self) -> None:
        """It was no guess, or never decided."""
        self.has_failed = False


class Attempts:
    """Failures within the window, and attempts under way, which could become some."""

    def __init__(self, limits: Guessing, window: timedelta, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._window = window.total_seconds()
        self._clock = clock
        self._failures: OrderedDict[_Key, deque[float]] = OrderedDict()
        self._under_way: Counter[_Key] = Counter()
        self._decided = asyncio.Condition()

    @asynccontextmanager
    async def one(self, login: str, client: str) -> AsyncGenerator[Attempt]:
        """One attempt, begun when those under way leave room; TooManyFailuresError."""
        counts = self._counts(login, client)
        async with self._decided:
            while not self._has_room(counts):
                await self._decided.wait()
            self._under_way.update(key for key, _ in counts)
        attempt = Attempt()
        try:
            yield attempt
        finally:
            if attempt.has_failed:
                self._remember(counts)
            async with self._decided:
                for key, _ in counts:
                    self._under_way[key] -= 1
                    if not self._under_way[key]:
                        del self._under_way[key]
                self._decided.notify_all()

    def _has_room(self, counts: _Counts) -> bool:
        now = self._clock()
        wait = max(self._wait(key, most, now) for key, most in counts)
        if wait > 0:
            raise TooManyFailuresError(wait)
        return all(
            len(self._failures.get(key, ())) + self._under_way[key] < most for key, most in counts
        )

    def _remember(self, counts: _Counts) -> None:
        for key, _ in counts:
            self._failures.setdefault(key, deque()).append(self._clock())
            self._failures.move_to_end(key)
        while len(self._failures) > _KEYS:
            self._failures.popitem(last=False)

    def _counts(self, login: str, client: str) -> _Counts:
        # However a name is written, it is one name to most directories.
        name = unicodedata.normalize("NFKC", login).casefold()
        limits = self._limits
        return (
            ((name, client), limits.failures),
            ((name, ""), limits.failures_of_login),
            (("", client), limits.failures_of_address),
        )

    def _wait(self, key: _Key, most: int, now: float) -> float:
        times = self._failures.get(key, deque())
        while times and times[0] <= now - self._window:
            times.popleft()
        return times[0] + self._window - now if len(times) >= most else 0.0
