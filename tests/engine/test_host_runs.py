"""Runs that belong to hosts: one at a time on each of them, whatever its procedure."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from shipkeeper.engine.action import Action, StepRecord
from shipkeeper.engine.host_runs import HostRuns
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import Sink, quiet
from shipkeeper.errors import LockHeldError, ShipkeeperError
from tests.engine.test_run import World, make_plan
from tests.engine.test_run import step as step_

PLAN = make_plan(step_("a"))


class Meddler(World):
    """Tries to begin another run while its own goes on."""

    def __init__(self, other: HostRuns) -> None:
        super().__init__()
        self.other = other
        self.refused: LockHeldError | None = None

    async def verify(self, step: Step, record: StepRecord) -> None:
        try:
            await self.other.execute(PLAN, None, quiet)
        except LockHeldError as error:
            self.refused = error


def runs(journal: Journal, world: World, *hosts: str, procedure: str = "renew") -> HostRuns:
    def actions(_plan: Plan, _directory: Path, _tell: Sink) -> Mapping[str, Action]:
        return {"do": world}

    return HostRuns(
        journal=journal, procedure=procedure, hosts=frozenset(hosts), actions_of=actions
    )


async def test_two_runs_never_work_on_one_host(tmp_path: Path) -> None:
    journal, other = Journal(tmp_path / "journal.db"), World()
    meddler = Meddler(runs(Journal(journal.path), other, "cp2", "cp3", procedure="recover"))
    result = await runs(journal, meddler, "cp1", "cp2").execute(PLAN, None, quiet)
    assert result.outcome is Outcome.SUCCEEDED
    assert meddler.refused is not None
    assert "host cp2 is worked on by another process" in meddler.refused.message
    assert (other.done, len(journal.runs())) == ([], 1)
    # It is let go of at the end.
    assert (await meddler.other.execute(PLAN, None, quiet)).outcome is Outcome.SUCCEEDED


async def test_a_run_that_began_since_the_hosts_were_looked_at_is_not_passed_over(
    tmp_path: Path,
) -> None:
    journal, world = Journal(tmp_path / "journal.db"), World()
    world.fails["a"] = ShipkeeperError("cut off", reason="CutOff")
    mine = runs(journal, world, "cp1")
    assert mine.under_way() is None
    await mine.execute(PLAN, None, quiet)
    (begun,) = journal.runs()
    await journal.finish(begun.id, Outcome.INTERRUPTED)
    with pytest.raises(LockHeldError, match=f"run {begun.id} went on"):
        await mine.execute(PLAN, None, quiet)
    found = mine.under_way()
    assert found is not None
    # While this one read what it found, another took it back.
    await mine.abort(found, quiet)
    with pytest.raises(LockHeldError, match=f"run {begun.id} went on"):
        await mine.execute(found.plan, found, quiet)
    assert (world.done, mine.under_way()) == ([], None)


async def test_hosts_that_nobody_works_on_are_free(tmp_path: Path) -> None:
    journal, other = Journal(tmp_path / "journal.db"), World()
    meddler = Meddler(runs(Journal(journal.path), other, "cp3"))
    await runs(journal, meddler, "cp1", "cp2").execute(PLAN, None, quiet)
    assert (meddler.refused, other.done) == (None, ["a"])
