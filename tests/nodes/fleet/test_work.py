"""What is done to a drained node, on real control planes: hooks, waiting, and what if it fails."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.engine.action import StepRecord
from shipkeeper.engine.journal import Outcome, Phase
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import Note, quiet
from shipkeeper.engine.run import RunResult
from shipkeeper.errors import BlockedError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import STRATEGIC_PATCH, Writer
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Toleration
from shipkeeper.nodes.awaited import parse_awaited
from shipkeeper.nodes.comeback import closing_taints
from shipkeeper.nodes.cordon import cordon, uncordon
from shipkeeper.nodes.fleet.steps import Update
from shipkeeper.nodes.options import DrainOptions, IfWorkFails, MaintenanceOptions, PodAccess
from shipkeeper.nodes.pod_host import PodRefusedError
from shipkeeper.nodes.procedure import abort, prepare
from shipkeeper.nodes.work import Works
from shipkeeper.sandbox import workloads
from tests.cli.run import SHIPKEEPER
from tests.cli.user import User
from tests.nodes.world import World


def maintenance(**wishes: Any) -> MaintenanceOptions:
    return MaintenanceOptions(drain=DrainOptions(ignore_daemonsets=True), **wishes)


async def begun(world: World, running: "asyncio.Task[RunResult]", node: str) -> None:
    """Wait until a node is at its work: nothing is told of that, but its pods are gone by then."""
    async with asyncio.timeout(60):
        while not running.done() and not _is_at_work(world, node):
            await asyncio.sleep(0.05)


def _is_at_work(world: World, node: str) -> bool:
    runs = world.journal.runs()
    steps = [each.step for each in world.journal.entries(runs[0].id)] if runs else []
    return steps.count(f"{node}/update") > 1


async def test_a_hook_is_told_what_it_needs_and_its_secrets_are_masked(
    newest_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = newest_world
    (node,) = await world.add_nodes(1)
    monkeypatch.setenv("PASS", "open-sesame")
    user = User(world.sandbox, tmp_path)
    hook = 'echo "$NODE_NAME $NODE_ADDRESS $RUN $PASS"; echo "$PASS" | rev'
    done = await user.run("maintain", "run", node, "--hook", hook, "--secret-env", "PASS")
    assert done.returncode == 0, done.stderr
    address = (await world.node(node)).address("InternalIP")
    (record,) = (user.state / "shipkeeper" / "runs").glob(f"*/{node}")
    run = record.parent.name
    assert f"{node}: {node} {address} {run} •••" in done.stderr
    assert (record / "output.log").read_text().splitlines()[0] == f"{node} {address} {run} •••"
    kept = b"".join(path.read_bytes() for path in user.state.rglob("*") if path.is_file())
    assert b"emases-nepo" in kept
    assert b"open-sesame" not in kept
    # It must be there again to go on with, and nothing is begun without it.
    monkeypatch.delenv("PASS")
    refused = await user.run("maintain", "run", node, "--hook", hook, "--secret-env", "PASS")
    assert refused.returncode == 2
    assert "$PASS is not set" in refused.stderr


async def test_a_hook_that_hangs_or_is_killed_has_its_verdict(newest_world: World) -> None:
    world = newest_world
    first, second = await world.add_nodes(2)
    result = await world.maintain(
        first, options=maintenance(command="echo begun; exec sleep 600", time_limit=1)
    )
    (verdict,) = result.failures
    assert verdict.reason == "CommandTimedOut"
    assert "took longer than 1 s; it was ended" in verdict.message
    assert any(isinstance(e, Note) and e.message == f"{first}: begun" for e in world.events)
    result = await world.maintain(second, options=maintenance(command="echo x; kill -9 $$ "))
    (verdict,) = result.failures
    assert verdict.reason == "CommandLost"
    for node in (first, second):
        assert (await world.node(node)).spec.unschedulable


async def test_no_work_on_a_node_that_was_uncordoned_after_its_drain(
    newest_world: World, tmp_path: Path
) -> None:
    world = newest_world
    (node,) = await world.add_nodes(1)
    done = tmp_path / "done"
    reader, writer = Reader(world.connection), Writer(world.connection)
    options = maintenance(command=f"touch {done}")
    update = Update(reader, writer, options, tmp_path, quiet)
    step = Step(id=f"{node}/update", action="update", target=f"node/{node}", effect="x")
    record = StepRecord(world.journal, "run", step.id, [], {})
    assert await update.check(step) is None
    with pytest.raises(BlockedError, match="was uncordoned after it was drained"):
        await update.perform(step, record)
    assert not done.exists()
    # As after a drain; then the work is begun, and goes on whatever becomes of the cordon.
    await cordon(reader, writer, node, owner="maintain/run")
    assert await update.check(step) is None
    await update.perform(step, record)
    assert done.exists()
    await uncordon(reader, writer, node)
    assert await update.check(step) is None
    await update.perform(step, record)


async def test_whoever_gives_up_the_run_of_another_looks_where_work_may_run(
    newest_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = newest_world
    (node,) = await world.add_nodes(1)
    looks: list[str] = []

    async def goes_on(self: Works, node: Node) -> bool:
        looks.append(node.name)
        raise PodRefusedError("no such pods here", reason="PodRefused")

    monkeypatch.setattr(Works, "goes_on", goes_on)
    options = maintenance(work="reboot", pod=PodAccess(namespace=world.name))
    reader, writer = Reader(world.connection), Writer(world.connection)
    update = Update(reader, writer, options, tmp_path / "elsewhere", quiet)
    step = Step(id=f"{node}/update", action="update", target=f"node/{node}", effect="x")
    record = StepRecord(world.journal, "run", step.id, [], {})
    await record.write(Phase.BEFORE)
    with pytest.raises(BlockedError, match="nobody can see whether its work runs: no such pods"):
        await update.undo(step, record)
    await record.write(Phase.AFTER)
    await update.undo(step, record)
    assert looks == [node]


async def test_what_somebody_else_does_is_waited_for(world: World) -> None:
    (node,) = await world.add_nodes(1)
    options = maintenance(wait_for=(parse_awaited("reboot"), parse_awaited("kernel=6.12.9")))
    running = asyncio.create_task(world.maintain(node, options=options))
    await begun(world, running, node)
    before = await world.node(node)
    assert before.spec.unschedulable
    # The right kernel without a reboot is not enough.
    info = {"status": {"nodeInfo": {"kernelVersion": "6.12.9"}}}
    await world.writer.patch(NODES, node, info, subresource="status")
    await asyncio.sleep(0.5)
    assert not running.done()
    await asyncio.to_thread(
        world.sandbox.hollow.reboot, node, down_for=0.5, kernel_version="6.12.9"
    )
    result = await running
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    after = await world.node(node)
    assert after.status.node_info.boot_id != before.status.node_info.boot_id
    assert not after.spec.unschedulable


async def test_what_never_changes_is_named_and_what_is_so_is_left_alone(
    newest_world: World, tmp_path: Path
) -> None:
    world = newest_world
    old, new = await world.add_nodes(2)
    info = {"status": {"nodeInfo": {"kernelVersion": "6.99.1"}}}
    await world.writer.patch(NODES, new, info, subresource="status")
    user = User(world.sandbox, tmp_path)
    wish = ("--wait-for", "kernel=6.99.1", "--wait-limit", "1s")
    done = await user.run("maintain", "run", old, new, *wish)
    kernel = (await world.node(old)).status.node_info.kernel_version
    assert done.returncode == 1
    assert f"{old} still waits for kernel=6.99.1 (its kernel is still {kernel})" in done.stderr
    assert f"node/{new}: it has kernel=6.99.1 already" in done.stderr
    assert new not in done.stdout
    done = await user.run("maintain", "run", new, *wish)
    assert done.returncode == 0, done.stderr
    assert [uri for uri in user.writes() if f"/nodes/{new}" in uri] == []
    _, plan = await prepare(
        world.connection, (new,), "", maintenance(wait_for=(parse_awaited("kernel"),))
    )
    assert plan.steps


async def test_a_node_whose_work_failed_is_returned_if_that_was_asked_for(
    newest_world: World, tmp_path: Path
) -> None:
    world = newest_world
    first, second, foreign = await world.add_nodes(3)
    await world.writer.patch(NODES, foreign, {"spec": {"unschedulable": True}})
    await world.up(world.deployment("web", 2))
    user = User(world.sandbox, tmp_path)
    choice = ("--hook", 'test "$NODE_NAME" != ' + first, "--on-failure", "continue")
    plan = await user.run("maintain", "plan", first, *choice, "--if-work-fails", "returned")
    assert "if that fails, new pods are accepted again" in plan.stdout
    done = await user.run(
        "maintain", "run", first, second, foreign, *choice, "--if-work-fails", "returned"
    )
    assert done.returncode == 1
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "Failed" in rows[first]
    assert rows[first].endswith("; it takes pods again")
    assert "Done" in rows[second]
    assert not (await world.node(first)).spec.unschedulable
    assert (await world.node(foreign)).spec.unschedulable
    kept = await user.run("maintain", "run", first, *choice)
    assert "; it stays cordoned" in kept.stdout
    assert (await world.node(first)).spec.unschedulable


async def test_a_node_that_is_not_ready_is_not_returned(newest_world: World) -> None:
    world = newest_world
    (node,) = await world.add_nodes(1)
    go = world.directory / "go"
    options = maintenance(
        command=f"until [ -e {go} ]; do sleep 0.05; done; exit 3",
        if_work_fails=IfWorkFails.RETURNED,
    )
    running = asyncio.create_task(world.maintain(node, options=options))
    await begun(world, running, node)
    await show(world, node, "Ready", "False")
    go.touch()
    (verdict,) = (await running).failures
    assert verdict.message.endswith("it is not Ready, so it is not returned")
    assert (await world.node(node)).spec.unschedulable


async def test_a_node_whose_work_still_runs_is_not_given_up(newest_world: World) -> None:
    """Shipkeeper is stopped, the command goes on: no pod may come back under it."""
    world = newest_world
    (node,) = await world.add_nodes(1)
    go, over = world.directory / "go", world.directory / "over"
    started = world.directory / "started"
    command = f"touch {started}; until [ -e {go} ]; do sleep 0.05; done; touch {over}"
    running = asyncio.create_task(world.maintain(node, options=maintenance(command=command)))
    await begun(world, running, node)
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(started.exists):
            await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (run,) = world.journal.runs()
    with pytest.raises(BlockedError, match=f"node/{node}: its work still runs"):
        await abort(world.connection, world.journal, run, world.events.append)
    assert (await world.node(node)).spec.unschedulable
    go.touch()
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(over.exists):
            await asyncio.sleep(0.05)
        while True:
            with contextlib.suppress(BlockedError):
                run = world.journal.run(run.id)
                await abort(world.connection, world.journal, run, world.events.append)
                break
    assert not (await world.node(node)).spec.unschedulable
    assert world.journal.run(run.id).outcome is Outcome.ABORTED


async def show(world: World, node: str, condition: str, status: str) -> None:
    """Let a node show a condition."""
    shown = {"type": condition, "status": status, "reason": "Test", "message": "as the test wants"}
    await world.writer.patch(
        NODES,
        node,
        {"status": {"conditions": [shown]}},
        subresource="status",
        content_type=STRATEGIC_PATCH,
    )


async def test_a_node_is_back_only_when_pods_can_run_there(newest_world: World) -> None:
    world = newest_world
    (node,) = await world.add_nodes(1)
    go = world.directory / "go"
    options = maintenance(
        command=f"until [ -e {go} ]; do sleep 0.05; done", ready_timeout=2.0, max_failed=None
    )
    running = asyncio.create_task(world.maintain(node, options=options))
    await begun(world, running, node)
    await show(world, node, "NetworkUnavailable", "True")
    async with asyncio.timeout(30):
        while not closing_taints(await world.node(node)):
            await asyncio.sleep(0.1)
    go.touch()
    (verdict,) = (await running).failures
    assert verdict.reason == "NodeTainted"
    assert "node.kubernetes.io/network-unavailable" in verdict.message
    assert (await world.node(node)).spec.unschedulable


async def test_daemon_sets_must_be_back_after_a_reboot(world: World, tmp_path: Path) -> None:
    slow, quick = await world.add_nodes(2)
    shape = world.shape(tolerations=(Toleration(operator="Exists"),))
    await world.up(workloads.daemon_set("agent", world.name, shape=shape))
    # One is Ready again too late, the other takes its time.
    await asyncio.to_thread(world.sandbox.hollow.set_ready_delay, slow, 600.0)
    await asyncio.to_thread(world.sandbox.hollow.set_ready_delay, quick, 1.0)
    state = world.sandbox.directory.parents[2]
    reboot = (
        f"XDG_STATE_HOME={state} {SHIPKEEPER} sandbox host reboot --sandbox {world.sandbox.name} "
        '"$NODE_NAME" --down-for 0.2s'
    )
    options = maintenance(command=reboot, expect_reboot=True, ready_timeout=15.0)
    result = await world.maintain(quick, options=options)
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    (pod,) = await world.pods(quick)
    assert pod.is_ready
    result = await world.maintain(slow, options=options)
    (verdict,) = result.failures
    assert verdict.reason == "DaemonSetNotReady"
    assert f"{world.name}/agent" in verdict.message
    assert (await world.node(slow)).spec.unschedulable
