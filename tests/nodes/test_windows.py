"""Maintenance windows, held against a walk through every minute."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.engine.verdict import Effect
from shipkeeper.errors import UsageError
from shipkeeper.nodes.windows import (
    DaysOff,
    Window,
    Windows,
    judge_windows,
    parse_days_off,
    parse_window,
    parse_windows,
)

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LONGEST = 2000  # minutes


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Pattern(msgspec.Struct, frozen=True):
    """A cron expression that needs no parser: None is a star."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None

    def __str__(self) -> str:
        written = [
            "*" if each is None else ",".join(str(number) for number in each)
            for each in (self.minutes, self.hours, self.weekdays)
        ]
        return f"{written[0]} {written[1]} * * {written[2]}"

    def matches(self, wall: datetime) -> bool:
        return (
            wall.minute in self.minutes
            and (self.hours is None or wall.hour in self.hours)
            and (self.weekdays is None or wall.isoweekday() % 7 in self.weekdays)
        )


class Moment(msgspec.Struct, frozen=True):
    """One minute: its date, and every time on the wall clock that counts as it."""

    day: date
    walls: tuple[datetime, ...]


@lru_cache(maxsize=64)
def moments_of(zone: str, first: datetime, count: int) -> list[Moment]:
    """A walk through so many minutes, with its eyes on the clock."""
    found: list[Moment] = []
    before = offset_of(first - MINUTE, zone)
    skipped_until, old = first, before
    for number in range(count):
        at = first + number * MINUTE
        local, now = at.astimezone(ZoneInfo(zone)), offset_of(at, zone)
        if now > before:
            skipped_until, old = at + (now - before), before
        before = now
        walls = [local.replace(tzinfo=None)] if local.fold == 0 else []
        if at < skipped_until:
            walls.append((at + old).replace(tzinfo=None))
        found.append(Moment(local.date(), tuple(walls)))
    return found


def offset_of(at: datetime, zone: str) -> timedelta:
    return at.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0)


class Calendar:
    """What is open in every minute of three days, found by walking through all of them."""

    def __init__(
        self, pattern: Pattern, minutes: int, zone: str, off: DaysOff | None, begin: datetime
    ) -> None:
        self.begin = begin
        self.open: list[bool] = []
        open_until = 0
        days = LONGEST // 1440 + 1
        walk = moments_of(zone, begin - days * DAY, (days + 3) * 1440)
        for number, moment in enumerate(walk):
            if off is not None and off.first <= moment.day <= off.last:
                open_until = number
            elif any(pattern.matches(wall) for wall in moment.walls):
                open_until = number + minutes
            if number >= days * 1440:
                self.open.append(number < open_until)

    def turns(self) -> list[int]:
        """The minutes that are not as the one before."""
        pairs = enumerate(pairwise(self.open), start=1)
        return [number for number, (before, now) in pairs if before is not now]

    def next_like(self, minute: int, is_open: bool) -> int | None:
        """The first minute from one on that is open, or closed."""
        for later in range(minute, len(self.open)):
            if self.open[later] is is_open:
                return later
        return None


# Days on which the clocks of a zone change, and days on which they do not: one hour at 01:00 UTC,
# at 02:00, at midnight, half an hour, two hours, a whole day left out, and none.
DAYS = [
    ("Europe/Berlin", "2026-03-28"),
    ("Europe/Berlin", "2026-10-24"),
    ("America/New_York", "2026-03-07"),
    ("America/New_York", "2026-10-31"),
    ("America/Havana", "2026-03-07"),
    ("America/Havana", "2026-10-31"),
    ("Asia/Beirut", "2026-03-28"),
    ("Asia/Beirut", "2026-10-24"),
    ("Africa/Cairo", "2026-04-23"),
    ("Africa/Cairo", "2026-10-29"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Antarctica/Troll", "2026-03-28"),
    ("Antarctica/Troll", "2026-10-24"),
    ("Pacific/Apia", "2011-12-29"),
    ("Asia/Kathmandu", "2026-06-01"),
    ("UTC", "2026-02-27"),
]


def some(highest: int) -> st.SearchStrategy[tuple[int, ...]]:
    numbers = st.lists(st.integers(0, highest), min_size=1, max_size=3, unique=True)
    return numbers.map(lambda found: tuple(sorted(found)))


PATTERNS = st.builds(
    Pattern, some(59), st.none() | some(4) | some(23), st.none() | some(6) | some(6)
)


@st.composite
def days_off(draw: st.DrawFn, begin: date) -> DaysOff:
    first = begin + timedelta(days=draw(st.integers(-1, 3)))
    return DaysOff(first=first, last=first + timedelta(days=draw(st.integers(0, 1))))


@st.composite
def calendars(draw: st.DrawFn) -> tuple[Windows, Calendar]:
    zone, day = draw(st.sampled_from(DAYS))
    begin = utc(day)
    pattern = draw(PATTERNS)
    minutes = draw(st.integers(1, 200) | st.integers(1, LONGEST))
    off = draw(st.none() | days_off(begin.date()))
    window = Window(cron=str(pattern), seconds=minutes * 60.0, zone=zone)
    windows = Windows(windows=(window,), days_off=(off,) if off else ())
    return windows, Calendar(pattern, minutes, zone, off, begin)


@settings(max_examples=100, deadline=None)
@given(calendars(), st.lists(st.integers(0, 3 * 24 * 60 - 1), max_size=2), st.randoms())
def test_every_minute_is_as_a_walk_through_all_of_them_finds_it(
    case: tuple[Windows, Calendar], moments: list[int], random: Random
) -> None:
    windows, calendar = case
    turns = calendar.turns()
    picked = random.sample(turns, min(len(turns), 4))
    for minute in (*moments, *picked, *(each - 1 for each in picked)):
        at = calendar.begin + minute * MINUTE
        assert windows.is_open(at) is calendar.open[minute]
        opens = calendar.next_like(minute, True)
        found = windows.opens_next(at)
        if opens is None:
            assert found is None or found >= calendar.begin + 3 * DAY
        else:
            assert found == calendar.begin + opens * MINUTE
        closes = calendar.next_like(minute, False)
        end = windows.closes(at, within=3 * DAY)
        if closes is None:
            assert end is None or end >= calendar.begin + 3 * DAY
        else:
            assert end == calendar.begin + closes * MINUTE


@settings(max_examples=60, deadline=None)
@given(calendars(), st.integers(0, 2000), st.integers(0, 2000))
def test_work_fits_if_every_minute_of_it_is_open(
    case: tuple[Windows, Calendar], minute: int, length: int
) -> None:
    windows, calendar = case
    fits = windows.fits(calendar.begin + minute * MINUTE, length * 60.0)
    assert fits is all(calendar.open[minute : minute + max(length, 1)])


def opens(windows: Windows, begin: str, count: int) -> list[str]:
    """The first openings from one moment on, on the wall clock."""
    zone = ZoneInfo(windows.windows[0].zone)
    found: list[str] = []
    at: datetime | None = utc(begin)
    while at is not None and len(found) < count:
        at = windows.opens_next(at)
        if at is not None:
            found.append(f"{at.astimezone(zone):%m-%d %H:%M %Z}")
            at = windows.closes(at)
    return found


def test_a_beginning_in_the_skipped_hour_opens_once() -> None:
    windows = parse_windows(("30 2 * * * 10m Europe/Berlin",))
    expected = ["03-28 02:30 CET", "03-29 03:30 CEST", "03-30 02:30 CEST"]
    assert opens(windows, "2026-03-28", 3) == expected


def test_a_beginning_in_the_repeated_hour_opens_once() -> None:
    windows = parse_windows(("30 2 * * * 10m Europe/Berlin",))
    expected = ["10-24 02:30 CEST", "10-25 02:30 CEST", "10-26 02:30 CET"]
    assert opens(windows, "2026-10-24", 3) == expected


def test_the_length_is_time_that_really_passes() -> None:
    windows = parse_windows(("0 0 * * sun 4h Europe/Berlin",))
    end = windows.closes(utc("2026-10-25T00:00"))
    assert end is not None
    assert end.astimezone(ZoneInfo("Europe/Berlin")).hour == 3


def test_a_day_off_shuts_what_begins_on_it_and_cuts_what_reaches_into_it() -> None:
    windows = parse_windows(("0 22 * * * 4h Europe/Berlin",), ("2026-12-24..2026-12-26",))
    assert opens(windows, "2026-12-22T12:00", 3) == [
        "12-22 22:00 CET",
        "12-23 22:00 CET",
        "12-27 22:00 CET",
    ]
    assert windows.closes(utc("2026-12-23T22:00")) == utc("2026-12-23T23:00")
    assert not windows.is_open(utc("2026-12-27T00:30"))


def test_several_windows_that_touch_are_one() -> None:
    windows = parse_windows(("0 20 * * * 2h", "0 22 * * * 1h", "30 22 * * * 2h America/Lima"))
    assert windows.closes(utc("2026-06-01T20:30")) == utc("2026-06-01T23:00")
    assert windows.opens_next(utc("2026-06-01T23:00")) == utc("2026-06-02T03:30")


def test_without_a_window_it_is_always_open() -> None:
    now = utc("2026-06-01")
    assert Windows().is_open(now)
    assert Windows().closes(now) is None
    assert Windows().fits(now, 1e9)
    assert judge_windows(Windows(), now, 1e9) is None


def test_a_window_that_never_shuts_has_no_end() -> None:
    windows = parse_windows(("0 0 * * * 25h Europe/Berlin",))
    assert windows.closes(utc("2026-10-20")) is None
    assert windows.fits(utc("2026-10-20"), 86400.0 * 20)


def test_rare_windows_are_found() -> None:
    windows = parse_windows(("0 3 29 2 * 1h",))
    assert windows.opens_next(utc("2026-01-01")) == utc("2028-02-29T03:00")
    shut = parse_windows(("0 3 29 2 * 1h",), ("2026-01-01..2099-12-31",))
    assert shut.opens_next(utc("2026-01-01")) is None


def test_what_stands_in_the_way_is_said() -> None:
    windows = parse_windows(("0 22 * * sat 4h Europe/Berlin",))
    closed = judge_windows(windows, utc("2026-11-26T21:00"))
    assert closed is not None
    assert closed.effect is Effect.WAIT
    assert closed.reason == "WindowClosed"
    assert "opens at 2026-11-28 21:00:00Z (in 2d)" in closed.message
    late = judge_windows(windows, utc("2026-11-29T00:30"), 3600)
    assert late is not None
    assert late.reason == "WindowTooShort"
    assert "closes in 30m0s, and 1h0m0s are needed" in late.message
    assert judge_windows(windows, utc("2026-11-29T00:30"), 1800) is None


def test_a_window_is_read_as_it_is_written() -> None:
    window = parse_window(" 0 22  * * sat 1h30m   Europe/Berlin ")
    assert window == Window(cron="0 22 * * sat", seconds=5400, zone="Europe/Berlin")
    assert parse_window(str(window)) == window
    assert parse_window("*/5 0-6 1,15 jan-mar * 90s").zone == "UTC"
    assert parse_days_off("2026-12-24") == DaysOff(
        first=date(2026, 12, 24), last=date(2026, 12, 24)
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "0 words", "cron expression, length, time zone"),
        ("0 22 * * 4h UTC extra more too", "9 words", "Europe/Berlin"),
        ("0 25 * * * 4h UTC", "Bad hour", "cron expression"),
        ("0 22 * * sat UTC 4h", "'UTC' is not a duration", "1h30m"),
        ("0 22 * * sat 4h Europe/Berln", "no time zone 'Europe/Berln'", "Europe/Berlin"),
        ("0 22 * * sat 30s UTC", "too short", "a minute"),
        ("0 22 30 2 * 4h UTC", "Bad day-of-month", ""),
    ],
)
def test_a_bad_window_is_explained(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_window(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["tomorrow", "2026-02-30", "2026-12-26..2026-12-24", ""])
def test_bad_days_off_are_explained(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_days_off(text)
    assert caught.value.reason == "InvalidWindow"


def test_days_off_alone_say_nothing() -> None:
    with pytest.raises(UsageError, match="need a window"):
        parse_windows((), ("2026-12-24",))
