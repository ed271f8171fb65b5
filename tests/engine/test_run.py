"""A run on a world in memory, killed at every journal point in turn."""

import asyncio
import errno
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipkeeper.engine.action import StandingError, StepRecord
from shipkeeper.engine.journal import Entry, Journal, JournalError, Outcome, Phase, RunRecord
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import Event, StepDone, StepFailed, StepUndone, quiet
from shipkeeper.engine.run import RollbackError, Run, RunResult
from shipkeeper.engine.schedule import Schedule
from shipkeeper.engine.session import require_resumable
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import BlockedError, ShipkeeperError


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs afterwards."""


class DyingJournal(Journal):
    """A journal whose process dies at its n-th write, before or after it is on disk."""

    def __init__(self, path: Path, dies_at: int, *, is_written: bool) -> None:
        super().__init__(path)
        self.writes = 0
        self._dies_at = dies_at
        self._is_written = is_written

    async def write(self, entry: Entry) -> None:
        self.writes += 1
        if self.writes == self._dies_at:
            if self._is_written:
                await super().write(entry)
            raise Killed
        await super().write(entry)


class World:
    """What the steps change: how often each was done, and in which order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.undone: list[str] = []
        self.fails: dict[str, ShipkeeperError] = {}
        self.refuses: set[str] = set()

    async def check(self, step: Step) -> Verdict | None:
        if step.id in self.refuses:
            return Verdict(target=step.target, effect=Effect.BLOCK, reason="No", message="no")
        return None

    async def perform(self, step: Step, record: StepRecord) -> None:
        await asyncio.sleep(0)
        if step.id in self.fails:
            raise self.fails[step.id]
        # Like every real step: a repeated one finds its effect and leaves it.
        if step.id not in self.done:
            self.done.append(step.id)

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        if step.id in self.done:
            return None
        return Verdict(target=step.target, effect=Effect.WARN, reason="NotDone", message="not done")

    async def undo(self, step: Step, record: StepRecord) -> bool:
        if step.id not in self.done:
            return False
        self.done.remove(step.id)
        self.undone.append(step.id)
        return True


def make_plan(*steps: Step, verdicts: tuple[Verdict, ...] = ()) -> Plan:
    return Plan(procedure="drain", request={}, steps=steps, verdicts=verdicts)


def step(id_: str, *after: str, rollback: tuple[str, ...] = (), on: str = "") -> Step:
    return Step(
        id=id_,
        action="do",
        target=f"node/{on or id_}",
        effect="done",
        after=after,
        rollback=rollback,
    )


def begin_run(journal: Journal, plan: Plan) -> None:
    started = datetime.now(UTC)
    journal.begin(RunRecord(id="r", procedure="drain", cluster="c", plan=plan, started_at=started))


async def execute(
    plan: Plan, world: World, journal: Journal, tell: Callable[[Event], None] = quiet
) -> RunResult:
    if not any(run.id == "r" for run in journal.runs()):
        begin_run(journal, plan)
    return await Run("r", plan, {"do": world}, journal, tell).execute()


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 5))):
        before = draw(st.sets(st.sampled_from([s.id for s in steps]))) if steps else set[str]()
        steps.append(step(f"s{number}", *sorted(before)))
    return make_plan(*steps)


@given(plan=plans(), is_written=st.booleans())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_killed_at_every_journal_point_it_ends_well(
    plan: Plan, is_written: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for point in range(1, 2 * len(plan.steps) + 1):
        path = tmp_path_factory.mktemp("journal") / "journal.db"
        world = World()
        with pytest.raises(Killed):
            asyncio.run(execute(plan, world, DyingJournal(path, point, is_written=is_written)))
        result = asyncio.run(execute(plan, world, Journal(path)))
        assert result.outcome is Outcome.SUCCEEDED
        assert sorted(world.done) == sorted(s.id for s in plan.steps)
        for each in plan.steps:
            for earlier in each.after:
                assert world.done.index(earlier) < world.done.index(each.id)


async def test_a_step_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    plan, journal, events = make_plan(step("a"), step("b", "a")), Journal(tmp_path / "j"), []
    world = World()
    await execute(plan, world, journal)
    other = World()
    other.done = ["a", "b"]
    seen: list[Event] = events
    await execute(plan, other, journal, seen.append)
    assert [event.already for event in seen if isinstance(event, StepDone)] == [True, True]


async def test_a_failure_stops_what_follows_and_nothing_else(tmp_path: Path) -> None:
    world = World()
    world.fails["a"] = ShipkeeperError("broken", reason="Broken", hint="mend it")
    plan = make_plan(step("a"), step("b", "a"), step("c", "b"), step("d"))
    result = await execute(plan, world, Journal(tmp_path / "j"))
    assert [each.state for each in result.steps] == ["Failed", "Skipped", "Skipped", "Done"]
    assert result.outcome is Outcome.FAILED
    assert [verdict.remedy for verdict in result.failures] == ["mend it"]


async def test_a_failure_takes_its_rollback_back(tmp_path: Path) -> None:
    world, events = World(), list[Event]()
    world.fails["b"] = BlockedError("not now", reason="Budget")
    plan = make_plan(step("a"), step("b", "a", rollback=("a",)))
    result = await execute(plan, world, Journal(tmp_path / "j"), events.append)
    assert world.undone == ["a"]
    assert result.outcome is Outcome.BLOCKED
    kinds = [type(event) for event in events]
    assert kinds.index(StepFailed) < kinds.index(StepUndone)


async def test_a_full_disk_of_this_machine_is_a_failure_like_others(tmp_path: Path) -> None:
    class Full(World):
        async def perform(self, step: Step, record: StepRecord) -> None:
            if step.id == "b":
                raise OSError(errno.ENOSPC, "No space left on device", "/var/x")
            await super().perform(step, record)

    world = Full()
    result = await execute(
        make_plan(step("a"), step("b", "a", rollback=("a",))), world, Journal(tmp_path / "j")
    )
    assert (result.outcome, world.undone) == (Outcome.FAILED, ["a"])
    assert "No space left on device" in result.failures[0].message


@pytest.mark.parametrize("is_told", [False, True])
async def test_what_a_failure_leaves_standing_is_told(tmp_path: Path, is_told: bool) -> None:
    """By a journal that takes no more, or an undo that does not go."""

    class Full(Journal):
        async def write(self, entry: Entry) -> None:
            if entry.phase is Phase.FAILED and not is_told:
                raise JournalError("the disk is full", hint="free space")
            await super().write(entry)

    class Stuck(World):
        async def undo(self, step: Step, record: StepRecord) -> bool:
            if step.id == "a":
                raise ShipkeeperError("the disk is full", hint="free space")
            return await super().undo(step, record)

    world = Stuck()
    world.fails["c"] = ShipkeeperError("no")
    plan = make_plan(step("a"), step("b", "a"), step("c", "b", rollback=("b", "a")))
    journal = Full(tmp_path / "journal.db")
    stay = "a" if is_told else "b, a"
    with pytest.raises(RollbackError) as caught:
        await execute(plan, world, journal)
    assert caught.value.message == (
        "step c failed (no), and what it rests on could not be taken back: the disk is full; "
        f"as they are stay: {stay}"
    )
    assert caught.value.hint == "free space"
    assert journal.run("r").outcome is Outcome.INTERRUPTED
    # Whoever goes on with it does again what may have been taken back.
    world.fails.clear()
    result = await execute(plan, world, Journal(journal.path))
    assert (result.outcome, world.done) == (Outcome.SUCCEEDED, ["a", "b", "c"])


class HalfAway(World):
    """A world in which what was done to one node cannot be taken back."""

    def __init__(self, away: str) -> None:
        super().__init__()
        self._away = f"node/{away}"
        self.asked: list[str] = []

    async def undo(self, step: Step, record: StepRecord) -> bool:
        self.asked.append(step.id)
        if step.target == self._away:
            raise ShipkeeperError(f"{self._away} is away", reason="Away")
        return await super().undo(step, record)


async def test_what_cannot_be_taken_back_keeps_only_its_own(tmp_path: Path) -> None:
    world = HalfAway("far")
    world.fails["end"] = ShipkeeperError("no")
    plan = make_plan(
        step("ground"),
        step("far-first", on="far"),
        step("far-then", "ground", "far-first", on="far"),
        step("near", on="near"),
        step("end", "far-then", "near", rollback=("far-then", "far-first", "near", "ground")),
    )
    with pytest.raises(RollbackError) as caught:
        await execute(plan, world, Journal(tmp_path / "journal.db"))
    assert world.asked == ["far-then", "near"]
    assert world.undone == ["near"]
    assert caught.value.message.endswith(
        "could not be taken back: node/far is away; as they are stay: far-then, far-first, ground"
    )


async def test_an_end_that_cannot_be_written_down_does_not_hide_what_stands(tmp_path: Path) -> None:
    class Unreachable(Journal):
        async def finish(self, run: str, outcome: Outcome) -> None:
            raise ShipkeeperError("the API server is away")

    world = HalfAway("a")
    world.fails["b"] = ShipkeeperError("no")
    plan = make_plan(step("a"), step("b", "a", rollback=("a",)))
    with pytest.raises(RollbackError, match="node/a is away"):
        await execute(plan, world, Unreachable(tmp_path / "journal.db"))


async def test_a_refused_precondition_leaves_everything_as_it_is(tmp_path: Path) -> None:
    world = World()
    world.refuses.add("a")
    journal = Journal(tmp_path / "j")
    result = await execute(make_plan(step("a")), world, journal)
    assert world.done == []
    assert result.steps[0].state == "Blocked"
    assert Phase.BEFORE not in {entry.phase for entry in journal.entries("r")}


async def test_an_unseen_effect_is_a_failure(tmp_path: Path) -> None:
    class Blind(World):
        async def perform(self, step: Step, record: StepRecord) -> None:
            return

    result = await execute(make_plan(step("a")), Blind(), Journal(tmp_path / "j"))
    assert result.failures[0].reason == "NotDone"


async def test_a_plan_with_blockers_ends_incomplete(tmp_path: Path) -> None:
    blocker = Verdict(target="node/x", effect=Effect.BLOCK, reason="PodsRefused", message="no")
    plan = make_plan(step("a"), verdicts=(blocker,))
    result = await execute(plan, World(), Journal(tmp_path / "j"))
    assert result.outcome is Outcome.INCOMPLETE


async def test_a_cancelled_run_can_be_resumed(tmp_path: Path) -> None:
    class Slow(World):
        async def perform(self, step: Step, record: StepRecord) -> None:
            await asyncio.sleep(60 if step.id == "b" else 0)
            await super().perform(step, record)

    plan, journal, slow = make_plan(step("a"), step("b", "a")), Journal(tmp_path / "j"), Slow()
    task = asyncio.create_task(execute(plan, slow, journal))
    while slow.done != ["a"]:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal.run("r").outcome is Outcome.INTERRUPTED
    world = World()
    world.done = ["a"]
    assert (await execute(plan, world, journal)).outcome is Outcome.SUCCEEDED


async def test_an_abort_takes_back_what_was_begun(tmp_path: Path) -> None:
    plan, journal, world = make_plan(step("a"), step("b", "a")), Journal(tmp_path / "j"), World()
    await execute(plan, world, journal)
    await Run("r", plan, {"do": world}, journal, quiet).abort()
    assert world.undone == ["b", "a"]
    assert journal.run("r").outcome is Outcome.ABORTED


class Undying(World):
    """A world in which an undo does its work and then kills the process."""

    async def undo(self, step: Step, record: StepRecord) -> bool:
        await super().undo(step, record)
        raise Killed


class Sticky(World):
    """A world in which one step cannot be taken back yet."""

    stuck = "b"

    async def undo(self, step: Step, record: StepRecord) -> bool:
        if step.id == self.stuck:
            raise BlockedError("it goes on", reason="GoesOn", hint="wait for its end")
        return await super().undo(step, record)


async def test_an_abort_leaves_a_target_whose_step_goes_on_and_takes_the_others_back(
    tmp_path: Path,
) -> None:
    second = msgspec.structs.replace(step("b", "a"), target=step("a").target)
    plan = make_plan(step("first"), step("a", "first"), second, step("c"))
    journal, world = Journal(tmp_path / "j"), Sticky()
    await execute(plan, world, journal)
    with pytest.raises(BlockedError, match="it goes on"):
        await Run("r", plan, {"do": world}, journal, quiet).abort()
    assert world.undone == ["c"]
    assert journal.run("r").outcome is Outcome.ABORTING
    world.stuck = ""
    await Run("r", plan, {"do": world}, journal, quiet).abort()
    assert world.undone == ["c", "b", "a", "first"]
    assert journal.run("r").outcome is Outcome.ABORTED


async def test_a_killed_abort_can_only_be_ended(tmp_path: Path) -> None:
    plan, journal, world = make_plan(step("a"), step("b", "a")), Journal(tmp_path / "j"), Undying()
    await execute(plan, world, journal)
    with pytest.raises(Killed):
        await Run("r", plan, {"do": world}, journal, quiet).abort()
    # The journal still calls "b" done: going on would build on what is not there.
    found = journal.unfinished("c", "drain", {})
    assert found is not None
    with pytest.raises(BlockedError, match="given up") as refused:
        require_resumable(found)
    assert "shipkeeper abort r" in refused.value.hint
    mortal = World()
    mortal.done = world.done
    await Run("r", plan, {"do": mortal}, journal, quiet).abort()
    assert (mortal.done, journal.run("r").outcome) == ([], Outcome.ABORTED)


@pytest.mark.parametrize("is_written", [False, True])
async def test_killed_in_a_rollback_it_goes_on_from_what_is_left(
    tmp_path: Path, *, is_written: bool
) -> None:
    plan = make_plan(step("a"), step("b", "a", rollback=("a",)))
    world = World()
    world.fails["b"] = BlockedError("not now", reason="Budget")
    # Its writes: a begun, a done, b begun, b failed, a undone.
    dying = DyingJournal(tmp_path / "j", 5, is_written=is_written)
    with pytest.raises(Killed):
        await execute(plan, world, dying)
    assert world.undone == ["a"]
    world.fails.clear()
    journal = Journal(tmp_path / "j")
    assert (await execute(plan, world, journal)).outcome is Outcome.SUCCEEDED
    assert world.done == ["a", "b"]


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("point", [1, 2])
async def test_what_was_begun_once_more_is_taken_back_once_more(
    tmp_path: Path, point: int, *, is_written: bool
) -> None:
    plan = make_plan(step("a"), step("b", "a", rollback=("a",)))
    world, path = World(), tmp_path / "j"
    world.fails["b"] = BlockedError("not now", reason="Budget")
    with pytest.raises(Killed):
        await execute(plan, world, DyingJournal(path, 5, is_written=True))
    # Resumed, it does "a" again, and is killed before or after it notes that.
    with pytest.raises(Killed):
        await execute(plan, world, DyingJournal(path, point, is_written=is_written))
    await Run("r", plan, {"do": world}, Journal(path), quiet).abort()
    assert world.done == []


async def test_what_never_could_begin_is_not_called_a_success(tmp_path: Path) -> None:
    class Stuck(Schedule):
        def begin(self, *, is_paused: bool = False) -> list[Step]:
            return []

    first = msgspec.structs.replace(step("a"), claims={"x": 1})
    run = Run("r", make_plan(first), {"do": World()}, Journal(tmp_path / "j"), quiet)
    run._schedule = Stuck(run.plan)  # pyright: ignore[reportPrivateUsage]
    result = await run.execute()
    assert [each.state for each in result.steps] == ["Skipped"]
    assert result.outcome is Outcome.INCOMPLETE


async def test_what_was_done_on_the_ground_of_something_undone_is_done_again(
    tmp_path: Path,
) -> None:
    plan = make_plan(
        step("a", on="n"),
        step("elsewhere", "a"),
        step("b", "a", on="n"),
        step("c", "b", "elsewhere", rollback=("a",), on="n"),
    )
    world, journal = World(), Journal(tmp_path / "j")
    world.fails["c"] = ShipkeeperError("broken", reason="Broken")
    await execute(plan, world, journal)
    assert world.undone == ["a"]
    world.fails, events = {}, []
    seen: list[Event] = events
    result = await execute(plan, world, journal, seen.append)
    assert result.outcome is Outcome.SUCCEEDED
    # What was done to another target stands: nothing was taken back from that.
    assert {each.step.id: each.already for each in seen if isinstance(each, StepDone)} == {
        "a": False,
        "b": False,
        "c": False,
        "elsewhere": True,
    }


@pytest.mark.parametrize("is_written", [False, True])
async def test_what_may_have_lost_its_ground_is_done_again(
    tmp_path: Path, *, is_written: bool
) -> None:
    plan = make_plan(
        step("a", on="n"), step("b", "a", on="n"), step("c", "b", rollback=("a",), on="n")
    )
    world, path = World(), tmp_path / "j"
    world.fails["c"] = ShipkeeperError("broken", reason="Broken")
    # Its writes: a and b begun and done, c begun, c failed, a undone.
    with pytest.raises(Killed):
        await execute(plan, world, DyingJournal(path, 7, is_written=is_written))
    assert world.undone == ["a"]
    # What stood on "a" went with it.
    world.done.clear()
    world.fails.clear()
    result = await execute(plan, world, Journal(path))
    assert result.outcome is Outcome.SUCCEEDED
    assert world.done == ["a", "b", "c"]


async def test_a_failure_that_must_stand_is_not_rolled_back(tmp_path: Path) -> None:
    plan = make_plan(step("a"), step("b", "a", rollback=("a",)))
    world, journal = World(), Journal(tmp_path / "j")
    world.fails["b"] = StandingError("broken for good", reason="Broken")
    result = await execute(plan, world, journal)
    assert result.outcome is Outcome.FAILED
    assert [each.message for each in result.failures] == ["broken for good"]
    assert world.undone == []


async def test_what_must_stand_is_asked_before_an_abort_takes_its_ground(tmp_path: Path) -> None:
    plan = make_plan(step("a", on="n"), step("b", "a", rollback=("a",), on="n"))
    world, journal = World(), Journal(tmp_path / "j")
    world.fails["b"] = StandingError("it still works there", reason="GoesOn")
    await execute(plan, world, journal)
    asked: list[str] = []

    class Working(World):
        async def undo(self, step: Step, record: StepRecord) -> bool:
            asked.append(step.id)
            raise BlockedError("it still works there", reason="GoesOn", hint="wait")

    working = Working()
    with pytest.raises(BlockedError, match="still works"):
        await Run("r", plan, {"do": working}, journal, quiet).abort()
    assert asked == ["b"], "the ground of what still works was taken back"
