"""Looking at many things, each of which may not let itself be looked at."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from shipkeeper.engine.finding import Unchecked
from shipkeeper.errors import ShipkeeperError

T = TypeVar("T")


class Looking:
    """What could not be looked at is noted, and the other looks go on."""

    def __init__(self) -> None:
        self._unchecked: list[Unchecked] = []

    async def _try(self, what: str, look: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """What a look gives; if it fails, that it was not made."""
        try:
            return await look()
        except ShipkeeperError as error:
            self._skip(what, error.message, is_gap=True)
            return otherwise

    def _skip(self, what: str, why: str, *, is_gap: bool = False) -> None:
        self._unchecked.append(Unchecked(what=what, why=why, is_gap=is_gap))
