"""Noticing that this machine's clock was set: whatever waits for a time is then looked at again.

Leases, pauses and deadlines count by a clock that nobody sets; windows and schedules are of the
time of day, and a timer that was set for one of them is wrong once the clock is another.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shipkeeper.model.duration import format_duration

_LOOK_EVERY = 1.0  # seconds
# Clocks that are kept right by the network are moved by less than this at a time.
_JUMP = timedelta(seconds=5)


async def watch_clock(jumped: Callable[[timedelta], None]) -> None:
    """Tell by how much the clock was set, forward or (below 0) back, until cancelled."""
    known = _offset()
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        now = _offset()
        if abs(now - known) >= _JUMP:
            jumped(now - known)
        known = now


def in_words(jump: timedelta) -> str:
    """Such as `the clock was set forward by 3h`."""
    direction = "back" if jump < timedelta(0) else "forward"
    return f"the clock was set {direction} by {format_duration(abs(jump))}"


def _offset() -> timedelta:
    return datetime.now(UTC) - datetime.fromtimestamp(time.monotonic(), UTC)
