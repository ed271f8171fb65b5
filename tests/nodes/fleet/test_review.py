"""A maintenance of a real control plane whose world changes in the middle of it."""

import asyncio
from pathlib import Path

from shipkeeper.engine.history import read_history
from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.progress import PlanRevised
from shipkeeper.kube.resources import NODES, PODS
from shipkeeper.nodes.fleet.observe import observe_fleet
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.plan import nodes_of
from shipkeeper.nodes.summary import REFUSED, summarise
from tests.nodes.world import World


async def test_the_rest_of_a_fleet_is_planned_anew(newest_world: World, tmp_path: Path) -> None:
    """Of four nodes one goes away and one gets a pod that is refused while the first is done."""
    world, go, at_work = newest_world, tmp_path / "go", tmp_path / "at-work"
    first, second, third, fourth = await world.add_nodes(4)
    work = f'echo "$NODE_NAME" >> {at_work}; while [ ! -e {go} ]; do sleep 0.05; done'
    options = MaintenanceOptions(drain=DrainOptions(), command=work)
    running = asyncio.create_task(world.maintain(first, second, third, fourth, options=options))
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(at_work.exists):
            await asyncio.sleep(0.05)

    world.sandbox.hollow.remove_nodes((second,))
    world.nodes = (first, third, fourth)
    await world.up(world.bare_pod("lone", node_selector={"kubernetes.io/hostname": third}))
    await world.writer.patch(NODES, fourth, {"metadata": {"labels": {"looked": "at"}}})
    go.touch()
    result = await running

    revisions = [event for event in world.events if isinstance(event, PlanRevised)]
    said = "\n".join(change for event in revisions for change in event.changes)
    assert f"node {second} is left out: there is no such node any more" in said
    assert f"node {third} is left out: cannot be drained because of 1 pod" in said
    assert nodes_of(revisions[-1].plan) == (first, fourth)
    assert at_work.read_text().split() == [first, fourth]
    assert result.outcome is Outcome.INCOMPLETE
    record = world.journal.run(result.run)
    summary = summarise(read_history(record, world.journal.entries(result.run)))
    assert {node.node: node.state for node in summary.nodes} == {
        first: "Done",
        fourth: "Done",
        second: REFUSED,
        third: REFUSED,
    }
    (lone,) = [pod for pod in await world.pods(third) if pod.name == "lone"]
    assert not lone.is_deleting
    listing = await world.reader.list(PODS, namespace=world.name)
    assert [pod.name for pod in listing.items] == ["lone"]


async def test_a_node_that_goes_away_between_two_lists_is_left_out(newest_world: World) -> None:
    there, gone = [
        await newest_world.reader.get(NODES, name) for name in await newest_world.add_nodes(2)
    ]
    newest_world.sandbox.hollow.remove_nodes((gone.name,))
    newest_world.nodes = (there.name,)
    state = await observe_fleet(newest_world.reader, (gone, there))
    assert [node.name for node in state.nodes] == [there.name]
