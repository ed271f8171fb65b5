"""A run whose plan is looked at again while it goes on."""

import asyncio
from collections.abc import Set
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.engine.action import StepRecord
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import Event, PlanRevised
from shipkeeper.engine.review import Revision
from shipkeeper.engine.run import Circumstances, Run
from shipkeeper.engine.schedule import Ending, Schedule
from tests.engine.test_run import World, begin_run
from tests.engine.test_schedule import head, plan, plans, tail

BASE = plan(head("a", x=1), tail("a"), head("b", x=1), tail("b"), limits={"x": 1})
REVISED = plan(head("a", x=1), tail("a"), head("c", x=1), tail("c"), limits={"x": 1})


class Watcher:
    """Sees a change when it is told of one, and answers with the revision it was given."""

    def __init__(self, revised: Plan | None) -> None:
        self.changed = asyncio.Event()
        self.seen: list[Set[str]] = []
        self._revised = revised

    @property
    def has_seen_change(self) -> bool:
        return self.changed.is_set()

    async def due(self) -> None:
        await self.changed.wait()

    async def review(self, plan: Plan, begun: Set[str]) -> Revision | None:
        self.seen.append(begun)
        await asyncio.sleep(0)
        self.changed.clear()
        if self._revised is None:
            return None
        return Revision(plan=self._revised, changes=("b became c",))


class Stirring(World):
    """A world that changes while a step of it is done."""

    def __init__(self, watcher: Watcher, at: str) -> None:
        super().__init__()
        self._watcher = watcher
        self._at = at

    async def perform(self, step: Step, record: StepRecord) -> None:
        if step.id == self._at:
            self._watcher.changed.set()
        await super().perform(step, record)


async def run(
    journal: Journal, watcher: Watcher, at: str
) -> tuple[World, list[Event], Outcome, tuple[str, ...]]:
    world, told = Stirring(watcher, at), list[Event]()
    begin_run(journal, BASE)
    heeding = Circumstances(reviewer=watcher)
    result = await Run("r", BASE, {"do": world}, journal, told.append, heeding).execute()
    return world, told, result.outcome, tuple(each.step for each in result.steps)


async def test_what_has_not_begun_is_done_by_the_new_plan(tmp_path: Path) -> None:
    journal, watcher = Journal(tmp_path / "journal.db"), Watcher(REVISED)
    world, told, outcome, steps = await run(journal, watcher, "a/begin")
    assert outcome is Outcome.SUCCEEDED
    assert world.done == ["a/begin", "a/end", "c/begin", "c/end"]
    assert steps == tuple(step.id for step in REVISED.steps)
    assert [event.changes for event in told if isinstance(event, PlanRevised)] == [("b became c",)]
    record = journal.run("r")
    assert (record.plan, record.began_with) == (REVISED, BASE)


async def test_a_look_that_finds_nothing_changes_nothing(tmp_path: Path) -> None:
    journal, watcher = Journal(tmp_path / "journal.db"), Watcher(None)
    world, told, outcome, _ = await run(journal, watcher, "a/begin")
    assert outcome is Outcome.SUCCEEDED
    assert world.done == [step.id for step in BASE.steps]
    assert watcher.seen
    assert not any(isinstance(event, PlanRevised) for event in told)
    assert journal.run("r").revised_from is None


async def test_nothing_begins_before_a_change_was_looked_at(tmp_path: Path) -> None:
    """The change comes with the end of what holds b back, and b is not begun."""
    journal, watcher = Journal(tmp_path / "journal.db"), Watcher(REVISED)
    world, _, _, _ = await run(journal, watcher, "a/end")
    assert "b/begin" not in world.done


class Slow(Watcher):
    """Forgets the change as it begins to look, and looks for long."""

    async def review(self, plan: Plan, begun: Set[str]) -> Revision | None:
        self.changed.clear()
        # Time enough for all that would begin if it were let.
        await asyncio.sleep(0.5)
        return await super().review(plan, begun)


async def test_nothing_begins_while_a_change_is_looked_at(tmp_path: Path) -> None:
    """What b waits for ends in the middle of the look."""
    journal, watcher = Journal(tmp_path / "journal.db"), Slow(REVISED)
    world, _, _, _ = await run(journal, watcher, "a/begin")
    assert "b/begin" not in world.done


@given(plan=plans(), data=st.data())
def test_a_schedule_goes_on_where_it_was(plan: Plan, data: st.DataObject) -> None:
    """Revised to the same plan at any point, the same steps begin as without."""
    plain, revised = Schedule(plan), Schedule(plan)
    running: list[Step] = []
    while not plain.is_over:
        if data.draw(st.booleans()):
            revised = revised.revised(plan)
        begun = plain.begin()
        assert revised.begin() == begun
        running += begun
        if not running:
            plain.skip_unbegun()
            revised.skip_unbegun()
            continue
        ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
        ending = data.draw(st.sampled_from([Ending.DONE, Ending.DONE, Ending.FAILED]))
        plain.end(ended, ending)
        revised.end(ended, ending)
    assert revised.is_over
