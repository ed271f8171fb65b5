"""Rehearsals against real runs: the same nodes in the same order, and as many moves."""

from random import Random

import pytest

from shipkeeper.engine.journal import Outcome, Phase
from shipkeeper.nodes.fleet.forecast import Forecast, forecast
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.pace import Pace
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.orders import Order, parse_canary
from shipkeeper.nodes.procedure import execute, prepare
from tests.nodes.world import World

ORDERS = (
    Order(),
    Order(canary=parse_canary(["1"])),
    Order(canary=parse_canary(["1"]), growth=2.0),
)


def groups_of(order: list[str], waves: list[list[str]]) -> list[list[str]]:
    """Nodes in the order in which they began, those of one wave in any."""
    groups: list[list[str]] = []
    left = list(order)
    for wave in waves:
        groups.append(sorted(left[: len(wave)]))
        left = left[len(wave) :]
    return groups


@pytest.mark.parametrize("seed", range(3))
async def test_a_run_goes_as_it_was_rehearsed(newest_world: World, seed: int) -> None:
    world, draw = newest_world, Random(f"rehearsal {seed}")
    names = await world.add_nodes(draw.randint(3, 5))
    for app in ("web", "api"):
        replicas = draw.randint(2, 6)
        await world.up(
            world.deployment(app, replicas),
            world.budget(app, max_unavailable=draw.randint(1, replicas)),
        )
    await world.add_nodes(1)
    options = MaintenanceOptions(
        drain=DrainOptions(), command="true", max_unavailable="1", order=ORDERS[seed]
    )
    state, plan = await prepare(world.connection, names, "", options)
    assert isinstance(state, FleetState)
    told = forecast(state, plan, Pace(replace=1.0, update=1.0))
    assert told.stuck == ()
    result = await execute(world.connection, world.journal, plan, world.events.append)
    assert result.outcome is Outcome.SUCCEEDED
    began = [
        entry.step.removesuffix("/cordon")
        for entry in world.journal.entries(result.run)
        if entry.step.endswith("/cordon") and entry.phase is Phase.BEFORE
    ]
    waves = plan.outlook["waves"]
    assert groups_of(began, waves) == groups_of(order_of(told), waves)
    assert len(world.accepted_evictions()) == told.moves


def order_of(told: Forecast) -> list[str]:
    return [each.node for each in sorted(told.nodes, key=lambda each: each.begins)]
