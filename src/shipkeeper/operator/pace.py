"""How often something may be written. Pure."""

from datetime import timedelta

# A wait that is shorter is none: a timer could not keep it.
_SHORTEST = 0.001  # seconds


class Pace:
    """For each key, no more than once in an interval; moments are in seconds of any clock."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval.total_seconds()
        self._last: dict[str, float] = {}

    def begin(self, key: str, now: float) -> timedelta:
        """How long to wait; none if it may be now, which then counts as done."""
        left = self._last.get(key, now - self._interval) + self._interval - now
        if left >= _SHORTEST:
            return timedelta(seconds=left)
        self._last[key] = now
        return timedelta(0)

    def forget(self, key: str) -> None:
        """Nothing more is written of a key."""
        self._last.pop(key, None)
