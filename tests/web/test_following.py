"""Runs that somebody looks at: drawn anew when something came of them, and not with every look."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from shipkeeper.engine.journal import Entry, Journal, Outcome, Phase
from shipkeeper.paths import state_dir
from shipkeeper.web.console import Console, Settings
from shipkeeper.web.following import FollowedRun
from shipkeeper.web.observer import Observer
from shipkeeper.web.sessions import Sessions
from tests.nodes.test_picture import ENTRIES, RUN
from tests.nodes.world import World


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path / "journal.db")
    yield found
    found.close()


async def failed(journal: Journal) -> None:
    journal.begin(RUN)
    for each in ENTRIES:
        await journal.write(each)
    await journal.finish(RUN.id, Outcome.FAILED)


def followed(world: World, journal: Journal) -> FollowedRun:
    connection = world.connection
    console = Console(
        settings=Settings(is_local=True, cluster=connection.credentials.server),
        connection=connection,
        observer=Observer(connection),
        journal=journal,
        sessions=Sessions(asyncio.get_running_loop().time, cookie="c", is_tls=False),
        directory=state_dir() / "console",
    )
    return FollowedRun(console, journal.run(RUN.id))


async def test_a_run_that_is_over_is_drawn_once(world: World, journal: Journal) -> None:
    await failed(journal)
    run = followed(world, journal)
    run.refresh()
    drawn = run.picture.nodes["a"]
    assert drawn.state == "Undone"
    journal.begin(msgspec.structs.replace(RUN, id="maintain-2"))
    run.refresh()
    assert run.picture.nodes["a"] is drawn


async def test_a_run_that_is_given_up_is_followed_on(world: World, journal: Journal) -> None:
    await failed(journal)
    run = followed(world, journal)
    run.refresh()
    await journal.finish(RUN.id, Outcome.ABORTING)
    await journal.write(Entry(run=RUN.id, step="a/cordon", phase=Phase.BEFORE))
    run.refresh()
    assert run.picture.nodes["a"].state == "Cordoning"
    await journal.write(Entry(run=RUN.id, step="a/cordon", phase=Phase.UNDONE))
    await journal.finish(RUN.id, Outcome.ABORTED)
    run.refresh()
    assert run.picture.nodes["a"].state == "Undone"
