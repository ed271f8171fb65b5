"""A schedule of backups, what is remembered of it, and when its next time is. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Literal

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.model.cron import Cron
from shipkeeper.model.duration import format_duration

# What is late by no more than this is on time.
PUNCTUAL = timedelta(minutes=1)
_COUNTED = 1000

Step = Literal["backup", "prune", "verify"]


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When backups are made, and how: see the command's flags."""

    cron: Cron
    jitter: timedelta = timedelta(0)
    missed: Literal["run", "skip"] = "run"
    retries: int = 3
    verify_every: int = 0


class Remembered(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of a schedule beyond one process; durations in seconds, sizes in bytes.

    `unverified` are the backups since the repository was last verified.
    """

    last_attempt: datetime | None = None
    last_success: datetime | None = None
    last_duration: float = 0.0
    objects: int = 0
    added_bytes: int = 0
    incomplete: bool = False
    unverified: int = 0
    failures: dict[Step, int] = {}

    def with_failure(self, step: Step) -> "Remembered":
        """The same, with one more failure of a step."""
        failures = {**self.failures, step: self.failures.get(step, 0) + 1}
        return msgspec.structs.replace(self, failures=failures)


class Due(msgspec.Struct, frozen=True):
    """The next time of a schedule, and how many before it were passed over."""

    at: datetime
    passed: int = 0


def next_due(schedule: Schedule, last_attempt: datetime | None, now: datetime) -> Due | None:
    """The latest time since the last attempt that is over, else the next; None without any.

    An attempt that lies in the future was made by a clock that was wrong, and is not counted.
    """
    after = now if last_attempt is None or last_attempt > now + PUNCTUAL else last_attempt
    over = list(islice(takewhile(lambda each: each <= now, schedule.cron.after(after)), _COUNTED))
    if over:
        return Due(over[-1], len(over) - 1)
    found = schedule.cron.next(max(after, now))
    return Due(found) if found is not None else None


def coming(schedule: Schedule, now: datetime) -> Iterator[datetime]:
    """The times from now on."""
    return schedule.cron.after(now)


def require_sense(schedule: Schedule, now: datetime) -> None:
    """UsageError for numbers below 0, and for a jitter that reaches into the next time."""
    if schedule.retries < 0 or schedule.verify_every < 0:
        raise _bad("retries and backups between verifications are counted from 0", "leave them out")
    pause = schedule.cron.shortest_pause(now)
    if pause is not None and schedule.jitter >= pause:
        raise _bad(
            f"a jitter of {format_duration(schedule.jitter)} reaches into the next backup, "
            f"which may come {format_duration(pause)} later",
            f"let --jitter be shorter than {format_duration(pause)}",
        )


def _bad(message: str, hint: str) -> UsageError:
    return UsageError(message, reason="InvalidSchedule", hint=hint)
