"""`--surge` from end to end: the only pod moves, there is always one, and no trace is left."""

import asyncio
from pathlib import Path

import msgspec

from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.engine.progress import quiet
from shipkeeper.kube.resources import DEPLOYMENTS
from shipkeeper.model.deployment import Deployment
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.procedure import abort, prepare
from shipkeeper.nodes.surge import SURGE_ANNOTATION, SurgeOptions
from shipkeeper.nodes.surging import find_surges
from shipkeeper.sandbox import workloads
from tests.cli.user import User
from tests.nodes.dying import Request
from tests.nodes.test_killed import KILLED, in_process
from tests.nodes.test_surge import deployment, fewest_ready, one_pod
from tests.nodes.world import World

SURGING = DrainOptions(surge=SurgeOptions(enabled=True, timeout=60))


async def single(world: World, ready_after: str = "500ms") -> tuple[str, Deployment]:
    """A Deployment whose only pod may not be evicted; the pod's node, and it."""
    await world.add_nodes(2)
    await world.up(
        world.deployment("web", ready_after=ready_after), world.budget("web", min_available=1)
    )
    (pod,) = await world.pods()
    return pod.spec.node_name, await deployment(world)


def is_as_before(now: Deployment, before: Deployment) -> bool:
    return (now.spec, now.metadata.annotations) == (before.spec, before.metadata.annotations)


async def test_the_only_pod_moves_and_there_is_always_one(world: World, tmp_path: Path) -> None:
    node, before = await single(world)
    user, asked = User(world.sandbox, tmp_path), ("maintain", "run", node, "--command=true")
    refused = await user.run(*asked)
    assert refused.returncode == 5, refused.stderr
    shown = await user.run(*asked, "--surge", "--dry-run=client")
    assert (
        f"pod/{(await one_pod(world)).key}: Allow Surge: Deployment {world.name}/web "
        "will be scaled to 2 while its pod moves"
    ) in shown.stdout
    assert is_as_before(await deployment(world), before)
    async with fewest_ready(world) as seen:
        done = await user.run(*asked, "--surge")
        left = await one_pod(world)
    assert done.returncode == 0, done.stderr
    assert min(seen) == 1
    assert left.spec.node_name != node
    assert is_as_before(await deployment(world), before)


async def test_a_drain_surges_and_leaves_alone_what_must_not_run_twice(
    newest_world: World, tmp_path: Path
) -> None:
    world = newest_world
    node, before = await single(world)
    fixed = world.deployment("fixed", node_selector={workloads.HOSTNAME_LABEL: node})
    fixed["spec"]["strategy"] = {"type": "Recreate"}
    await world.up(fixed, world.budget("fixed", min_available=1))
    state, plan = await prepare(world.connection, (node,), "", SURGING)
    assert plan.steps == ()
    reasons = {(each.target, each.reason) for each in plan.verdicts}
    assert (f"deployment/{world.name}/fixed", "RecreateStrategy") in reasons
    assert [uid for uid in state.surging if state.surging[uid] != f"{world.name}/web"] == []

    await world.writer.delete(DEPLOYMENTS, "fixed", namespace=world.name)
    await one_pod(world)
    user = User(world.sandbox, tmp_path)
    rehearsed = await user.run("drain", node, "--surge", "--dry-run=server")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "Cannot evict" not in rehearsed.stderr
    assert is_as_before(await deployment(world), before)
    result = await world.drain(node, surge=SURGING.surge)
    assert result.outcome is Outcome.SUCCEEDED
    assert (await one_pod(world)).spec.node_name != node
    assert is_as_before(await deployment(world), before)


async def test_killed_at_every_point_it_is_restored_by_a_rerun_and_by_an_abort(
    newest_world: World,
) -> None:
    world = newest_world
    _, before = await single(world)
    raised, point, ways = 0, 0, ("rerun", "abort")
    async with fewest_ready(world) as seen:
        while True:
            point += 1
            way = ways[point % 2]
            pod = await one_pod(world)
            directory = world.directory / str(point)
            directory.mkdir()
            request = Request(
                kubeconfig=str(world.sandbox.kubeconfig),
                journal=str(directory / "journal.db"),
                nodes=(pod.spec.node_name,),
                options=MaintenanceOptions(drain=SURGING, command="true"),
                dies_at=point,
            )
            code = await in_process(request)
            if code != KILLED:
                break
            raised += len(await find_surges(world.reader))
            journal = Journal(directory / "journal.db")
            run = journal.runs()[0]
            if way == "abort" and run.outcome is not Outcome.SUCCEEDED:
                await abort(world.connection, journal, run, quiet)
            else:
                assert await in_process(msgspec.structs.replace(request, dies_at=0)) == 0
            journal.close()
            await world.up()
            await one_pod(world)
            assert is_as_before(await deployment(world), before), point
            assert not (await world.node(pod.spec.node_name)).spec.unschedulable
    assert code == 0
    assert raised >= 2
    assert min(seen) == 1


async def test_a_second_pod_that_does_not_come_fails_the_node_and_nothing_else(
    newest_world: World,
) -> None:
    world = newest_world
    node, before = await single(world, ready_after="")
    other = next(name for name in world.nodes if name != node)
    options = MaintenanceOptions(
        drain=DrainOptions(surge=SurgeOptions(enabled=True, timeout=1.5)), command="true"
    )
    await asyncio.to_thread(world.sandbox.hollow.set_ready_delay, other, 3600)
    result = await world.maintain(node, options=options)
    assert [each.reason for each in result.failures] == ["SurgeNotReady"]
    after = await deployment(world)
    assert after.spec.replicas == before.spec.replicas
    assert SURGE_ANNOTATION not in after.metadata.annotations
    assert not (await world.node(node)).spec.unschedulable
