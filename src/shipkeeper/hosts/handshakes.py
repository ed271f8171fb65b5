"""Many handshakes with few at once, tried again when the server turns some away.

sshd drops connections at random once MaxStartups (10:30:60 by default) of them have not logged in
yet. A bastion in front of a fleet sees all of them.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class TurnedAwayError(Exception):
    """The server closed the connection before it said who it is."""


class Handshakes:
    """At most `at_once` handshakes; one that is turned away is tried `attempts` times in all."""

    def __init__(self, at_once: int = 8, attempts: int = 8, base_seconds: float = 0.25) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._attempts = attempts
        self._base_seconds = base_seconds
        self.turned_away = 0

    async def shake(self, connect: Callable[[], Awaitable[T]]) -> T:
        """Run `connect` in a slot; the last TurnedAwayError is raised."""
        for attempt in range(1, self._attempts):
            try:
                async with self._slots:
                    return await connect()
            except TurnedAwayError:
                self.turned_away += 1
                await asyncio.sleep(backoff(attempt, self._base_seconds, 8.0))
        async with self._slots:
            return await connect()


def backoff(attempt: int, base: float, cap: float) -> float:
    """Seconds to wait after so many failures: doubling, capped, jittered by half."""
    return min(cap, base * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
