"""etcd restored to an older state underneath a running operator: what it knew holds no more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.kube.connection import connect
from shipkeeper.kube.resources import NODES
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World, options_of
from tests.operator.harbour import AFTER_DEATH, Harbour
from tests.sandbox.past import go_back, remember

WENT_BACK = "leads no more: the API server went back to an older state"


@pytest.fixture
async def world(returning: Sandbox, tmp_path: Path) -> AsyncIterator[World]:
    """A corner of a cluster that is taken back to earlier moments."""
    async with (
        connect(options_of(returning)) as connection,
        World(returning, connection, tmp_path) as found,
    ):
        yield found


@pytest.mark.parametrize("standing_by", [0, 1])
async def test_a_run_goes_on_from_the_older_state(
    world: World, harbour: Harbour, tmp_path: Path, standing_by: int
) -> None:
    nodes = await world.add_nodes(4)
    await harbour.writer.patch(NODES, nodes[3], {"spec": {"unschedulable": True}})
    await world.up(world.deployment("web", 4), world.budget("web", max_unavailable=1))
    leader = harbour.start()
    await leader.leads()
    for _ in range(standing_by):
        await harbour.start().says("standing by")
    await harbour.maintain("older", nodes, action={"wait": "3s"})
    await harbour.stands("older", lambda status: bool(status.under_way) and status.nodes.done == 1)
    snapshot = await asyncio.to_thread(remember, world.sandbox, tmp_path / "snapshot.db")
    await harbour.stands("older", lambda status: status.nodes.done >= 2)
    await harbour.maintain("younger", nodes, approved=False)
    await harbour.reaches("younger", "AwaitingApproval")
    before = await _go_back(world, snapshot)
    assert len(before) == len(set(before))
    await leader.says(WENT_BACK)
    await harbour.reaches("older", "Succeeded", within=AFTER_DEATH)
    after = world.accepted_evictions()[len(before) :]
    assert len(after) == len(set(after))
    assert ("older", "WentBack") in await harbour.events()
    unschedulable = [(await world.node(each)).spec.unschedulable for each in nodes]
    assert unschedulable == [False, False, False, True]
    objects = await harbour.reader.list(NODE_MAINTENANCE.resource)
    assert [each.name for each in objects.items] == ["older"]


async def test_a_run_that_was_never_asked_for_in_the_older_state_is_stopped(
    world: World, harbour: Harbour, tmp_path: Path
) -> None:
    nodes = await world.add_nodes(2)
    await world.up(world.deployment("web", 2))
    leader = harbour.start()
    await leader.leads()
    snapshot = await asyncio.to_thread(remember, world.sandbox, tmp_path / "snapshot.db")
    await harbour.maintain("undone", nodes, action={"wait": "1h"})
    await harbour.stands("undone", lambda status: bool(status.under_way))
    before = await _go_back(world, snapshot)
    await leader.says(WENT_BACK)
    # It leads again, and does what is asked for now.
    await harbour.maintain("asked", nodes[:1])
    await harbour.reaches("asked", "Succeeded", within=AFTER_DEATH)
    assert not any([(await world.node(each)).spec.unschedulable for each in nodes])
    moved = world.accepted_evictions()[len(before) :]
    assert len(moved) == len(set(moved))


async def _go_back(world: World, snapshot: Path) -> list[str]:
    """The evictions that were accepted before the cluster went back."""
    return await asyncio.to_thread(
        go_back, world.sandbox, snapshot, meanwhile=world.accepted_evictions
    )
