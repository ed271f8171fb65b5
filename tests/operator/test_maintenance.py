"""NodeMaintenances, carried out by replicas of the operator with nothing but their permissions."""

import asyncio
import json
import os
from datetime import timedelta

import pytest

from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.report import Format, render
from shipkeeper.kube.resources import NODES
from shipkeeper.nodes.cordon import OWNER_ANNOTATION
from shipkeeper.nodes.report import plan_report
from shipkeeper.operator.ledger import Home, load_ledger
from tests.nodes.world import World
from tests.operator.harbour import ACCOUNT, AFTER_DEATH, NAMESPACE, Harbour

HAND_OVER = timedelta(seconds=15)
# What a busy machine may add; bench/in_cluster.py measures it on an idle one.
BUSY = timedelta(seconds=45)
# Writes at which the leader dies by default; all of them with SHIPKEEPER_EXHAUSTIVE=1.
SAMPLE = (1, 3, 6, 10, 17, 26)
WRITES = 60


async def test_creating_one_is_all_it_takes(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(3)
    await world.up(world.deployment("web", 6), world.budget("web", max_unavailable=2))
    replica = harbour.start_command("--namespace", NAMESPACE)
    await replica.leads()
    await harbour.maintain("simple", nodes, pace={"maxUnavailable": 2})
    status = await harbour.reaches("simple", "Succeeded")
    assert status.progress == "3/3"
    assert status.nodes.done == 3
    assert status.finished_at is not None
    assert {each.type: each.status for each in status.conditions} == {
        "Accepted": "True",
        "Planned": "True",
        "Progressing": "False",
        "Succeeded": "True",
    }
    assert all(each.observed_generation == 1 for each in status.conditions)
    evicted = world.accepted_evictions()
    assert len(evicted) == len(set(evicted)) >= 6
    for name in nodes:
        assert not (await world.node(name)).spec.unschedulable
    # A spec that nothing comes of any more is seen all the same: others wait for that.
    await harbour.patch("simple", {"paused": True})
    seen = "--for=jsonpath={.status.observedGeneration}=2"
    await harbour.kubectl("wait", "nodemaintenance/simple", seen, "--timeout=400s")
    assert await replica.stop() == 0
    assert "hands over" in replica.said


async def test_the_plan_is_word_for_word_that_of_the_command(
    world: World, harbour: Harbour
) -> None:
    nodes = await world.add_nodes(2)
    harbour.start()
    await harbour.maintain("seen", nodes, approved=False)
    status = await harbour.reaches("seen", "AwaitingApproval")
    assert "NODE" in status.plan
    assert status.journal is not None
    ledger = await load_ledger(
        harbour.reader,
        harbour.writer,
        Home(namespace=NAMESPACE, name=status.journal.name, owner={}),
    )
    assert ledger is not None
    record = ledger.record
    assert status.plan == render(plan_report(record.plan, record.started_at), Format.TEXT)
    assert not any([(await world.node(name)).spec.unschedulable for name in nodes])
    await harbour.patch("seen", {"approved": True})
    await harbour.reaches("seen", "Succeeded")


async def test_paused_resumed_and_deleted(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(4)
    await harbour.writer.patch(NODES, nodes[3], {"spec": {"unschedulable": True}})
    harbour.start()
    await harbour.maintain("stopped", nodes, action={"wait": "3s"})
    await harbour.stands("stopped", lambda status: bool(status.under_way))
    await harbour.patch("stopped", {"paused": True})
    paused = await harbour.stands(
        "stopped", lambda status: status.phase == "Paused" and not status.under_way
    )
    assert paused.nodes.done == 1
    await harbour.patch("stopped", {"paused": False})
    begun = await harbour.stands("stopped", lambda status: bool(status.under_way))
    node = await world.node(begun.under_way[0])
    assert node.spec.unschedulable
    assert node.metadata.annotations[OWNER_ANNOTATION] == f"maintain/{begun.run}"
    await harbour.delete("stopped")
    for name in nodes[:3]:
        assert not (await world.node(name)).spec.unschedulable
    assert (await world.node(nodes[3])).spec.unschedulable


async def test_another_takes_over_within_15_seconds(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(3)
    await world.up(world.deployment("web", 6), world.budget("web", max_unavailable=1))
    leader = harbour.start_command("--namespace", NAMESPACE)
    await leader.leads()
    other = harbour.start_command("--namespace", NAMESPACE)
    await other.says("standing by")
    await harbour.maintain("handed", nodes, action={"wait": "2s"})
    await harbour.stands("handed", lambda status: bool(status.under_way))
    async with harbour.tenures() as seen, asyncio.timeout(300):
        leader.kill()
        await other.leads()
        while seen[-1].spec.holder_identity == seen[0].spec.holder_identity:
            await asyncio.sleep(0.05)
    last = [each.spec for each in seen if each.spec.holder_identity == seen[0].spec.holder_identity]
    first = next(each.spec for each in seen if each.spec not in last)
    assert first.lease_transitions == (last[-1].lease_transitions or 0) + 1
    assert last[-1].renew_time
    assert first.acquire_time
    # By the record that both wrote: when one was last there, and when the other had taken over.
    waited = first.acquire_time - last[-1].renew_time
    lasts = timedelta(seconds=last[-1].lease_duration_seconds or 0)
    assert lasts < HAND_OVER
    assert lasts < waited < HAND_OVER + BUSY
    await harbour.reaches("handed", "Succeeded", within=AFTER_DEATH)
    evicted = world.accepted_evictions()
    assert len(evicted) == len(set(evicted))


async def test_what_ended_is_told_by_whoever_leads_next(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(2)
    harbour.start()
    found = await harbour.maintain("ended", nodes, approved=False)
    await harbour.reaches("ended", "AwaitingApproval")
    await harbour.retire()
    # As if it had led until the run failed, and died before that was told.
    home = Home(namespace=NAMESPACE, name=f"nodemaintenance-{found.uid}", owner={})
    ledger = await load_ledger(world.reader, world.writer, home)
    assert ledger is not None
    await ledger.finish(ledger.record.id, Outcome.FAILED)
    await harbour.patch("ended", {"approved": True})
    heir = harbour.start()
    await heir.says("NodeMaintenance ended: Failed")
    assert "Started" not in heir.said
    status = await harbour.reaches("ended", "Failed")
    assert status.finished_at is not None
    await harbour.delete("ended")
    assert not any([(await world.node(name)).spec.unschedulable for name in nodes])


async def test_one_that_ends_in_order_is_followed_at_once(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(2)
    # Who had to wait until the Lease runs out would not lead in time.
    leader = harbour.start(duration=3600.0)
    await leader.leads()
    other = harbour.start(duration=3600.0)
    await other.says("standing by")
    await harbour.maintain("followed", nodes, action={"wait": "1s"})
    await harbour.stands("followed", lambda status: bool(status.under_way))
    assert await leader.stop() == 0
    await other.leads()
    await harbour.reaches("followed", "Succeeded")
    assert await other.stop() == 0


def _points() -> list[tuple[int, bool]]:
    if os.environ.get("SHIPKEEPER_EXHAUSTIVE"):
        return [(point, is_sent) for point in range(1, WRITES) for is_sent in (False, True)]
    return [(point, point % 2 == 0) for point in SAMPLE]


@pytest.mark.parametrize(("dies_at", "is_sent"), _points())
async def test_killed_at_a_write(
    world: World, harbour: Harbour, dies_at: int, is_sent: bool
) -> None:
    nodes = await world.add_nodes(2)
    await world.up(world.deployment("web", 4), world.budget("web", max_unavailable=1))
    dying = harbour.start(dies_at=dies_at, is_sent=is_sent)
    await dying.leads()
    heir = harbour.start()
    await heir.says("standing by")
    name = f"killed-{dies_at}-{is_sent}".lower()
    await harbour.maintain(name, nodes, order={"canary": ["1"]})
    await harbour.reaches(name, "Succeeded", within=AFTER_DEATH)
    if dying.process.poll() is None:
        # On a busy machine some changes are told together, so that the last is never reached.
        assert dies_at >= SAMPLE[-1], "it was to die, and did not"
    evicted = world.accepted_evictions()
    assert len(evicted) == len(set(evicted))
    assert not any([(await world.node(each)).spec.unschedulable for each in nodes])


async def test_its_own_node_is_last(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(3)
    harbour.start(node=nodes[0])
    await harbour.maintain("own", nodes, approved=False)
    status = await harbour.reaches("own", "AwaitingApproval")
    cordons = [line.split()[1] for line in status.plan.splitlines() if " cordon " in line]
    assert cordons == [*nodes[1:], nodes[0]]
    assert "last of all" in status.plan
    await harbour.delete("own")


async def test_its_own_pods_hold_nothing_up(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(3)
    where = ("--namespace", NAMESPACE, "deployment", ACCOUNT)
    await harbour.kubectl("scale", *where, "--replicas=2")
    try:
        await harbour.kubectl("rollout", "status", *where, "--timeout=400s")
        before = await own_pods(harbour)
        harbour.start()
        await harbour.maintain("own-pods", nodes)
        status = await harbour.reaches("own-pods", "Succeeded", "Incomplete", "Blocked", "Failed")
        assert status.phase == "Succeeded", status
        assert len(before) == 2
        assert not before & await own_pods(harbour)
    finally:
        await harbour.kubectl("scale", *where, "--replicas=0")


async def own_pods(harbour: Harbour) -> set[str]:
    """The operator's pods, but for those that are leaving."""
    said = await harbour.kubectl("get", "pods", "--namespace", NAMESPACE, "-o", "json")
    return {
        pod["metadata"]["name"]
        for pod in json.loads(said)["items"]
        if "deletionTimestamp" not in pod["metadata"]
    }


async def test_what_it_waits_for_is_said(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(2)
    await world.up(
        world.deployment("web", 4, ready_after="5s"), world.budget("web", max_unavailable=1)
    )
    harbour.start()
    await harbour.maintain("slow", nodes)
    status = await harbour.stands("slow", lambda status: "waits" in status.message)
    assert status.phase == "Running"
    assert status.message.startswith(f"{world.name}/web-")
    assert "PodDisruptionBudget web" in status.message
    await harbour.delete("slow")


async def test_what_makes_no_sense_is_said(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(1)
    harbour.start()
    await harbour.maintain("windowless", nodes, windows=["weekend"])
    status = await harbour.stands("windowless", lambda status: bool(status.conditions))
    accepted = next(each for each in status.conditions if each.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "WindowNotFound")
    assert "weekend" in accepted.message
    await harbour.delete("windowless")


async def test_two_of_them_go_one_after_the_other(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(2)
    harbour.start()
    await harbour.maintain("first", nodes[:1], action={"wait": "2s"})
    await harbour.stands("first", lambda status: bool(status.under_way))
    await harbour.maintain("second", nodes[1:])
    waiting = await harbour.reaches("second", "Waiting")
    assert "first" in waiting.message
    await harbour.reaches("first", "Succeeded")
    await harbour.reaches("second", "Succeeded")


async def test_it_goes_on_where_it_was_when_the_api_server_is_back(
    world: World, harbour: Harbour
) -> None:
    nodes = await world.add_nodes(2)
    await world.up(world.deployment("web", 2))
    replica = harbour.start()
    await harbour.maintain("away", nodes, action={"wait": "2s"})
    await harbour.stands("away", lambda status: bool(status.under_way))
    await asyncio.to_thread(world.sandbox.stop_component, "kube-apiserver")
    try:
        await asyncio.sleep(4.0)  # longer than its Lease lasts
    finally:
        await asyncio.to_thread(world.sandbox.start_component, "kube-apiserver")
    await harbour.reaches("away", "Succeeded", within=AFTER_DEATH)
    assert replica.process.poll() is None
    evicted = world.accepted_evictions()
    assert len(evicted) == len(set(evicted))


async def test_a_spec_that_changes_after_it_was_planned_is_said_to_be_ignored(
    world: World, harbour: Harbour
) -> None:
    nodes = await world.add_nodes(1)
    harbour.start()
    await harbour.maintain("changed", nodes, approved=False)
    await harbour.reaches("changed", "AwaitingApproval")
    await harbour.patch("changed", {"readyTimeout": "1h"})
    status = await harbour.stands("changed", lambda status: status.observed_generation == 2)
    accepted = next(each for each in status.conditions if each.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("True", "SpecIgnored")
    # Whoever approves approves what is asked for now, which was not planned.
    await harbour.patch("changed", {"approved": True})
    status = await harbour.stands("changed", lambda status: status.observed_generation == 3)
    assert status.phase == "AwaitingApproval"
    assert "change it back" in status.message
    await harbour.patch("changed", {"readyTimeout": None})
    await harbour.reaches("changed", "Succeeded")
