"""Maintaining several nodes at once on a real control plane."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from shipkeeper.engine.journal import Outcome
from shipkeeper.kube.resources import NODES, PODS
from shipkeeper.nodes.fleet.plan import Outlook
from shipkeeper.nodes.fleet.steering import TAINT
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.procedure import prepare
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.watch_budgets import watch_budgets
from tests.cli.user import User
from tests.nodes.test_cordon_rules import essence
from tests.nodes.world import World

KUBECTL = str(Path(sys.executable).parent / "kubectl")
OPTIONS = MaintenanceOptions(drain=DrainOptions(), command="true", max_unavailable="2")


async def waves_of(world: World, *nodes: str, **wishes: Any) -> tuple[tuple[str, ...], ...]:
    _, plan = await prepare(
        world.connection, nodes, "", MaintenanceOptions(drain=DrainOptions(), **wishes)
    )
    outlook = plan.outlook
    return Outlook(
        waves=tuple(tuple(wave) for wave in outlook["waves"]), least_waves=outlook["leastWaves"]
    ).waves


async def interlock(world: World) -> tuple[str, str]:
    """Two budgets over two nodes: each node has one pod of each, and no other place for it."""
    first, second = await world.add_nodes(2)
    for app in ("red", "blue"):
        await world.up(world.deployment(app, 2, apart=True), world.budget(app, max_unavailable=1))
    return first, second


async def test_two_budgets_over_two_nodes_never_half_drain_both(newest_world: World) -> None:
    world = newest_world
    nodes = await interlock(world)
    assert await waves_of(world, *nodes, max_unavailable="2") == ((nodes[0],), (nodes[1],))
    with watch_budgets(world.sandbox.kubeconfig) as watch:
        result = await world.maintain(*nodes, options=OPTIONS)
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    assert watch.report is not None
    assert watch.report.violations == 0
    for name in nodes:
        node = await world.node(name)
        assert not node.spec.unschedulable
        assert TAINT not in {taint.key for taint in node.spec.taints}


async def test_the_same_two_nodes_stick_with_kubectl(newest_world: World) -> None:
    world = newest_world
    nodes = await interlock(world)
    # The interleaving that neither can get out of: each drain got one budget's only disruption.
    for name, app in zip(nodes, ("red", "blue"), strict=True):
        code, said = await kubectl_drain(world, name, f"--pod-selector=app={app}")
        assert code == 0, said
    drains = await asyncio.gather(*(kubectl_drain(world, name, "--timeout=15s") for name in nodes))
    for code, said in drains:
        assert code != 0
        assert "disruption budget" in said
    left = [[pod.metadata.labels["app"] for pod in await world.pods(name)] for name in nodes]
    assert left == [["blue"], ["red"]]


async def kubectl_drain(world: World, node: str, flag: str) -> tuple[int | None, str]:
    """Drain a node with kubectl: its exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(KUBECTL, f"--kubeconfig={world.sandbox.kubeconfig}", "drain", node, flag),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_what_falls_short_by_one_cpu_is_foretold_and_left_alone(newest_world: World) -> None:
    world = newest_world
    (full,) = await world.add_nodes(1, cpu="4")
    await world.up(world.deployment("web", 2, cpu="1"))
    (other,) = await world.add_nodes(1, cpu="4")
    there = {workloads.HOSTNAME_LABEL: other}
    await world.up(world.bare_pod("filler", cpu="1", node_selector=there))
    # Three CPUs are left for pods that want two.
    _, plan = await prepare(world.connection, (full,), "", OPTIONS)
    assert plan.blockers == ()
    await world.up(world.bare_pod("more", cpu="2", node_selector=there))
    # One CPU is left.
    _, plan = await prepare(world.connection, (full,), "", OPTIONS)
    (blocker,) = plan.blockers
    assert blocker.reason == "NoRoomElsewhere"
    assert "1 pod of it fit nowhere else" in blocker.message
    assert "short of 1 cpu" in blocker.message
    assert plan.steps == ()
    assert world.accepted_evictions() == []

    # Told to bear it, exactly as many pods are Pending as were foretold.
    options = MaintenanceOptions(drain=DrainOptions(), wait=3.0, allow_pending=True)
    running = asyncio.create_task(world.maintain(full, options=options))
    seen: list[int] = []
    while not running.done():
        pods = (await world.reader.list(PODS, namespace=world.name)).items
        is_empty = not any(pod.spec.node_name == full for pod in pods)
        if is_empty and len(pods) == 4:
            seen.append(sum(not pod.spec.node_name for pod in pods))
        await asyncio.sleep(0.1)
    assert (await running).outcome is Outcome.SUCCEEDED
    assert max(seen) == 1


async def test_pods_move_once_and_no_trace_is_left(newest_world: World) -> None:
    world = newest_world
    nodes = await world.add_nodes(4, cpu="2")
    await world.up(world.deployment("web", 12, cpu="100m"), world.budget("web", max_unavailable=3))
    spare = await world.add_nodes(1, cpu="4")
    taint = {"key": "example.com/theirs", "value": "1", "effect": "PreferNoSchedule"}
    await world.writer.patch(NODES, nodes[0], {"spec": {"taints": [taint]}})
    before = [essence(await world.reader.get_raw(NODES, name)) for name in (*nodes, *spare)]
    result = await world.maintain(*nodes, options=OPTIONS)
    assert result.outcome is Outcome.SUCCEEDED
    after = [essence(await world.reader.get_raw(NODES, name)) for name in (*nodes, *spare)]
    assert after == before
    assert len(world.accepted_evictions()) == 12


async def test_a_pause_lets_nodes_finish_and_a_resume_goes_on(
    newest_world: World, tmp_path: Path
) -> None:
    world = newest_world
    nodes = await world.add_nodes(2)
    user, go = User(world.sandbox, tmp_path), tmp_path / "go"
    work = f"while [ ! -e {go} ]; do sleep 0.05; done"
    maintenance = ("maintain", "run", *nodes, "--command", work)
    running = asyncio.create_task(user.run(*maintenance))
    await states_until(user, "Begun")
    paused = await user.run("maintain", "pause")
    held = await User(world.sandbox, tmp_path).run(*maintenance)
    go.touch()
    states = await states_until(user, "Done")
    status = await user.run("maintain", "status")
    resumed = await user.run("maintain", "resume")
    done = await running
    assert paused.stdout.strip().endswith(" paused")
    assert held.returncode == 6, held.stderr
    assert states == ["Done", "Pending"]
    assert "is paused" in status.stderr
    assert resumed.stdout.strip().endswith(" resumed")
    assert done.returncode == 0, done.stderr
    assert "has ended: Succeeded" in (await user.run("maintain", "status")).stderr


async def states_until(user: User, wanted: str) -> list[str]:
    """The states of the nodes of the user's maintenance, once one of them is as wanted."""
    while True:
        status = await user.run("maintain", "status", "-o", "json")
        if status.returncode == 0:
            states = [node["state"] for node in json.loads(status.stdout)["nodes"]]
            if wanted in states:
                return states
        await asyncio.sleep(0.1)


async def test_groups_come_one_after_the_other_and_in_their_window(
    newest_world: World, tmp_path: Path
) -> None:
    world = newest_world
    nodes = await world.add_nodes(3)
    user = User(world.sandbox, tmp_path)
    log = tmp_path / "log"
    work = f'echo "$NODE_NAME" >> {log}'
    canary = ("--canary", nodes[1], "--soak", "1s", "--max-unavailable", "3")
    open_all_day = ("--window", "0 0 * * * 25h UTC")
    done = await user.run("maintain", "run", *nodes, "--command", work, *canary, *open_all_day)
    assert done.returncode == 0, done.stderr
    assert log.read_text().split()[0] == nodes[1]
    gate = done.stderr.index('"done","step":"fleet/gate-1"')
    assert done.stderr.index(f'"done","step":"{nodes[1]}/uncordon"') < gate
    assert gate < done.stderr.index(f'"started","step":"{nodes[0]}/cordon"')
    assert gate < done.stderr.index(f'"started","step":"{nodes[2]}/cordon"')
