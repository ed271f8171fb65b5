"""How often something may be written, or tried. Pure."""

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


class Rests:
    """What failed and is not tried again for a while; moments are in seconds of any clock."""

    def __init__(self, length: timedelta) -> None:
        self._length = length.total_seconds()
        self._until: dict[str, float] = {}

    def begin(self, key: str, now: float) -> None:
        """It failed just now."""
        self._until = {each: until for each, until in self._until.items() if until > now}
        self._until[key] = now + self._length

    def left(self, key: str, now: float) -> timedelta:
        """How long it is not tried again."""
        left = self._until.get(key, now) - now
        return timedelta(seconds=left) if left >= _SHORTEST else timedelta(0)

    def end(self) -> None:
        """Things are not as they were: whatever rests may be tried again."""
        self._until.clear()
