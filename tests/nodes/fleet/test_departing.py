"""Who leaves a node when, and until when: tiers, DaemonSet pods, deadlines; on real servers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shipkeeper.engine.journal import Outcome, Phase
from shipkeeper.engine.progress import ItemChanged
from shipkeeper.kube.changes import Change
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import NODES, PODS
from shipkeeper.kube.writer import STRATEGIC_PATCH
from shipkeeper.model.pod import Pod, Toleration
from shipkeeper.nodes.filters import DAEMONS_TAINT
from shipkeeper.nodes.options import AtDeadline, DrainOptions, MaintenanceOptions
from shipkeeper.nodes.procedure import abort, execute, prepare
from shipkeeper.nodes.tiers import PodOrder
from shipkeeper.sandbox import workloads
from tests.cli.user import User
from tests.nodes.test_cordon_rules import essence
from tests.nodes.test_killed import settled
from tests.nodes.world import World

CRITICAL = {"priorityClassName": "system-cluster-critical"}


def on(world: World, node: str, **wishes: Any) -> workloads.PodShape:
    return world.shape(node_selector={workloads.HOSTNAME_LABEL: node}, **wishes)


def with_priority(manifest: dict[str, Any]) -> dict[str, Any]:
    manifest["spec"]["template"]["spec"] |= CRITICAL
    return manifest


def gone(world: World) -> list[str]:
    """The apps of the pods that left, in their order."""
    return [
        each.item.partition("/")[2].partition("-")[0]
        for each in world.events
        if isinstance(each, ItemChanged) and each.state == "Gone"
    ]


async def test_critical_pods_and_then_those_of_daemon_sets_leave_last(
    world: World, tmp_path: Path
) -> None:
    (node,) = await world.add_nodes(1)
    quick = workloads.daemon_set("agent", world.name, shape=on(world, node))
    bears = on(world, node, tolerations=(Toleration(operator="Exists"),))
    plugin = workloads.daemon_set("plugin", world.name, shape=bears)
    await world.up(
        with_priority(world.deployment("dns", 2)),
        world.deployment("web", 2, stops_after="1s"),
        quick,
        plugin,
    )
    await world.add_nodes(1)
    before = essence(await world.reader.get_raw(NODES, node))
    agents = {pod.name for pod in await world.pods(node) if pod.name.startswith("agent")}
    options = MaintenanceOptions(
        drain=DrainOptions(pod_order=PodOrder.CRITICAL, daemon_sets_last=True),
        command=f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done",
    )
    _, plan = await prepare(world.connection, (node,), "", options)
    assert plan.step(f"{node}/drain").effect == "4 pods to move in 2 tiers, 2 to leave"
    assert plan.step(f"{node}/daemons").effect == "1 DaemonSet pod to end"
    running = asyncio.create_task(
        execute(world.connection, world.journal, plan, world.events.append)
    )
    async with asyncio.timeout(60):
        while not (tmp_path / "begun").exists():
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)
    assert gone(world) == ["web", "web", "dns", "dns", "agent"]
    held = [pod for pod in await world.pods() if "Held" in world.states(pod.name)]
    assert held == []
    # Nobody starts it again while the taint is there; what bears it stays.
    await asyncio.sleep(1)
    left = [pod.name.partition("-")[0] for pod in await world.pods(node)]
    assert left == ["plugin"]
    taints = {each.key: each for each in (await world.node(node)).spec.taints}
    assert taints[DAEMONS_TAINT].effect == "NoSchedule"
    assert taints[DAEMONS_TAINT].value == world.journal.runs()[0].id
    (tmp_path / "go").touch()
    result = await running
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    await settled(world, (node,))
    assert essence(await world.reader.get_raw(NODES, node)) == before
    await world.up()
    again = {pod.name for pod in await world.pods(node) if pod.name.startswith("agent")}
    assert len(again) == 1
    assert again.isdisjoint(agents)


async def test_who_gives_up_takes_the_taint_away(newest_world: World, tmp_path: Path) -> None:
    world = newest_world
    (node,) = await world.add_nodes(1)
    theirs = {"key": "example.com/theirs", "value": "1", "effect": "PreferNoSchedule"}
    await world.writer.patch(NODES, node, {"spec": {"taints": [theirs]}})
    await world.up(workloads.daemon_set("agent", world.name, shape=on(world, node)))
    before = essence(await world.reader.get_raw(NODES, node))
    user = User(world.sandbox, tmp_path)
    flags = ("--daemonset-pods=last", "--command=false")
    for way_back in ("maintain", "uncordon"):
        failed = await user.run("maintain", "run", node, *flags)
        assert failed.returncode == 1, failed.stderr
        assert DAEMONS_TAINT in {each.key for each in (await world.node(node)).spec.taints}
        done = await (
            user.run("maintain", "abort") if way_back == "maintain" else user.run("uncordon", node)
        )
        assert done.returncode == 0, done.stderr
        await settled(world, (node,))
        assert essence(await world.reader.get_raw(NODES, node)) == before
        await world.up()


@asynccontextmanager
async def graces(world: World) -> AsyncGenerator[dict[str, set[int | None]]]:
    """Every grace period that was seen on a deleted pod, by its app, but the kubelet's last 0."""
    seen: dict[str, set[int | None]] = {}
    async with Reflector(world.reader, PODS, namespace=world.name) as pods:

        def look(change: Change[Pod]) -> None:
            pod = change.object
            if pod.is_deleting:
                app = pod.metadata.labels[workloads.APP_LABEL]
                grace = pod.metadata.deletion_grace_period_seconds
                seen.setdefault(app, set()).update({grace} - {0})

        pods.subscribe(look)
        yield seen


async def stuck(world: World) -> str:
    """A node with a pod whose budget is used up for good, one that ends slowly, and a free one."""
    (node,) = await world.add_nodes(1)
    tier = {"tier": "x"}
    covered = workloads.budget("tier", world.name, tier, max_unavailable=1)
    await world.up(
        world.deployment("held", labels=tier),
        world.deployment("tough", stops_after="1h", grace_seconds=3600),
        world.deployment("free"),
    )
    await world.add_nodes(1)
    await world.apply(world.deployment("never", labels=tier, ready_after="1h"), covered)
    resource = await world.reader.budget_resource()
    async with (
        asyncio.timeout(60),
        Reflector(world.reader, resource, namespace=world.name) as budgets,
    ):
        await budgets.wait_for(
            lambda found: all(
                each.is_current and each.status.expected_pods == 2 for each in found.values()
            )
        )
    return node


def limited(deadline: float, then: AtDeadline, **more: Any) -> MaintenanceOptions:
    drain = DrainOptions(deadline=deadline, at_deadline=then, **more)
    return MaintenanceOptions(drain=drain, command="true")


async def test_a_drain_that_takes_too_long_ends_as_it_was_chosen(newest_world: World) -> None:
    world = newest_world
    node = await stuck(world)
    result = await world.maintain(node, options=limited(2.0, AtDeadline.GIVE_UP))
    (failure,) = result.failures
    assert failure.reason == "DrainDeadline"
    assert "the drain takes longer than 2s" in failure.message
    assert f"{world.name}/held" in failure.message
    assert "PodDisruptionBudget tier allows no disruption" in failure.message
    # What moved stays moved; the node is in service.
    assert not (await world.node(node)).spec.unschedulable
    assert "free" in gone(world)
    assert world.audit(verb="delete", resource="pods") == [
        each for each in world.audit(verb="delete", resource="pods") if is_kubelet(each)
    ]

    async with graces(world) as seen:
        result = await world.maintain(node, options=limited(2.0, AtDeadline.KILL))
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    assert (seen["held"], seen["tough"]) == ({1}, {1})
    told = [
        each for each in world.events if isinstance(each, ItemChanged) and each.state == "Forced"
    ]
    assert {each.item.partition("/")[2].partition("-")[0] for each in told} >= {"held", "tough"}
    assert all("the drain takes longer than 2s: kill" in each.message for each in told)


def is_kubelet(line: Any) -> bool:
    return "hollow" in line.user.username


async def test_what_is_deleted_keeps_its_grace_and_the_deadline_outlasts_an_interruption(
    newest_world: World,
) -> None:
    world = newest_world
    node = await stuck(world)
    options = limited(3.0, AtDeadline.DELETE, pod_selector="app in (held, free)")
    _, plan = await prepare(world.connection, (node,), "", options)
    assert "after 3s what is left is deleted past budgets" in plan.step(f"{node}/drain").effect
    running = asyncio.create_task(
        execute(world.connection, world.journal, plan, world.events.append)
    )
    async with asyncio.timeout(60):
        while "free" not in gone(world):
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait([running])
    await asyncio.sleep(3)
    world.events.clear()
    async with graces(world) as seen:
        result = await execute(world.connection, world.journal, plan, world.events.append)
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    assert seen["held"] == {30}
    (held,) = {
        each.item for each in world.events if isinstance(each, ItemChanged) and "held" in each.item
    }
    # It is over from the start: nothing is asked of the budget any more.
    states = world.states(held.partition("/")[2])
    assert states.index("Forced") < states.index("Gone")
    (run,) = world.journal.runs()
    entries = world.journal.entries(run.id, step=f"{node}/drain")
    assert len([each for each in entries if "began" in each.detail]) == 1
    assert [each.detail["forced"] for each in entries if "forced" in each.detail] == ["delete"]
    assert {each.phase for each in entries} == {Phase.BEFORE, Phase.AFTER}


async def test_nothing_is_ended_past_its_budget_on_a_node_that_does_not_answer(
    newest_world: World,
) -> None:
    world = newest_world
    node = await stuck(world)
    options = limited(1.0, AtDeadline.KILL, pod_selector="app=held")
    _, plan = await prepare(world.connection, (node,), "", options)
    await asyncio.to_thread(world.sandbox.hollow.stop_heartbeat, node)
    silent = {"conditions": [{"type": "Ready", "status": "Unknown"}]}
    await world.writer.patch(
        NODES, node, {"status": silent}, subresource="status", content_type=STRATEGIC_PATCH
    )
    result = await execute(world.connection, world.journal, plan, world.events.append)
    await asyncio.to_thread(world.sandbox.hollow.resume_heartbeat, node)
    assert result.outcome is Outcome.BLOCKED
    assert result.failures[0].reason == "NodeUnreachable"
    (pod,) = [each for each in await world.pods(node) if each.name.startswith("held")]
    assert not pod.is_deleting


async def test_interrupted_and_aborted_a_node_has_no_taint_left(newest_world: World) -> None:
    world = newest_world
    (node,) = await world.add_nodes(1)
    await world.up(workloads.daemon_set("agent", world.name, shape=on(world, node)))
    before = essence(await world.reader.get_raw(NODES, node))
    options = MaintenanceOptions(drain=DrainOptions(daemon_sets_last=True), wait=600.0)
    _, plan = await prepare(world.connection, (node,), "", options)
    running = asyncio.create_task(
        execute(world.connection, world.journal, plan, world.events.append)
    )
    async with asyncio.timeout(60):
        while gone(world) != ["agent"]:
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait([running])
    assert DAEMONS_TAINT in {each.key for each in (await world.node(node)).spec.taints}
    (run,) = world.journal.runs()
    await abort(world.connection, world.journal, run, world.events.append)
    await settled(world, (node,))
    assert essence(await world.reader.get_raw(NODES, node)) == before
