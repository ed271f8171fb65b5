"""Times by cron expression, held against a walk through every minute."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.errors import UsageError
from shipkeeper.model import cron
from shipkeeper.model.cron import Cron, CronError, fields_of, parse_schedule
from tests.nodes.test_windows import DAYS, MINUTE, PATTERNS, Pattern, moments_of, utc

WALK = 3 * 1440


def walked(pattern: Pattern, zone: str, begin: datetime, *, repeats: bool) -> list[datetime]:
    """The minutes that count, found by looking at each."""
    is_hourly = repeats and pattern.hours is None
    found: list[datetime] = []
    for number, moment in enumerate(moments_of(zone, begin, WALK)):
        at = begin + number * MINUTE
        local = at.astimezone(ZoneInfo(zone))
        again = is_hourly and local.fold == 1 and pattern.matches(local.replace(tzinfo=None))
        if again or any(pattern.matches(wall) for wall in moment.walls):
            found.append(at)
    return found


@settings(max_examples=150, deadline=None)
@given(PATTERNS, st.sampled_from(DAYS), st.booleans(), st.integers(0, WALK - 1))
def test_every_time_is_as_a_walk_through_all_minutes_finds_it(
    pattern: Pattern, place: tuple[str, str], repeats: bool, start: int
) -> None:
    zone, day = place
    begin, end = utc(day), utc(day) + WALK * MINUTE
    cron = Cron(expression=str(pattern), zone=zone, repeats=repeats)
    expected = walked(pattern, zone, begin, repeats=repeats)
    moment = begin + start * MINUTE
    found = list(takewhile(lambda each: each < end, cron.after(moment)))
    assert found == [each for each in expected if each > moment]
    # Beginning anywhere between two times makes no difference.
    assert cron.next(moment + timedelta(seconds=59)) == next(
        (each for each in expected if each > moment), cron.next(end - MINUTE)
    )


@pytest.mark.parametrize(
    ("cron", "since", "expected"),
    [
        # Skipped: later, but not left out; repeated: once.
        ("30 2 * * *", "2026-03-28T12:00", ["03-29 03:30 CEST", "03-30 02:30 CEST"]),
        ("30 2 * * *", "2026-10-24T12:00", ["10-25 02:30 CEST", "10-26 02:30 CET"]),
        # Every half hour is every half hour.
        ("*/30 * * * *", "2026-10-25T00:15", ["10-25 02:30 CEST", "10-25 02:00 CET"]),
        ("0 * * * *", "2026-03-29T00:15", ["03-29 03:00 CEST", "03-29 04:00 CEST"]),
    ],
)
def test_on_the_days_on_which_clocks_change(cron: str, since: str, expected: list[str]) -> None:
    schedule = parse_schedule(cron, "Europe/Berlin")
    times = islice(schedule.after(utc(since)), 2)
    zone = ZoneInfo("Europe/Berlin")
    assert [f"{each.astimezone(zone):%m-%d %H:%M %Z}" for each in times] == expected


def test_what_was_skipped_takes_its_turn_among_later_times() -> None:
    # Half an hour is skipped at 02:00: 02:15 and 02:20 come after 02:40.
    schedule = parse_schedule("15,20,40 2 * * *", "Australia/Lord_Howe")
    times = islice(schedule.after(utc("2026-10-03T12:00")), 3)
    zone = ZoneInfo("Australia/Lord_Howe")
    assert [f"{each.astimezone(zone):%H:%M}" for each in times] == ["02:40", "02:45", "02:50"]


def test_the_shortest_pause() -> None:
    assert parse_schedule("0 3,5 * * *").shortest_pause(utc("2026-06-01")) == timedelta(hours=2)
    assert parse_schedule("0 3 29 2 *").next(utc("2026-06-01")) == utc("2028-02-29T03:00")


@pytest.mark.parametrize(
    ("cron", "zone", "words", "hint"),
    [
        ("0 3 * *", "UTC", "it has 4 fields", "0 3 * * *"),
        ("0 25 * * *", "UTC", "Bad hour", "0 3 * * *"),
        ("0 3 30 2 *", "UTC", "Bad day-of-month", ""),
        ("0 3 * * *", "Europe/Berln", "no time zone 'Europe/Berln'", "Europe/Berlin"),
        ("@daily", "UTC", "it has 1 fields", "0 3 * * *"),
    ],
)
def test_a_bad_schedule_is_explained(cron: str, zone: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_schedule(cron, zone)
    assert words in caught.value.message
    assert hint in caught.value.hint


def test_the_numbers_of_an_expression() -> None:
    fields = fields_of("*/20 3 1,15 * mon-fri")
    assert fields.minutes == (0, 20, 40)
    assert (fields.hours, fields.days, fields.months) == ((3,), (1, 15), None)
    assert fields.weekdays == (1, 2, 3, 4, 5)
    assert fields.either_day
    assert fields_of("0 3 * * 7").weekdays == (0,)
    assert msgspec.structs.asdict(fields_of("* * * * *"))["minutes"] is None
    for days in ("0 3 L * *", "0 3 * * 5#2", "0 3 LW * *"):
        with pytest.raises(CronError):
            fields_of(days)


def test_moments_are_in_utc() -> None:
    found = parse_schedule("0 3 * * *", "Europe/Berlin").next(utc("2026-06-01"))
    assert found == datetime(2026, 6, 1, 1, tzinfo=UTC)


def test_time_zones_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = list[str]()

    def look() -> set[str]:
        looks.append("look")
        return {"UTC"}

    cron.known_zones.cache_clear()
    monkeypatch.setattr(cron, "available_timezones", look)
    try:
        for _ in range(3):
            cron.check_zone("UTC")
        assert looks == ["look"]
    finally:
        cron.known_zones.cache_clear()
