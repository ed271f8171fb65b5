"""Following a schedule: waiting for its times, and making a backup at each, whatever happened.

Nothing here looks at a clock but the one that is handed in: machines sleep, and clocks are set.
"""

import contextlib
import random
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from shipkeeper.backup.memory import Memory, MemoryFileError
from shipkeeper.backup.schedule import PUNCTUAL, Due, Schedule, Step, coming, next_due
from shipkeeper.errors import IncompleteError, ShipkeeperError
from shipkeeper.kube.backoff import backoff
from shipkeeper.model.cron import zone_of
from shipkeeper.model.duration import format_age, format_duration

# A timer stands still while a machine sleeps: the clock is looked at again and again.
_LOOK_EVERY = timedelta(seconds=30)
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(minutes=30)


class Clock(Protocol):
    """The time of day, and waiting."""

    def now(self) -> datetime:
        """Now, aware."""
        ...

    async def sleep(self, duration: timedelta) -> None:
        """Wait."""
        ...


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that is visible now; `incomplete` says what it lacks."""

    name: str
    objects: int
    added_bytes: int
    incomplete: IncompleteError | None = None


class Work(Protocol):
    """What is done at each time; all raise ShipkeeperErrors."""

    async def back_up(self) -> Made:
        """Make a backup."""
        ...

    async def prune(self) -> None:
        """Let go of what is not to be kept."""
        ...

    async def verify(self) -> None:
        """Check the repository."""
        ...


class Notice(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something to say: what kind of thing (CamelCase), in words, and an error's hint."""

    type: str
    message: str
    hint: str = ""


class Follower:
    """Follows one schedule; `chance` gives numbers from 0 to 1."""

    def __init__(
        self,
        schedule: Schedule,
        work: Work,
        memory: Memory,
        clock: Clock,
        tell: Callable[[Notice], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._schedule = schedule
        self._work = work
        self._memory = memory
        self._clock = clock
        self._tell = tell
        self._chance = chance
        self._passed_over: datetime | None = None

    async def follow(self) -> None:
        """Make a backup at each time; returns only when there is none within ten years."""
        while (due := self._next()) is not None:
            if self._clock.now() - due.at <= PUNCTUAL:
                self._say("Waiting", f"the next backup is at {_when(due.at, self._schedule)}")
            delay = self._schedule.jitter * self._chance()
            if not await self._reach(due.at + delay):
                continue
            is_late = self._clock.now() - due.at - delay > PUNCTUAL
            if is_late and not self._makes_up_for(self._next() or due):
                self._passed_over = self._clock.now()
                continue
            await self._occasion()

    async def once(self) -> ShipkeeperError | None:
        """Make the backup of a time that somebody else watched for; how it failed, if it did."""
        await self._clock.sleep(self._schedule.jitter * self._chance())
        return await self._occasion()

    def _next(self) -> Due | None:
        known = (self._memory.seen.last_attempt, self._passed_over)
        last = max((each for each in known if each is not None), default=None)
        return next_due(self._schedule, last, self._clock.now())

    async def _reach(self, moment: datetime) -> bool:
        """Wait for a moment; False once the clock was put back, as another may come first."""
        before = self._clock.now()
        while (left := moment - before) > timedelta(0):
            await self._clock.sleep(min(left, _LOOK_EVERY))
            now = self._clock.now()
            if now < before - PUNCTUAL:
                self._passed_over = None
                return False
            before = now
        return True

    def _makes_up_for(self, due: Due) -> bool:
        ago = f"{format_age(self._clock.now() - due.at)} ago"
        missed = f"a backup was missed {ago}"
        if due.passed:
            missed = f"{due.passed + 1} backups were missed, the last {ago}"
        if self._schedule.missed == "skip":
            self._say("Skipped", f"{missed}: left out")
            return False
        self._say("Missed", f"{missed}: made now")
        return True

    async def _occasion(self) -> ShipkeeperError | None:
        """Try until there is a backup, the tries are used up, or the next time comes first."""
        coming_up = next(coming(self._schedule, self._clock.now()), None)
        for attempt in range(1, self._schedule.retries + 2):
            error, is_made = await self._attempt()
            if error is None or is_made or attempt > self._schedule.retries:
                return error
            pause = backoff(attempt, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
            if coming_up is not None and self._clock.now() + pause >= coming_up:
                return error
            self._say("Retrying", f"tried again in {format_duration(pause)}")
            await self._clock.sleep(pause)
        raise AssertionError("the last attempt returns")

    async def _attempt(self) -> tuple[ShipkeeperError | None, bool]:
        """One backup and what follows it: the first failure, and whether there is a backup."""
        began = self._clock.now()
        self._remember(last_attempt=began)
        try:
            made = await self._work.back_up()
        except ShipkeeperError as error:
            self._fail("backup", error)
            return error, False
        ended = self._clock.now()
        self._remember(
            last_duration=max((ended - began).total_seconds(), 0.001),
            objects=made.objects,
            added_bytes=made.added_bytes,
            incomplete=made.incomplete is not None,
        )
        if made.incomplete is not None:
            # Older backups stay: they may hold what this one lacks.
            self._fail("backup", made.incomplete)
            return made.incomplete, True
        self._remember(last_success=ended, unverified=self._memory.seen.unverified + 1)
        took = format_duration(ended - began)
        self._say("BackedUp", f"backup {made.name}: {made.objects} objects in {took}")
        failed = [await self._step("prune", self._work.prune), await self._verify_if_due()]
        return next((each for each in failed if each is not None), None), True

    async def _verify_if_due(self) -> ShipkeeperError | None:
        every = self._schedule.verify_every
        if not every or self._memory.seen.unverified < every:
            return None
        failed = await self._step("verify", self._work.verify)
        if failed is None:
            self._remember(unverified=0)
            self._say("Verified", "the repository is whole")
        return failed

    async def _step(
        self, step: Step, work: Callable[[], Awaitable[None]]
    ) -> ShipkeeperError | None:
        try:
            await work()
        except ShipkeeperError as error:
            self._fail(step, error)
            return error
        return None

    def _fail(self, step: Step, error: ShipkeeperError) -> None:
        self._tell(Notice(type=error.reason, message=f"{step}: {error.message}", hint=error.hint))
        with self._warned():
            self._memory.fail(step)

    def _remember(self, **changes: object) -> None:
        with self._warned():
            self._memory.keep(**changes)

    @contextlib.contextmanager
    def _warned(self) -> Generator[None]:
        """A backup is worth more than what is remembered of it."""
        try:
            yield
        except MemoryFileError as error:
            self._tell(Notice(type=error.reason, message=error.message, hint=error.hint))

    def _say(self, type_: str, message: str) -> None:
        self._tell(Notice(type=type_, message=message))


def _when(moment: datetime, schedule: Schedule) -> str:
    local = moment.astimezone(zone_of(schedule.cron.zone))
    return f"{local:%F %T %Z} ({moment.astimezone(UTC):%F %T}Z)"
