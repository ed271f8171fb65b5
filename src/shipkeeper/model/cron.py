"""Times by cron expression in a time zone. Pure: the time is always handed in.

Times are counted on the wall clock, each exactly once, as calendars do it (RFC 5545, section
3.3.5): one that falls into an hour that the clock repeats is the first of the two, one in an hour
that it skips comes as long after the hour before as it says (02:30 at 03:30).
"""

import difflib
import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from cronsim import CronSim, CronSimError

from shipkeeper.errors import ShipkeeperError, UsageError

FIELDS = 5
HORIZON = timedelta(days=3660)
"""How far times are looked for."""
# No clock was ever put forward or back by more (Samoa left out a whole day in 2011).
_LARGEST_SHIFT = timedelta(hours=25)
_EXAMPLE = "write it like '0 3 * * *' Europe/Berlin: minute, hour, day, month, weekday; time zone"


class CronError(ShipkeeperError):
    """A cron expression or a time zone makes no sense; whoever reads it says where it stood."""


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A moment whenever `expression` (five fields) says so in `zone`.

    With `repeats`, an expression for every hour (`*` or `*/2`) also counts the hour that the clock
    repeats, so that no pause is longer than it says.
    """

    expression: str
    zone: str = "UTC"
    repeats: bool = False

    def __str__(self) -> str:
        """The expression and its zone, as they are written."""
        return f"{self.expression} {self.zone}"

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Each moment later than an aware one, in UTC and in order, for ten years."""
        last = moment
        for each in self._in_order(moment):
            if each > last:
                yield each
                last = each

    def next(self, moment: datetime) -> datetime | None:
        """The first moment later than this one; None if there is none within ten years."""
        return next(self.after(moment), None)

    def shortest_pause(self, moment: datetime, count: int = 50) -> timedelta | None:
        """The least time between two of the next moments; None if there are not two."""
        times = list(islice(self.after(moment), count))
        pauses = (later - earlier for earlier, later in pairwise(times))
        return min(pauses, default=None)

    def _in_order(self, moment: datetime) -> Iterator[datetime]:
        """A skipped hour's times come after later ones of the wall clock: they wait their turn."""
        zone = zone_of(self.zone)
        wall = moment.astimezone(zone).replace(tzinfo=None)
        waiting: list[datetime] = []
        for each in CronSim(self.expression, wall - _LARGEST_SHIFT):
            if each > wall + HORIZON:
                break
            start = instant(each, zone)
            while waiting and waiting[0] <= start - _LARGEST_SHIFT:
                yield heapq.heappop(waiting)
            heapq.heappush(waiting, start)
            if self._is_hourly and (again := instant(each, zone, fold=1)) > start:
                heapq.heappush(waiting, again)
        while waiting:
            yield heapq.heappop(waiting)

    @property
    def _is_hourly(self) -> bool:
        return self.repeats and self.expression.split()[1].startswith("*")


class CronFields(msgspec.Struct, frozen=True, kw_only=True):
    """Which numbers of each field count; None is every one. Weekdays count from Sunday as 0.

    `either_day`: a day counts if its number or its weekday does; else both must.
    """

    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    days: tuple[int, ...] | None
    months: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None
    either_day: bool


def fields_of(expression: str) -> CronFields:
    """The numbers of an expression; CronError for days that no number tells (`L`, `LW`, `5#2`)."""
    read = CronSim(expression, datetime(2026, 1, 1))
    numbers = {each for each in read.weekdays if isinstance(each, int)}
    if numbers != read.weekdays or min(read.days) < 0:
        raise CronError("names days by their place in the month", hint="write the days as numbers")
    return CronFields(
        minutes=_some(read.minutes, 60),
        hours=_some(read.hours, 24),
        days=_some(read.days, 31),
        months=_some(read.months, 12),
        weekdays=_some({each % 7 for each in numbers}, 7),
        either_day=not read.day_and,
    )


def _some(numbers: set[int], of: int) -> tuple[int, ...] | None:
    return None if len(numbers) == of else tuple(sorted(numbers))


def instant(wall: datetime, zone: ZoneInfo, *, fold: int = 0) -> datetime:
    """The moment of a time on the wall clock, in UTC.

    With fold=0 a repeated time is its first occurrence, and a skipped one is taken with the offset
    from before (PEP 495), which is what RFC 5545 asks for.
    """
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The time zone of a name that was checked."""
    return ZoneInfo(name)


def check_cron(expression: str) -> None:
    """CronError if it cannot be read, or never comes true."""
    try:
        never = next(CronSim(expression, datetime(2026, 1, 1)), None) is None
    except CronSimError as error:
        raise CronError(f"has a bad cron expression: {error}", hint="") from error
    if never:
        raise CronError("never comes true", hint="is there such a day in a calendar?")


@lru_cache(maxsize=1)
def known_zones() -> frozenset[str]:
    """The names of all time zones that are known here."""
    # Looks into hundreds of files: an operator with as many schedules stood still for seconds.
    return frozenset(available_timezones())


def check_zone(zone: str) -> None:
    """CronError that names what comes near if there is no such time zone."""
    known = known_zones()
    if zone not in known:
        near = difflib.get_close_matches(zone, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "name one such as Europe/Berlin"
        raise CronError(f"has no time zone {zone!r}", hint=hint)


def parse_schedule(expression: str, zone: str = "UTC") -> Cron:
    """Read a schedule; UsageError that tells which part is wrong."""
    words = expression.split()
    if len(words) != FIELDS:
        raise _bad(f"{expression!r} is not a schedule: it has {len(words)} fields", _EXAMPLE)
    expression = " ".join(words)
    try:
        check_cron(expression)
        check_zone(zone)
    except CronError as error:
        raise _bad(
            f"the schedule {expression!r} {error.message}", error.hint or _EXAMPLE
        ) from error
    return Cron(expression=expression, zone=zone, repeats=True)


def _bad(message: str, hint: str) -> UsageError:
    return UsageError(message, reason="InvalidSchedule", hint=hint)
