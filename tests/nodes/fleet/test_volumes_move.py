"""Volumes leave a node before its work and are in use elsewhere before the next; real controllers.

The attach-detach controller of kube-controller-manager is the real one; only the attacher of the
driver, which would speak to a storage system, is played.
"""

import asyncio
from pathlib import Path

from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.progress import Note, StepDone, StepStarted
from shipkeeper.kube.resources import NODES
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, VolumeOptions
from shipkeeper.sandbox import workloads
from tests.nodes.storage import Attacher, add_claim, attacher, with_claim
from tests.nodes.world import World


async def database(world: World, driver: Attacher) -> tuple[str, str]:
    """A StatefulSet of one pod whose volume is attached to its node; that node, and another.

    Its node comes first in the order of their names, and so is the first to be done.
    """
    await world.add_nodes(1)
    await add_claim(world, driver.driver)
    await world.up(with_claim(workloads.stateful_set("db", world.name, shape=world.shape())))
    await driver.until(lambda found: [each.status.attached for each in found] == [True])
    await world.add_nodes(1)
    node, other = world.nodes
    return node, other


def options(directory: Path, **volumes: object) -> MaintenanceOptions:
    return MaintenanceOptions(
        drain=DrainOptions(),
        command=f'echo "$NODE_NAME" >> {directory}/commands',
        volumes=VolumeOptions(**volumes),  # type: ignore[arg-type]
    )


async def until_begun(world: World, step: str, running: "asyncio.Task[object]") -> None:
    async with asyncio.timeout(60):
        while step not in begun(world):
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)


def begun(world: World) -> list[str]:
    return [each.step.id for each in world.events if isinstance(each, StepStarted)]


def done(world: World) -> list[str]:
    return [each.step.id for each in world.events if isinstance(each, StepDone)]


async def test_nothing_is_done_to_a_node_that_holds_a_volume_nor_to_the_next_before_it_is_attached(
    world: World, tmp_path: Path
) -> None:
    async with attacher(world) as driver:
        node, other = await database(world, driver)
        driver.tell(detaches=False)
        running = asyncio.create_task(world.maintain(node, other, options=options(tmp_path)))
        await until_begun(world, f"{node}/detach", running)
        await driver.until(
            lambda found: any(each.metadata.deletion_timestamp is not None for each in found)
        )
        assert f"{node}/drain" in done(world)
        assert not (tmp_path / "commands").exists()
        driver.tell(attaches=False)
        await until_begun(world, f"{node}/attach", running)
        await driver.until(lambda found: [each.spec.node_name for each in found] == [other])
        assert (await world.node(node)).spec.unschedulable
        assert (tmp_path / "commands").read_text().split() == [node]
        driver.tell()
        result = await running
        assert result.outcome is Outcome.SUCCEEDED, result.failures
        # It went to the node that was to be done next: what the plan did not know of yet.
        assert driver.history == [
            ("attached", node),
            ("detached", node),
            ("attached", other),
            ("detached", other),
            ("attached", node),
        ]
        steps = done(world)
        assert steps.index(f"{node}/attach") < steps.index(f"{other}/cordon")
        assert (tmp_path / "commands").read_text().split() == [node, other]


async def test_a_volume_that_does_not_move_is_told_of_and_its_node_is_put_back(
    newest_world: World, tmp_path: Path
) -> None:
    world = newest_world
    async with attacher(world) as driver:
        node, other = await database(world, driver)
        driver.tell(detaches=False)
        result = await world.maintain(node, options=options(tmp_path, detach_timeout=1.0))
        assert result.outcome is Outcome.FAILED
        (failure,) = result.failures
        assert failure.reason == "StillAttached"
        volume = f"volume {world.name}-data (claim {world.name}/data of pod {world.name}/db-0)"
        assert f"after 1s: {volume} is still attached to {node}" in failure.message
        assert driver.driver in failure.remedy
        assert not (await world.node(node)).spec.unschedulable
        assert not (tmp_path / "commands").exists()

        # Told to go on, the node is worked on all the same; the pod still waits for its volume.
        await world.writer.patch(NODES, other, {"spec": {"unschedulable": True}})
        driver.tell(attaches=False)
        await driver.until(lambda found: [each.spec.node_name for each in found] == [other])
        await world.writer.patch(NODES, other, {"spec": {"unschedulable": None}})
        driver.tell(detaches=False, attaches=False)
        go_on = options(tmp_path, detach_timeout=0.5, attach_timeout=1.0, go_on=True)
        result = await world.maintain(other, options=go_on)
        assert any(
            isinstance(each, Note) and each.message.startswith("going on: after 0s")
            for each in world.events
        ), world.events
        assert (tmp_path / "commands").read_text().split() == [other]
        (failure,) = result.failures
        assert failure.reason == "NotAttached"
        assert f"of pod {world.name}/db-0 is not attached to {node}" in failure.message
        assert not (await world.node(other)).spec.unschedulable


async def test_a_volume_that_another_pod_keeps_on_the_node_is_not_waited_for(
    newest_world: World, tmp_path: Path
) -> None:
    world = newest_world
    async with attacher(world) as driver:
        node, _ = await database(world, driver)
        # Another pod of the node keeps the same volume there.
        keeper = workloads.daemon_set(
            "keeper", world.name, shape=world.shape(node_selector={workloads.HOSTNAME_LABEL: node})
        )
        await world.up(with_claim(keeper))
        plain = options(tmp_path, detach_timeout=1.0, attach_timeout=1.0)
        drain = DrainOptions(ignore_daemonsets=True)
        driver.tell(detaches=False)
        result = await world.maintain(
            node,
            options=MaintenanceOptions(drain=drain, command=plain.command, volumes=plain.volumes),
        )
        assert (tmp_path / "commands").read_text().split() == [node]
        # Its new place waits for it, as it is mounted on one node at a time.
        assert [each.reason for each in result.failures] == ["NotAttached"]
