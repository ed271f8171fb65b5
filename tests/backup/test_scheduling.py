"""Following a schedule on a clock that the test holds: missed times, failures, jitter, memory."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse

from shipkeeper.backup.memory import Memory, remembering
from shipkeeper.backup.schedule import Remembered, Schedule, next_due, require_sense
from shipkeeper.backup.schedule_metrics import schedule_metrics
from shipkeeper.backup.scheduling import Follower, Made, Notice
from shipkeeper.errors import (
    IncompleteError,
    LockHeldError,
    ShipkeeperError,
    UsageError,
)
from shipkeeper.model.cron import parse_schedule
from tests.nodes.test_windows import DAYS, PATTERNS, Pattern, utc

HOUR = timedelta(hours=1)
START = utc("2026-06-01T12:00")


class OverError(Exception):
    """The test has seen enough."""


class Clock:
    """A clock that a test sets; it runs only while somebody waits."""

    def __init__(self, now: datetime, until: datetime) -> None:
        self.time = now
        self.until = until
        self.jumps: list[tuple[datetime, datetime]] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, duration: timedelta) -> None:
        assert duration >= timedelta(0)
        end = self.time + duration
        if self.jumps and end >= self.jumps[0][0]:
            at, target = self.jumps.pop(0)
            # A timer runs on where it stood: it knows nothing of the clock.
            end = target + (end - at)
        self.time = end
        if self.time > self.until and not self.jumps:
            raise OverError


class Work:
    """Backups that take as long, and end, as a test says."""

    def __init__(self, clock: Clock, takes: timedelta = timedelta(minutes=2)) -> None:
        self.clock = clock
        self.takes = takes
        self.began: list[datetime] = []
        self.pruned = self.verified = 0
        self.outcome: Callable[[int], ShipkeeperError | None] = lambda _: None
        self.whole = True

    async def back_up(self) -> Made:
        if self.clock.time > self.clock.until and not self.clock.jumps:
            raise OverError
        self.began.append(self.clock.time)
        self.clock.time += self.takes
        outcome = self.outcome(len(self.began))
        if isinstance(outcome, IncompleteError):
            return Made(name="b", objects=1, added_bytes=2, incomplete=outcome)
        if outcome is not None:
            raise outcome
        return Made(name="b", objects=7, added_bytes=9)

    async def prune(self) -> None:
        self.pruned += 1

    async def verify(self) -> None:
        self.verified += 1
        if not self.whole:
            raise ShipkeeperError("is damaged")


class Stage:
    """A follower with everything around it."""

    def __init__(
        self, path: Path, schedule: Schedule, hours: float = 72, now: datetime = START
    ) -> None:
        self.clock = Clock(now, now + hours * HOUR)
        self.work = Work(self.clock)
        self.memory = Memory(path / "memory.json")
        self.said: list[Notice] = []
        self.follower = Follower(
            schedule, self.work, self.memory, self.clock, self.said.append, lambda: 0.5
        )

    async def play(self) -> list[str]:
        with pytest.raises(OverError):
            await self.follower.follow()
        return [f"{each:%d %H:%M}" for each in self.work.began]

    def types(self) -> list[str]:
        return [each.type for each in self.said if each.type != "Waiting"]


def nightly(**options: object) -> Schedule:
    return Schedule(cron=parse_schedule("0 3 * * *"), **options)  # pyright: ignore[reportArgumentType]


async def test_each_night_a_backup_and_what_follows(tmp_path: Path) -> None:
    stage = Stage(tmp_path, nightly(verify_every=2, jitter=timedelta(minutes=10)))
    assert await stage.play() == ["02 03:05", "03 03:05", "04 03:05"]
    assert (stage.work.pruned, stage.work.verified) == (3, 1)
    assert stage.types() == ["BackedUp", "BackedUp", "Verified", "BackedUp"]
    seen = stage.memory.seen
    assert (seen.unverified, seen.objects, seen.added_bytes, seen.last_duration) == (1, 7, 9, 120.0)
    assert Memory(stage.memory.path).seen == seen


async def test_a_failure_is_tried_again_until_the_next_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, nightly(retries=2), hours=44)
    stage.work.outcome = lambda number: ShipkeeperError("away") if number <= 3 else None
    began = await stage.play()
    assert [each[:2] for each in began] == ["02", "02", "02", "03"]
    pauses = [later - earlier for earlier, later in pairwise(stage.work.began)]
    assert timedelta(minutes=2.5) <= pauses[0] <= timedelta(minutes=3)
    assert timedelta(minutes=3) <= pauses[1] <= timedelta(minutes=4)
    assert stage.memory.seen.failures == {"backup": 3}
    assert stage.memory.seen.last_success is not None


async def test_the_next_time_comes_before_another_try(tmp_path: Path) -> None:
    often = Schedule(cron=parse_schedule("*/4 * * * *"), retries=9)
    stage = Stage(tmp_path, often, hours=0.15)
    stage.work.takes = timedelta(minutes=3.6)
    stage.work.outcome = lambda _: ShipkeeperError("away")
    await stage.play()
    assert stage.work.began == [utc("2026-06-01T12:04"), utc("2026-06-01T12:08")]


async def test_what_is_incomplete_is_counted_and_prunes_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path, nightly(), hours=44)
    lacking = IncompleteError("lacks secrets")
    stage.work.outcome = lambda number: lacking if number == 1 else None
    assert await stage.play() == ["02 03:00", "03 03:00"]
    assert stage.work.pruned == 1
    assert stage.memory.seen.failures == {"backup": 1}
    assert not stage.memory.seen.incomplete
    stage.work.outcome = lambda _: lacking
    stage.clock.until += 24 * HOUR
    assert await stage.follower.once() is lacking
    assert stage.memory.seen.incomplete


async def test_damage_is_found_again_each_time_until_it_is_mended(tmp_path: Path) -> None:
    stage = Stage(tmp_path, nightly(verify_every=1))
    stage.work.whole = False
    await stage.play()
    assert stage.memory.seen.failures == {"verify": 3}
    assert stage.memory.seen.unverified == 3


@pytest.mark.parametrize(
    ("missed", "expected"),
    [("run", ["02 03:00", "05 09:30", "06 03:00"]), ("skip", ["02 03:00", "06 03:00"])],
)
async def test_a_machine_that_slept(tmp_path: Path, missed: str, expected: list[str]) -> None:
    stage = Stage(tmp_path, nightly(missed=missed), hours=120)
    stage.clock.jumps = [(utc("2026-06-02T20:00"), utc("2026-06-05T09:30"))]
    assert await stage.play() == expected
    (said,) = (each.message for each in stage.said if each.type in ("Missed", "Skipped"))
    assert "3 backups were missed, the last 6h30m ago" in said


async def test_a_process_that_was_away(tmp_path: Path) -> None:
    Memory(tmp_path / "memory.json").keep(last_attempt=utc("2026-05-29T03:00"))
    stage = Stage(tmp_path, nightly(), hours=20)
    assert await stage.play() == ["01 12:00", "02 03:00"]
    skipping = Stage(tmp_path, nightly(missed="skip"), hours=20, now=utc("2026-06-05T12:00"))
    assert await skipping.play() == ["06 03:00"]


async def test_a_backup_that_outlasts_the_next_times(tmp_path: Path) -> None:
    hourly = Schedule(cron=parse_schedule("0 * * * *"))
    stage = Stage(tmp_path, hourly, hours=4)
    stage.work.takes = timedelta(minutes=130)
    # Never two at once; the two times that passed meanwhile are one backup.
    assert await stage.play() == ["01 13:00", "01 15:10"]


async def test_a_clock_that_was_wrong_is_not_waited_for(tmp_path: Path) -> None:
    stage = Stage(tmp_path, nightly(), now=utc("2027-06-01T12:00"))
    stage.clock.until = utc("2026-06-03T04:00")
    stage.clock.jumps = [(utc("2027-06-02T14:00"), utc("2026-06-01T14:00"))]
    await stage.play()
    assert [f"{each:%F}" for each in stage.work.began] == [
        "2027-06-02",
        "2026-06-02",
        "2026-06-03",
    ]


async def test_a_small_step_back_makes_no_second_backup(tmp_path: Path) -> None:
    stage = Stage(tmp_path, nightly(), hours=30)
    stage.work.takes = timedelta(seconds=1)
    stage.clock.jumps = [(utc("2026-06-02T03:00:02"), utc("2026-06-02T02:59:40"))]
    assert await stage.play() == ["02 03:00"]


@settings(max_examples=60, deadline=None)
@given(PATTERNS, st.sampled_from(DAYS), st.integers(0, 4000), st.integers(0, 3000))
def test_no_time_is_lost_whenever_one_looks(
    pattern: Pattern, place: tuple[str, str], begin: int, away: int
) -> None:
    zone, day = place
    schedule = Schedule(cron=parse_schedule(str(pattern), zone))
    last = utc(day) + timedelta(minutes=begin)
    now = last + timedelta(minutes=away, seconds=30)
    due = next_due(schedule, last, now)
    between = [each for each in _until(schedule, last, now) if each <= now]
    if between:
        assert due is not None
        assert (due.at, due.passed) == (between[-1], len(between) - 1)
    else:
        expected = schedule.cron.next(last)
        assert (due.at if due else None) == expected


def _until(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    for each in schedule.cron.after(after):
        if each > until or len(found) == 1000:
            break
        found.append(each)
    return found


def test_a_schedule_that_makes_no_sense() -> None:
    for odd in (nightly(jitter=24 * HOUR), nightly(retries=-1), nightly(verify_every=-1)):
        with pytest.raises(UsageError):
            require_sense(odd, START)
    require_sense(nightly(jitter=23 * HOUR), START)


def test_one_process_follows_a_schedule(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "memory.json"
    with remembering(path) as memory:
        memory.fail("prune")
        with pytest.raises(LockHeldError), remembering(path):
            pass
    path.write_bytes(b"{ torn")
    with remembering(path) as memory:
        assert memory.seen == Remembered()


def test_metrics_of_what_is_remembered() -> None:
    def values(seen: Remembered) -> dict[str, float]:
        text = schedule_metrics("0 3 * * * UTC", 's3://b/"p"', seen)
        samples = [each for family in parse(text) for each in family.samples]
        assert {each.labels["repository"] for each in samples} == {'s3://b/"p"'}
        return {
            each.name.removeprefix("shipkeeper_backup_") + each.labels.get("step", ""): each.value
            for each in samples
        }

    nothing = {f"failures_total{step}": 0.0 for step in ("backup", "prune", "verify")}
    assert values(Remembered()) == nothing
    seen = Remembered(
        last_attempt=START,
        last_success=START - HOUR,
        last_duration=1.5,
        objects=7,
        added_bytes=9,
        incomplete=True,
        failures={"backup": 2},
    )
    assert values(seen) == nothing | {
        "last_success_timestamp_seconds": START.timestamp() - 3600,
        "last_attempt_timestamp_seconds": START.timestamp(),
        "last_duration_seconds": 1.5,
        "objects": 7,
        "added_bytes": 9,
        "incomplete": 1,
        "failures_totalbackup": 2,
    }
