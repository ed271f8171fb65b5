"""Durations as kubectl writes and reads them (`90s`, `5m0s`, `1h30m`)."""

import re
from datetime import timedelta

from shipkeeper.errors import UsageError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
_CENTURY = 100 * 366 * 86400.0  # seconds; what is later than the year 9999 is no time at all
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|h|m|s)")


def parse_duration(text: str) -> timedelta:
    """Read a duration in Go's notation, of at most a century; a bare 0 is allowed.

    UsageError otherwise.
    """
    stripped = text.strip()
    if stripped == "0":
        return timedelta(0)
    parts = _PART.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise UsageError(
            f"{text!r} is not a duration",
            reason="InvalidDuration",
            hint="write it like 30s, 5m or 1h30m",
        )
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > _CENTURY:
        raise UsageError(
            f"{text!r} is longer than a century",
            reason="InvalidDuration",
            hint="write it like 30s, 5m or 1h30m",
        )
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration in Go's notation, to the second (`1m30s`)."""
    total = round(duration.total_seconds())
    hours, rest = divmod(total, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def format_age(duration: timedelta) -> str:
    """Write an age as kubectl's tables do, in at most two units (`5d`, `3h20m`, `42s`)."""
    total = max(int(duration.total_seconds()), 0)
    days, hours, minutes = total // 86400, total // 3600, total // 60
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"
