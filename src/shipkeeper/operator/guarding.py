"""Work that goes on beside: a mistake of ours in one piece of it must not take all others along."""

import traceback
from collections.abc import Awaitable
from typing import TypeVar

from shipkeeper.errors import ShipkeeperError
from shipkeeper.operator.scene import Scene

T = TypeVar("T")


async def guarded(scene: Scene, work: Awaitable[T]) -> T:
    """What the work comes to; whatever it raises is a ShipkeeperError."""
    try:
        return await work
    except ShipkeeperError:
        raise
    except Exception as error:
        # Only where it was: a message may quote what it was about.
        scene.say("".join(traceback.format_tb(error.__traceback__)))
        raise ShipkeeperError(
            f"{type(error).__name__} in {_place(error)}",
            reason="Unexpected",
            hint="see the operator's log, and report it",
        ) from None


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.name}, line {last.lineno}"
