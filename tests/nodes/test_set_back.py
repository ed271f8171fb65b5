"""A maintenance that was interrupted, and etcd restored to a state from before it meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest

from shipkeeper.engine.journal import Journal
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import quiet
from shipkeeper.engine.session import Session, open_session
from shipkeeper.engine.tenure import HistoryLostError
from shipkeeper.errors import EXIT_BLOCKED, BlockedError
from shipkeeper.kube.connection import connect
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.run import run_cli
from tests.nodes.dying import KILLED, Request, in_process
from tests.nodes.world import World, options_of, settled
from tests.sandbox.past import go_back, remember

BUMPED = ("--bump-revision=1000000000", "--mark-compacted")
# The first node is cordoned and drained by then, or nearly.
_IN_THE_MIDST = 12


@pytest.fixture
async def world(returning: Sandbox, tmp_path: Path) -> AsyncIterator[World]:
    async with (
        connect(options_of(returning)) as connection,
        World(returning, connection, tmp_path) as found,
    ):
        yield found


async def test_what_was_undone_by_a_restore_is_not_taken_for_done(world: World) -> None:
    nodes = await world.add_nodes(2)
    await world.up(world.deployment("web", 4), world.budget("web", max_unavailable=2))
    state = world.directory / "state"
    request = Request(
        kubeconfig=str(world.sandbox.kubeconfig),
        journal=str(state / "shipkeeper/journal.db"),
        nodes=nodes,
        options=MaintenanceOptions(drain=DrainOptions(), command="true"),
    )

    async def say(*arguments: str) -> tuple[int, str]:
        done = await run_cli(world.sandbox, *arguments, environment={"XDG_STATE_HOME": str(state)})
        return done.returncode, done.stdout + done.stderr

    # There is a Lease that the snapshot holds, too.
    assert (await say("drain", nodes[0]))[0] == 0
    assert (await say("uncordon", nodes[0]))[0] == 0
    await settled(world, nodes)
    snapshot = await asyncio.to_thread(remember, world.sandbox, world.directory / "etcd.db")
    assert await in_process(msgspec.structs.replace(request, dies_at=_IN_THE_MIDST)) == KILLED
    (killed, *_) = Journal(Path(request.journal)).runs()
    before = world.accepted_evictions()

    await asyncio.to_thread(go_back, world.sandbox, snapshot, *BUMPED)
    # Somebody else takes the Lease, so that it looks young; then it is taken for the refusal.
    assert (await say("drain", nodes[1]))[0] == 0
    assert (await say("uncordon", nodes[1]))[0] == 0
    for _ in range(2):
        code, told = await say("resume", killed.id)
        assert code == EXIT_BLOCKED, told
        assert "etcd was restored to a state from before this run's last steps" in told
        assert f"shipkeeper abort {killed.id}" in told
    assert (await in_process(request)) == EXIT_BLOCKED
    assert not any([(await world.node(each)).spec.unschedulable for each in nodes])

    assert (await say("abort", killed.id))[0] == 0
    assert await in_process(request) == 0
    assert len(world.accepted_evictions()) > len(before)
    assert not any([(await world.node(each)).spec.unschedulable for each in nodes])


async def test_a_run_that_saw_the_cluster_go_back_is_not_gone_on_with(world: World) -> None:
    plan = Plan(procedure="drain", request={"of": world.name}, steps=(), verdicts=())

    def begun() -> AbstractAsyncContextManager[Session]:
        return open_session(world.connection, world.journal, plan, quiet)

    async with begun():
        snapshot = await asyncio.to_thread(remember, world.sandbox, world.directory / "etcd.db")

    async def go_on_while_it_goes_back() -> None:
        async with begun():
            going.append(asyncio.create_task(asyncio.to_thread(go_back, *to)))
            await asyncio.sleep(120)

    to, going = (world.sandbox, snapshot, *BUMPED), list[asyncio.Task[None]]()
    with pytest.raises(HistoryLostError):
        await go_on_while_it_goes_back()
    await asyncio.gather(*going)
    # By its release the Lease looks younger than all that the run had seen.
    with pytest.raises(BlockedError, match="cannot go on: etcd was restored"):
        async with begun():
            pytest.fail("it went on")
