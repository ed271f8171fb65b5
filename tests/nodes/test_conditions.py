"""A run's conditions on its nodes: seen by another client, gone afterwards, theirs untouched."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.engine.journal import PLAN, Journal, Outcome, Phase
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import Note
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.resources import NODES, PODS
from shipkeeper.kube.writer import STRATEGIC_PATCH
from shipkeeper.model.meta import Condition, ObjectMeta
from shipkeeper.model.node import Node, NodeStatus
from shipkeeper.nodes.conditions import REASON, Course, Lifecycle, change_of
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from tests.cli.run import run_cli
from tests.faults.faults import refusal
from tests.faults.proxy import FaultProxy
from tests.nodes.dying import Request
from tests.nodes.test_killed import KILLED, in_process
from tests.nodes.world import World

KUBECTL = str(Path(sys.executable).parent / "kubectl")
TYPES = frozenset(Lifecycle)
PLANNED, DRAINING = "MaintenancePlanned", "DrainInProgress"
DRAINED, WORKED_ON = "Drained", "MaintenanceInProgress"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOTHING: set[str] = set()
Seen = list[tuple[str, frozenset[str]]]


@asynccontextmanager
async def watching(world: World) -> AsyncGenerator[Seen]:
    """What kubectl sees of the world's nodes: a name and the conditions True on it, in order."""
    watch = await asyncio.create_subprocess_exec(
        KUBECTL,
        f"--kubeconfig={world.sandbox.kubeconfig}",
        "get",
        "nodes",
        f"--selector=world={world.name}",
        "--watch",
        '--output=jsonpath={.metadata.name}{" "}{.status.conditions}{"\\n"}',
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )
    seen: Seen = []

    async def read() -> None:
        assert watch.stdout is not None
        async for line in watch.stdout:
            name, _, conditions = line.decode().strip().partition(" ")
            found = {c["type"] for c in json.loads(conditions or "[]") if c["status"] == "True"}
            state = (name, frozenset(found & TYPES))
            if state not in seen[-1:]:
                seen.append(state)

    reading = asyncio.create_task(read())
    try:
        yield seen
    finally:
        watch.kill()
        await watch.wait()
        await reading


async def until(seen: Seen, name: str, *types: str) -> None:
    """Wait until a node shows just these conditions."""
    async with asyncio.timeout(60):
        while next((s for n, s in reversed(seen) if n == name), None) != frozenset(types):
            await asyncio.sleep(0.02)


async def written(world: World, name: str) -> dict[str, Condition]:
    """The lifecycle conditions of a node, by type."""
    node = await world.node(name)
    return {each.type: each for each in node.status.conditions if each.type in TYPES}


async def write_theirs(world: World, name: str, type_: str) -> Condition:
    """Somebody else writes a condition, as another tool would."""
    stamp = "2026-01-01T00:00:00Z"
    theirs = {"type": type_, "status": "True", "reason": "Theirs", "message": "disk"}
    patch = {"status": {"conditions": [{**theirs, "lastTransitionTime": stamp}]}}
    await world.writer.patch(NODES, name, patch, subresource="status", content_type=STRATEGIC_PATCH)
    return (await written(world, name))[type_]


async def hold(world: World, pod: str, finalizers: list[str] | None) -> None:
    """Keep a pod from ending, or let it go."""
    patch = {"metadata": {"finalizers": finalizers}}
    await world.writer.patch(PODS, pod, patch, namespace=world.name)


async def test_a_whole_maintenance_is_seen(world: World, tmp_path: Path) -> None:
    first, second = await world.add_nodes(2)
    await world.up(world.deployment("web"))
    (pod,) = await world.pods()
    node = pod.spec.node_name
    await hold(world, pod.name, ["example.com/hold"])
    other = second if node == first else first
    go = tmp_path / "go"
    options = MaintenanceOptions(
        drain=DrainOptions(),
        command=f"while [ ! -e {go} ]; do sleep 0.05; done",
        max_unavailable="2",
        steer=False,
    )
    async with watching(world) as seen:
        await until(seen, first)
        await until(seen, second)
        running = asyncio.create_task(world.maintain(first, second, options=options))
        await until(seen, node, PLANNED, DRAINING)
        await until(seen, other, DRAINED, WORKED_ON)
        of_ours = (await written(world, node))[DRAINING]
        await hold(world, pod.name, None)
        await until(seen, node, DRAINED, WORKED_ON)
        go.touch()
        result = await running
        await until(seen, first)
        await until(seen, second)
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    assert of_ours.reason == REASON
    number = (first, second).index(node) + 1
    assert of_ours.message == f"run {result.run}, node {number} of 2"
    assert of_ours.last_transition_time is not None
    assert await written(world, first) == await written(world, second) == {}


async def test_what_somebody_else_wrote_stays_and_is_told(newest_world: World) -> None:
    world = newest_world
    (name,) = await world.add_nodes(1)
    theirs = await write_theirs(world, name, DRAINED)
    result = await world.maintain(
        name, options=MaintenanceOptions(drain=DrainOptions(), command="true")
    )
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    assert await written(world, name) == {DRAINED: theirs}
    notes = [event.message for event in world.events if isinstance(event, Note)]
    assert [note for note in notes if "Drained (Theirs)" in note] == notes[:1]


async def test_a_drained_node_says_so_until_it_is_uncordoned(newest_world: World) -> None:
    world = newest_world
    (name,) = await world.add_nodes(1)
    result = await world.drain(name)
    assert result.outcome is Outcome.SUCCEEDED
    assert set(await written(world, name)) == {DRAINED}
    # The next run takes it over, and does not take it for somebody else's.
    assert set(await written(world, name)) == {DRAINED}
    done = await run_cli(world.sandbox, "uncordon", name)
    assert done.returncode == 0, done.stderr
    assert await written(world, name) == {}


async def test_a_run_that_fails_plans_nothing_any_more(newest_world: World) -> None:
    world = newest_world
    first, second = await world.add_nodes(2)
    options = MaintenanceOptions(drain=DrainOptions(), command="false")
    result = await world.maintain(first, second, options=options)
    assert result.outcome is Outcome.FAILED
    assert set(await written(world, first)) == {DRAINED}
    assert await written(world, second) == {}
    done = await run_cli(world.sandbox, "uncordon", first)
    assert done.returncode == 0, done.stderr
    assert await written(world, first) == {}


async def test_killed_and_gone_on_with_nothing_is_left(newest_world: World) -> None:
    world = newest_world
    names = await world.add_nodes(2)
    await world.up(world.deployment("web"))
    options = MaintenanceOptions(drain=DrainOptions(), command="sleep 1")
    was_left: list[bool] = []
    for point in (4, 8, 14, 22, 25):
        directory = world.directory / str(point)
        directory.mkdir()
        request = Request(
            kubeconfig=str(world.sandbox.kubeconfig),
            journal=str(directory / "journal.db"),
            nodes=names,
            options=options,
            dies_at=point,
        )
        assert await in_process(request) == KILLED
        left = [await written(world, name) for name in names]
        was_left.append(any(left))
        (run,) = Journal(directory / "journal.db").runs()
        assert run.is_unfinished or not any(left)
        again = Request(
            kubeconfig=request.kubeconfig,
            journal=request.journal,
            nodes=names,
            options=options,
        )
        assert await in_process(again) == 0
        assert [await written(world, name) for name in names] == [{}, {}], point
    assert any(was_left)


async def test_who_may_not_write_status_is_told_once(newest_world: World) -> None:
    world = newest_world
    names = await world.add_nodes(2)
    async with FaultProxy(world.sandbox.kubeconfig, world.directory) as proxy:
        proxy.inject(refusal(403, "Forbidden"), method="PATCH", path="/status", times=None)
        async with connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as connection:
            result = await world.drain(*names, connection=connection)
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    notes = [event.message for event in world.events if isinstance(event, Note)]
    assert sum("conditions are not kept" in note for note in notes) == 1


def plan_of(procedure: str, *actions: str) -> Plan:
    steps = tuple(Step(id=f"n/{a}", action=a, target="node/n", effect="") for a in actions)
    return Plan(procedure=procedure, request={}, steps=steps)


MAINTENANCE = plan_of("maintain", "cordon", "drain", "update", "ready", "uncordon")


@pytest.mark.parametrize(
    ("phases", "wanted"),
    [
        ([], {PLANNED}),
        ([("cordon", Phase.AFTER)], {PLANNED}),
        ([("drain", Phase.BEFORE)], {PLANNED, DRAINING}),
        ([("drain", Phase.AFTER)], {PLANNED, DRAINED}),
        ([("drain", Phase.BEFORE), ("drain", Phase.FAILED)], NOTHING),
        ([("update", Phase.BEFORE)], {DRAINED, WORKED_ON}),
        ([("update", Phase.BEFORE), ("update", Phase.FAILED)], {DRAINED}),
        ([("update", Phase.BEFORE), ("uncordon", Phase.AFTER)], NOTHING),
        ([("cordon", Phase.UNDONE)], NOTHING),
    ],
)
def test_the_course_of_a_maintenance(phases: list[tuple[str, Phase]], wanted: set[str]) -> None:
    course = Course(MAINTENANCE)
    for action, phase in phases:
        course.take(f"n/{action}", phase)
    assert course.wanted == {"n": wanted}
    course.stop()
    assert course.wanted["n"] == wanted - {DRAINING, WORKED_ON}
    course.end()
    assert course.wanted["n"] == wanted & {DRAINED}
    course.give_up()
    assert course.wanted["n"] == set()


def test_a_drain_plans_nothing() -> None:
    course = Course(plan_of("drain", "cordon", "drain"))
    assert course.wanted == {"n": set()}
    assert course.take("n/cordon", Phase.AFTER) == ""
    assert course.take("n/drain", Phase.BEFORE) == "n"
    assert course.wanted == {"n": {DRAINING}}


def node_with(*conditions: Condition) -> Node:
    metadata = ObjectMeta(name="n", resource_version="7")
    return Node(metadata=metadata, status=NodeStatus(conditions=conditions))


def ours(type_: str, message: str = "run r") -> Condition:
    return Condition(
        type=type_, status="True", reason=REASON, message=message, last_transition_time=NOW
    )


def test_only_ours_change_and_only_what_must() -> None:
    theirs = Condition(type=DRAINED, status="True", reason="Theirs")
    node = node_with(ours(PLANNED), theirs)
    wanted = frozenset({Lifecycle.DRAINED, Lifecycle.MAINTENANCE_IN_PROGRESS})
    change = change_of(node, wanted, "run r", NOW)
    assert change.foreign == (theirs,)
    assert change.patch is not None
    assert change.patch["metadata"] == {"resourceVersion": "7"}
    conditions: list[dict[str, Any]] = change.patch["status"]["conditions"]
    assert [(each["type"], each.get("$patch")) for each in conditions] == [
        (WORKED_ON, None),
        (PLANNED, "delete"),
    ]
    settled = node_with(ours(DRAINED), Condition(type=PLANNED, status="True", reason="Theirs"))
    assert change_of(settled, frozenset({Lifecycle.DRAINED}), "run r", NOW).patch is None


def test_the_time_of_a_condition_is_that_of_its_first_run() -> None:
    node = node_with(ours(DRAINED, "run before"))
    later = NOW.replace(hour=15)
    change = change_of(node, frozenset({Lifecycle.DRAINED}), "run r", later)
    assert change.patch is not None
    (condition,) = change.patch["status"]["conditions"]
    assert condition["lastTransitionTime"] == "2026-03-01T12:00:00Z"
    assert condition["lastHeartbeatTime"] == "2026-03-01T15:00:00Z"


def test_what_a_journal_tells_of_the_plan_itself_changes_no_node() -> None:
    course = Course(Plan(procedure="maintain", request={}, steps=()))
    assert course.take(PLAN, Phase.AFTER) == ""
