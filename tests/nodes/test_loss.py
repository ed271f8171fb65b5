"""The loss of a node: what is foretold of it, and what then happens on a real control plane."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.model.node import UNREACHABLE_TAINT
from shipkeeper.model.pod import Pod, Toleration
from shipkeeper.model.version import Version
from shipkeeper.nodes.loss.foretell import NodeLoss, default_grace, foretell_loss
from shipkeeper.nodes.loss.observe import observe_loss
from shipkeeper.nodes.loss.rules import Fate
from shipkeeper.sandbox import workloads
from tests.cli.sample import FIVE_MINUTES, LOSS, make_pod, mounts
from tests.nodes.test_drain_rules import set_ready
from tests.nodes.world import World

GRACE = timedelta(seconds=50)
ONE_SECOND = Toleration(
    key=UNREACHABLE_TAINT, operator="Exists", effect="NoExecute", toleration_seconds=1
)
FOREVER = Toleration(key=UNREACHABLE_TAINT, operator="Exists", effect="NoExecute")


def foretell(*pods: Pod, **changes: Any) -> NodeLoss:
    return foretell_loss(msgspec.structs.replace(LOSS, pods=pods, **changes), GRACE)


@pytest.mark.parametrize(
    ("tolerations", "after"),
    [
        ((), 50),
        ((FIVE_MINUTES,), 350),
        ((ONE_SECOND, FIVE_MINUTES), 51),
        ((msgspec.structs.replace(ONE_SECOND, toleration_seconds=-1),), 50),
        ((FOREVER,), None),
        ((msgspec.structs.replace(ONE_SECOND, effect="NoSchedule"),), 50),
        ((Toleration(operator="Exists"),), None),
    ],
)
def test_pods_are_given_up_when_they_tolerate_it_no_longer(
    tolerations: tuple[Toleration, ...], after: int | None
) -> None:
    loss = foretell(make_pod("p", "node-1", owner="ReplicaSet/p", tolerations=tolerations))
    assert loss.pods[0].deleted_after_seconds == after
    assert loss.pods[0].fate is (Fate.STAYS if after is None else Fate.REPLACED)


@pytest.mark.parametrize(
    ("pod", "fate"),
    [
        (make_pod("p", "node-1"), Fate.LOST),
        (make_pod("p", "node-1", owner="StatefulSet/p"), Fate.STUCK),
        (make_pod("p", "node-1", owner="StatefulSet/p", volumes=mounts("local")), Fate.NODE_BOUND),
        (make_pod("p", "node-1", volumes=mounts("local")), Fate.LOST),
        (make_pod("p", "node-1", owner="ReplicaSet/p", volumes=mounts("block")), Fate.STUCK),
        (make_pod("p", "node-1", owner="ReplicaSet/p", volumes=mounts("shared")), Fate.REPLACED),
        (make_pod("p", "node-1", owner="ReplicaSet/p", volumes=mounts("none")), Fate.REPLACED),
        (make_pod("p", "node-1", phase="Succeeded"), Fate.FINISHED),
    ],
)
def test_the_worst_decides(pod: Pod, fate: Fate) -> None:
    assert foretell(pod).pods[0].fate is fate


def test_without_another_ready_node_everything_stays() -> None:
    loss = foretell(make_pod("p", "node-1", owner="ReplicaSet/p"), is_other_node_ready=False)
    assert [pod.fate for pod in loss.pods] == [Fate.STAYS]
    assert [verdict.reason for verdict in loss.verdicts] == ["NoOtherNode"]


def test_a_budget_counts_its_pods_on_the_node_alone() -> None:
    assert [v.reason for v in foretell(make_pod("web-1", "node-1")).verdicts] == ["BudgetBroken"]
    assert foretell(make_pod("other-1", "node-1")).verdicts == ()


@pytest.mark.parametrize(
    ("version", "seconds"), [((1, 20, 2), 40), ((1, 31, 9), 40), ((1, 32, 0), 50)]
)
def test_the_default_grace_period(version: tuple[int, int, int], seconds: int) -> None:
    assert default_grace(Version(*version)).total_seconds() == seconds


def test_the_out_of_service_taint_is_proposed_where_it_means_something() -> None:
    pod = make_pod("p", "node-1", owner="StatefulSet/p")
    remedies = [
        foretell(pod, version=Version(*version)).pods[0].verdicts[0].remedy
        for version in ((1, 20, 2), (1, 37, 2))
    ]
    assert ["out-of-service" in remedy for remedy in remedies] == [False, True]


async def test_what_is_foretold_comes_true(world: World) -> None:
    first, second = await world.add_nodes(2)
    await world.writer.patch(NODES, second, {"spec": {"unschedulable": True}})
    quick: dict[str, Any] = {"tolerations": (ONE_SECOND,)}
    await world.up(
        world.deployment("web", **quick),
        world.deployment("patient", tolerations=(FOREVER,)),
        world.bare_pod("lonely", **quick),
        workloads.stateful_set("db", world.name, shape=world.shape(**quick)),
    )
    await world.writer.patch(NODES, second, {"spec": {"unschedulable": None}})
    state = await observe_loss(Reader(world.connection), first)
    fates = {pod.pod: pod.fate for pod in foretell_loss(state, default_grace(state.version)).pods}
    before = {pod.key: pod for pod in await world.pods(first)}
    assert {pod.metadata.labels["app"]: fates[key] for key, pod in before.items()} == {
        "web": Fate.REPLACED,
        "patient": Fate.STAYS,
        "lonely": Fate.LOST,
        "db": Fate.STUCK,
    }

    await asyncio.to_thread(world.sandbox.hollow.stop_heartbeat, first)
    # What the control plane would find out by itself after its grace period.
    await set_ready(world, first, "Unknown")
    async with asyncio.timeout(60):
        while not any(pod.is_ready for pod in await world.pods(second)):
            await asyncio.sleep(0.2)
    after = {pod.key: pod for pod in await world.pods(first)}
    assert {key: pod.is_deleting for key, pod in after.items()} == {
        key: fate is not Fate.STAYS for key, fate in fates.items()
    }
    elsewhere = [pod.metadata.labels["app"] for pod in await world.pods(second)]
    assert elsewhere == ["web"]


async def test_the_remedy_brings_a_stuck_pod_back(newest_world: World) -> None:
    world = newest_world
    first, second = await world.add_nodes(2)
    await world.writer.patch(NODES, second, {"spec": {"unschedulable": True}})
    shape = world.shape(tolerations=(ONE_SECOND,))
    await world.up(workloads.stateful_set("db", world.name, shape=shape))
    await world.writer.patch(NODES, second, {"spec": {"unschedulable": None}})
    await asyncio.to_thread(world.sandbox.hollow.stop_heartbeat, first)
    await set_ready(world, first, "Unknown")
    async with asyncio.timeout(60):
        while not all(pod.is_deleting for pod in await world.pods(first)):
            await asyncio.sleep(0.2)
        taints = [*(await world.reader.get_raw(NODES, first))["spec"]["taints"], OUT_OF_SERVICE]
        await world.writer.patch(NODES, first, {"spec": {"taints": taints}})
        while not any(pod.is_ready for pod in await world.pods(second)):
            await asyncio.sleep(0.2)


OUT_OF_SERVICE = {
    "key": "node.kubernetes.io/out-of-service",
    "value": "nodeshutdown",
    "effect": "NoExecute",
}
