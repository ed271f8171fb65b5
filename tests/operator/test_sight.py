"""The whole cluster in memory: read once for all who asked before, and never twice at a time."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import BUDGETS, NODES
from shipkeeper.nodes import procedure
from shipkeeper.nodes.fleet.observe import Whole
from shipkeeper.nodes.fleet.review import FleetReviewer
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.procedure import prepare
from shipkeeper.operator.maintenance.carrying_out import Maintaining
from shipkeeper.operator.sight import Sight
from tests.nodes.world import World


@pytest.fixture
async def sight() -> AsyncIterator[Sight]:
    """One of which nothing is left in memory for the next test."""
    found = Sight()
    yield found
    async with found.alone():
        pass


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_whoever_asked_before_it_was_read_sees_what_another_reads(
    sight: Sight, world: World
) -> None:
    reader = Reader(world.connection)
    asked = now()
    async with sight.of(reader, asked) as first:
        pass
    async with sight.of(reader, asked) as second:
        assert second is first


async def test_whoever_asks_later_sees_what_is_there_by_then(sight: Sight, world: World) -> None:
    reader = Reader(world.connection)
    async with sight.of(reader, now()):
        pass
    (node,) = await world.add_nodes(1)
    async with sight.of(reader, now()) as seen:
        assert node in {each.name for each in seen.cluster}


async def test_what_was_read_long_ago_is_read_anew(
    sight: Sight, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, asked = Reader(world.connection), now()
    async with sight.of(reader, asked) as first:
        pass
    monkeypatch.setattr("shipkeeper.operator.sight._FRESH_SECONDS", 0.0)
    async with sight.of(reader, asked) as second:
        assert second is not first


async def test_whoever_reads_in_their_own_way_is_alone(sight: Sight, world: World) -> None:
    reader = Reader(world.connection)
    async with sight.of(reader, now()) as seen:
        other = asyncio.create_task(_alone(sight))
        await asyncio.sleep(0)
        assert not other.done()
        assert in_memory() == 1
        del seen
    assert await other


async def test_nobody_keeps_what_nobody_looks_at(
    sight: Sight, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipkeeper.operator.sight._FRESH_SECONDS", 0.01)
    reader = Reader(world.connection)
    async with sight.of(reader, now()):
        assert in_memory() == 1
    while in_memory():
        await asyncio.sleep(0.01)


async def _alone(sight: Sight) -> bool:
    async with sight.alone():
        return in_memory() == 0


def in_memory() -> int:
    gc.collect()
    return sum(isinstance(each, Whole) for each in gc.get_objects())


async def test_a_run_goes_before_all_that_wait_and_sees_what_is_there_now(
    sight: Sight, world: World
) -> None:
    reader, order = Reader(world.connection), list[str]()

    async def plan(name: str) -> None:
        async with sight.of(reader, now()):
            order.append(name)

    async def run() -> None:
        async with sight.now(reader) as seen:
            order.append("run")
            assert node in {each.name for each in seen.cluster}

    async with asyncio.TaskGroup() as tasks, sight.of(reader, now()):
        (node,) = await world.add_nodes(1)
        first, *_ = [tasks.create_task(plan(name)) for name in ("first", "second")]
        await asyncio.sleep(0)
        tasks.create_task(run())
        await asyncio.sleep(0)
        # Whoever gives up waiting is passed over.
        first.cancel()
        await asyncio.wait([first])
        tasks.create_task(plan("third"))
        await asyncio.sleep(0)
        assert order == []
    assert order == ["run", "second", "third"]


async def test_a_run_is_reviewed_on_the_look_that_it_is_given(sight: Sight, world: World) -> None:
    (node,) = await world.add_nodes(1)
    options = MaintenanceOptions(drain=DrainOptions(), command="true")
    _, plan = await prepare(world.connection, (node,), "", options)
    nodes, budgets = Reflector(world.reader, NODES), Reflector(world.reader, BUDGETS)
    reviewer = FleetReviewer(
        world.reader, nodes, budgets, plan, options, is_resumed=True, look=sight.now
    )
    async with sight.alone():
        review = asyncio.create_task(reviewer.review(plan, set()))
        done, _ = await asyncio.wait([review], timeout=0.5)
        assert not done
    await review


async def test_the_operators_runs_look_by_its_sight(
    sight: Sight, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    async def carry_out(*_: Any, **how: Any) -> None:
        given.update(how)

    monkeypatch.setattr(procedure, "carry_out", carry_out)
    nothing: Any = None
    await Maintaining(sight).carry_out(nothing, nothing, nothing, nothing)
    assert given == {"look": sight.now}
