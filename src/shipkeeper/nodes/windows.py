"""Maintenance windows: when work on nodes may go on. Pure: the time is always handed in.

A window is a cron expression for its beginnings (`model/cron.py`), a length, and a time zone. The
length is time that really passes. On a day off no window begins, and one that reaches into it ends
at its midnight.
"""

import heapq
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import UsageError
from shipkeeper.model.cron import FIELDS, Cron, CronError, check_cron, check_zone, instant, zone_of
from shipkeeper.model.duration import format_age, format_duration, parse_duration

_A_WEEK = timedelta(days=7)
_NEVER = datetime.max.replace(tzinfo=UTC)
_EXAMPLE = "write it like '0 22 * * sat 4h Europe/Berlin': cron expression, length, time zone"


class Span(msgspec.Struct, frozen=True, order=True):
    """From `start` on, up to but without `end`; both aware."""

    start: datetime
    end: datetime


class DaysOff(msgspec.Struct, frozen=True, kw_only=True):
    """Days without maintenance, in the time zone of each window; both ends belong to them."""

    first: date
    last: date


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Opens whenever `cron` (five fields) says so in `zone`, for `seconds`."""

    cron: str
    seconds: float
    zone: str = "UTC"

    def __str__(self) -> str:
        """The window as it is written on the command line."""
        return f"{self.cron} {format_duration(timedelta(seconds=self.seconds))} {self.zone}"

    def spans(self, since: datetime, days_off: tuple[DaysOff, ...] = ()) -> Iterator[Span]:
        """Each opening that ends after `since`, by its start; they may overlap."""
        zone = zone_of(self.zone)
        length = timedelta(seconds=self.seconds)
        for start in Cron(expression=self.cron, zone=self.zone).after(since - length):
            end = min(start + length, _next_day_off(start, zone, days_off))
            if end > max(start, since):
                yield Span(start, end)


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """Several windows; it is open while one of them is, and without any always."""

    windows: tuple[Window, ...] = ()
    days_off: tuple[DaysOff, ...] = ()

    def is_open(self, at: datetime) -> bool:
        """Whether work may go on at this moment."""
        return self.opens_next(at) == at

    def opens_next(self, after: datetime) -> datetime | None:
        """The first moment from `after` on at which it is open; None if not within ten years."""
        if not self.windows:
            return after
        first = next(self._spans(after), None)
        return max(first.start, after) if first is not None else None

    def closes(self, at: datetime, *, within: timedelta = _A_WEEK) -> datetime | None:
        """When it closes next, for a moment at which it is open.

        `at` itself if it is closed then; None if it stays open for as long as `within`.
        """
        if not self.windows:
            return None
        end = at
        for span in self._spans(at):
            if span.start > end:
                break
            end = max(end, span.end)
            if end >= at + within:
                return None
        return end

    def fits(self, at: datetime, seconds: float) -> bool:
        """Whether work of so many seconds that begins at this moment ends before it closes."""
        if not self.is_open(at):
            return False
        return self.closes(at, within=timedelta(seconds=seconds)) is None

    def _spans(self, since: datetime) -> Iterator[Span]:
        return heapq.merge(*(window.spans(since, self.days_off) for window in self.windows))


# Without windows.
ALWAYS = Windows()


def judge_windows(windows: Windows, now: datetime, seconds: float = 0.0) -> Verdict | None:
    """Why work of so many seconds cannot begin now; None if it can."""
    if windows.fits(now, seconds):
        return None
    if windows.is_open(now):
        end = windows.closes(now) or now
        left = format_duration(end - now)
        needed = format_duration(timedelta(seconds=seconds))
        opens = windows.opens_next(end)
        return _closed("WindowTooShort", f"closes in {left}, and {needed} are needed", opens, now)
    return _closed("WindowClosed", "is closed", windows.opens_next(now), now)


def parse_window(text: str) -> Window:
    """Read a window such as `0 22 * * sat 4h Europe/Berlin`; without a zone it is in UTC.

    Raises UsageError that tells which part is wrong.
    """
    words = text.split()
    if len(words) not in (FIELDS + 1, FIELDS + 2):
        raise _bad(f"{text!r} is not a maintenance window: it has {len(words)} words", _EXAMPLE)
    cron, length, *zones = " ".join(words[:FIELDS]), *words[FIELDS:]
    zone = zones[0] if zones else "UTC"
    try:
        check_cron(cron)
        seconds = parse_duration(length).total_seconds()
        check_zone(zone)
    except CronError as error:
        raise _bad(f"the window {text!r} {error.message}", error.hint or _EXAMPLE) from error
    if seconds < 60:
        raise _bad(f"the window {text!r} is too short: {length}", "let it be a minute or longer")
    return Window(cron=cron, seconds=seconds, zone=zone)


def parse_days_off(text: str) -> DaysOff:
    """Read a day (`2026-12-24`) or a range of days (`2026-12-24..2027-01-06`)."""
    first, _, last = text.strip().partition("..")
    try:
        days = DaysOff(first=date.fromisoformat(first), last=date.fromisoformat(last or first))
    except ValueError as error:
        raise _bad(
            f"{text!r} is not a day off: {error}",
            "write 2026-12-24, or 2026-12-24..2027-01-06 for several days",
        ) from error
    if days.last < days.first:
        raise _bad(f"the days off {text!r} end before they begin", f"write {last}..{first}")
    return days


def parse_windows(windows: tuple[str, ...], days_off: tuple[str, ...] = ()) -> Windows:
    """Read all windows and days off; UsageError for days off without a window."""
    if days_off and not windows:
        raise _bad(
            "days off need a window: they are days of its time zone",
            "for a window that is open on every other day: --window '0 0 * * * 25h Europe/Berlin'",
        )
    return Windows(
        windows=tuple(parse_window(text) for text in windows),
        days_off=tuple(parse_days_off(text) for text in days_off),
    )


def _next_day_off(start: datetime, zone: ZoneInfo, days_off: tuple[DaysOff, ...]) -> datetime:
    """The first moment of the day off that begins next; `start` itself if it is on one."""
    today = start.astimezone(zone).date()
    if any(days.first <= today <= days.last for days in days_off):
        return start
    midnights = (_midnight(days, zone) for days in days_off if days.first > today)
    return min((each for each in midnights if each is not None), default=_NEVER)


def _midnight(days: DaysOff, zone: ZoneInfo) -> datetime | None:
    """When they begin; None if the zone left all of them out."""
    day = days.first
    while day <= days.last:
        begin = instant(datetime.combine(day, time.min), zone)
        if begin.astimezone(zone).date() == day:
            return begin
        day += timedelta(days=1)
    return None


def _bad(message: str, hint: str) -> UsageError:
    return UsageError(message, reason="InvalidWindow", hint=hint)


def _closed(reason: str, message: str, opens: datetime | None, now: datetime) -> Verdict:
    if opens is None:
        when = "and does not open within ten years"
    else:
        when = f"and opens at {opens.astimezone(UTC):%F %T}Z (in {format_age(opens - now)})"
    return Verdict(
        target="window",
        effect=Effect.WAIT,
        reason=reason,
        message=f"the maintenance window {message}, {when}",
        remedy="wait for it, or begin without --window",
    )
