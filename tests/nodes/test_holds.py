"""Holds of other tools: each mark is recognised, and a held node is left out, in plan and run."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.verdict import Effect
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import LEASES, NAMESPACES, NODES
from shipkeeper.model.foreign import Machine, Shadow
from shipkeeper.model.lease import Lease
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.conditions import REASON
from shipkeeper.nodes.holding import Holding
from shipkeeper.nodes.holds import judge_holds, judge_locks
from shipkeeper.nodes.kured import KuredHolder, KuredLock
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.outside import MEDIK8S_NAMESPACE, Outside
from shipkeeper.nodes.procedure import prepare
from tests.cli.run import run_cli
from tests.nodes.world import World

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=5)
STAMP = "2026-03-01T11:55:00Z"
MCO = "machineconfiguration.openshift.io"
BLOCK, WARN = Effect.BLOCK, Effect.WARN


def node(
    *,
    annotations: dict[str, str] | None = None,
    taint: tuple[str, str] | None = None,
    condition: tuple[str, str] | None = None,
    cordoned: bool = False,
) -> Node:
    found: dict[str, Any] = {"metadata": {"name": "n", "annotations": annotations or {}}}
    found["spec"] = dict[str, Any](unschedulable=cordoned)
    if taint is not None:
        key, value = taint
        found["spec"]["taints"] = [
            {"key": key, "value": value, "effect": "NoSchedule", "timeAdded": STAMP}
        ]
    if condition is not None:
        type_, reason = condition
        found["status"] = {
            "conditions": [
                {"type": type_, "status": "True", "reason": reason, "lastTransitionTime": STAMP}
            ]
        }
    return msgspec.convert(found, Node)


UNIX = str(int(EARLIER.timestamp()))
KURED = "kured-reboot-in-progress"
MARKS: dict[str, tuple[Node, Effect, str, datetime | None]] = {
    "kured reboots": (
        node(annotations={f"weave.works/{KURED}": STAMP}, cordoned=True),
        BLOCK,
        "HeldByKured",
        EARLIER,
    ),
    "kured waits": (node(annotations={f"kured.dev/{KURED}": STAMP}), WARN, "HeldByKured", EARLIER),
    "karpenter": (node(taint=("karpenter.sh/disrupted", "")), BLOCK, "HeldByKarpenter", EARLIER),
    "karpenter, older": (
        node(taint=("karpenter.sh/disruption", "disrupting")),
        BLOCK,
        "HeldByKarpenter",
        EARLIER,
    ),
    "autoscaler removes": (
        node(taint=("ToBeDeletedByClusterAutoscaler", UNIX)),
        BLOCK,
        "HeldByClusterAutoscaler",
        EARLIER,
    ),
    "autoscaler may remove": (
        node(taint=("DeletionCandidateOfClusterAutoscaler", UNIX)),
        WARN,
        "HeldByClusterAutoscaler",
        EARLIER,
    ),
    "gardener is asked": (
        node(annotations={"node.machine.sapcloud.io/trigger-deletion-by-mcm": "true"}),
        BLOCK,
        "HeldByMachineControllerManager",
        None,
    ),
    "gardener drains": (
        node(condition=("Terminating", "ScaleDown")),
        BLOCK,
        "HeldByMachineControllerManager",
        EARLIER,
    ),
    "medik8s maintains": (
        node(taint=("medik8s.io/drain", "")),
        BLOCK,
        "HeldByNodeMaintenanceOperator",
        EARLIER,
    ),
    "medik8s fences": (
        node(taint=("medik8s.io/remediation", "self-node-remediation")),
        BLOCK,
        "HeldBySelfNodeRemediation",
        EARLIER,
    ),
    "machine config works": (
        node(annotations={f"{MCO}/state": "Working"}),
        BLOCK,
        "HeldByMachineConfigOperator",
        None,
    ),
    "machine config drains": (
        node(
            annotations={
                f"{MCO}/state": "Done",
                f"{MCO}/desiredDrain": "drain-rendered-b",
                f"{MCO}/lastAppliedDrain": "uncordon-rendered-a",
            }
        ),
        BLOCK,
        "HeldByMachineConfigOperator",
        None,
    ),
    "machine config failed": (
        node(annotations={f"{MCO}/state": "Degraded", f"{MCO}/reason": "disk full"}),
        WARN,
        "HeldByMachineConfigOperator",
        None,
    ),
    "cluster api rolls over": (
        node(taint=("node.cluster.x-k8s.io/outdated-revision", "")),
        WARN,
        "HeldByClusterAPI",
        None,
    ),
    "somebody drains": (
        node(condition=("DrainInProgress", "Drainer")),
        BLOCK,
        "HeldBySomebodyElse",
        EARLIER,
    ),
    "somebody maintains": (
        node(condition=("MaintenanceInProgress", "Window")),
        BLOCK,
        "HeldBySomebodyElse",
        EARLIER,
    ),
    "it shuts down": (
        node(condition=("GracefulNodeShutdownInProgress", "Kubelet")),
        BLOCK,
        "HeldBySomebodyElse",
        EARLIER,
    ),
    "somebody plans": (
        node(condition=("MaintenancePlanned", "Window")),
        WARN,
        "HeldBySomebodyElse",
        EARLIER,
    ),
    "a run of ours": (
        node(annotations={"shipkeeper.dev/cordoned-by": "maintain/maintain-1"}, cordoned=True),
        WARN,
        "HeldByShipkeeper",
        None,
    ),
}


@pytest.mark.parametrize("mark", list(MARKS))
def test_a_mark_of_a_node_is_recognised(mark: str) -> None:
    marked, effect, reason, since = MARKS[mark]
    (verdict,) = judge_holds(marked, (), Outside(), NOW)
    assert (verdict.target, verdict.effect, verdict.reason) == ("node/n", effect, reason)
    assert verdict.since == since
    assert bool(verdict.remedy) or effect is WARN
    (ignored,) = judge_holds(marked, (), Outside(), NOW, ignore=True)
    assert ignored.effect is WARN


@pytest.mark.parametrize(
    "marked",
    [
        node(),
        node(cordoned=True),
        node(condition=("DrainInProgress", REASON)),
        node(condition=("Ready", "KubeletReady")),
        node(annotations={"plan.upgrade.cattle.io/k3s": "abc"}),
        node(annotations={f"{MCO}/state": "Done"}),
        node(
            annotations={
                f"{MCO}/desiredDrain": "uncordon-rendered-a",
                f"{MCO}/lastAppliedDrain": "drain-rendered-a",
            }
        ),
        node(taint=("node.kubernetes.io/unschedulable", "")),
        node(annotations={"shipkeeper.dev/cordoned-by": "cordon"}, cordoned=True),
    ],
)
def test_what_is_no_hold(marked: Node) -> None:
    assert judge_holds(marked, (), Outside(), NOW) == ()


def upgrade_pod(phase: str) -> Pod:
    labels = {"upgrade.cattle.io/plan": "k3s", "upgrade.cattle.io/node": "n"}
    metadata = {"name": "apply-k3s", "namespace": "cattle-system", "labels": labels}
    return msgspec.convert({"metadata": metadata, "status": {"phase": phase}}, Pod)


def lease(holder: str, renewed: str = STAMP, name: str = "node-n", seconds: int = 3600) -> Lease:
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        "acquireTime": STAMP,
        "renewTime": renewed,
    }
    metadata = {"name": name, "namespace": MEDIK8S_NAMESPACE}
    return msgspec.convert({"metadata": metadata, "spec": spec}, Lease)


def machine(**metadata: Any) -> Machine:
    found = {"metadata": {"name": "m", "namespace": "capi", **metadata}}
    return msgspec.convert({**found, "status": {"nodeRef": {"name": "n"}}}, Machine)


def shadow(state: str, wanted: str) -> Shadow:
    found = {"metadata": {"name": "brs-n", "namespace": "brupop"}, "spec": {"state": wanted}}
    return msgspec.convert({**found, "status": {"current_state": state}}, Shadow)


def lock(*holders: KuredHolder) -> KuredLock:
    return KuredLock(namespace="kube-system", name="kured", annotation="a", holders=holders)


REBOOTING = KuredHolder(node="n", created=EARLIER)
STALE = KuredHolder(node="n", created=EARLIER, ttl=timedelta(minutes=5))
BESIDE: dict[str, tuple[tuple[Pod, ...], Outside, Effect | None]] = {
    "upgrade job": ((upgrade_pod("Running"),), Outside(), BLOCK),
    "upgrade job that is over": ((upgrade_pod("Succeeded"),), Outside(), None),
    "kured's lock": ((), Outside(kured=(lock(REBOOTING),)), BLOCK),
    "kured's lock that ran out": ((), Outside(kured=(lock(STALE),)), None),
    "medik8s' lease": ((), Outside(leases=(lease("node-maintenance"),)), BLOCK),
    "a lease that ran out": ((), Outside(leases=(lease("nhc", seconds=60),)), None),
    "a lease of the future": ((), Outside(leases=(lease("nhc", "2026-03-01T12:00:01Z"),)), None),
    "a lease on another": ((), Outside(leases=(lease("nhc", name="node-m"),)), None),
    "our lease": ((), Outside(leases=(lease("shipkeeper/maintain-1"),)), None),
    "a deleted machine": ((), Outside(machines=(machine(deletionTimestamp=STAMP),)), BLOCK),
    "a machine to be replaced": (
        (),
        Outside(machines=(machine(annotations={"cluster.x-k8s.io/remediate-machine": ""}),)),
        BLOCK,
    ),
    "a machine to go first": (
        (),
        Outside(machines=(machine(annotations={"cluster.x-k8s.io/delete-machine": "yes"}),)),
        WARN,
    ),
    "a machine": ((), Outside(machines=(machine(),)), None),
    "brupop": ((), Outside(shadows=(shadow("Idle", "StagedAndPerformedUpdate"),)), BLOCK),
    "brupop that failed": ((), Outside(shadows=(shadow("ErrorReset", "ErrorReset"),)), WARN),
    "brupop that waits": ((), Outside(shadows=(shadow("Idle", "Idle"),)), None),
}


@pytest.mark.parametrize("mark", list(BESIDE))
def test_what_stands_beside_a_node_is_recognised(mark: str) -> None:
    pods, outside, effect = BESIDE[mark]
    found = judge_holds(node(), pods, outside, NOW)
    assert [each.effect for each in found] == ([] if effect is None else [effect])


def test_a_lock_for_another_node_is_waited_for() -> None:
    other = KuredHolder(node="m", created=EARLIER)
    (verdict,) = judge_locks((node(),), Outside(kured=(lock(other, REBOOTING),)), NOW)
    assert (verdict.effect, verdict.since) == (Effect.WAIT, EARLIER)
    assert "node m" in verdict.message


async def test_a_held_node_is_left_out_and_a_new_hold_is_seen(
    newest_world: World,
) -> None:
    world = newest_world
    free, held = await world.add_nodes(2)
    taint = {"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}
    await world.writer.patch(NODES, held, {"spec": {"taints": [taint]}})
    options = MaintenanceOptions(drain=DrainOptions(), command="true", max_unavailable="2")
    _, plan = await prepare(world.connection, (free, held), "", options)
    assert [each.reason for each in plan.blockers] == ["HeldByKarpenter"]
    assert {step.target for step in plan.steps if step.target != "fleet"} == {f"node/{free}"}

    said = await run_cli(world.sandbox, "drain", free, held)
    assert said.returncode == 3
    assert f'unable to drain node "{held}"' in said.stderr
    assert "Karpenter drains it" in said.stderr
    assert not (await world.node(held)).spec.unschedulable
    await run_cli(world.sandbox, "uncordon", free)

    # Between the plan and the run another tool takes the free one.
    plan = await world.plan(free)
    await world.writer.patch(NODES, free, {"spec": {"taints": [taint]}})
    again = await world.execute(plan)
    assert again.outcome is Outcome.BLOCKED
    assert [each.reason for each in again.failures] == ["HeldByKarpenter"]
    assert not (await world.node(free)).spec.unschedulable
    told = await world.drain(held, free, ignore_holds=True)
    assert told.outcome is Outcome.SUCCEEDED


async def test_a_lease_on_a_node_is_honoured_taken_and_given_back(newest_world: World) -> None:
    world = newest_world
    held, free = await world.add_nodes(2)
    await world.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MEDIK8S_NAMESPACE}}
    )
    try:
        theirs = {
            "holderIdentity": "node-healthcheck",
            "leaseDurationSeconds": 3600,
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        manifest: dict[str, Any] = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": f"node-{held}", "namespace": MEDIK8S_NAMESPACE},
            "spec": theirs,
        }
        await world.writer.create(LEASES, manifest, namespace=MEDIK8S_NAMESPACE)
        seen = world.directory / "lease.json"
        kubectl = f"kubectl --kubeconfig={world.sandbox.kubeconfig} -n {MEDIK8S_NAMESPACE}"
        options = MaintenanceOptions(
            drain=DrainOptions(),
            command=f"{kubectl} get lease node-$NODE_NAME -o json > {seen}",
        )
        _, plan = await prepare(world.connection, (held, free), "", options)
        assert [each.reason for each in plan.blockers] == ["HeldByNodeHealthcheck"]
        result = await world.execute(plan)
        assert result.outcome is Outcome.INCOMPLETE, result.failures
        taken = json.loads(seen.read_text())
        assert taken["spec"]["holderIdentity"] == f"shipkeeper/{result.run}"
        assert taken["metadata"]["ownerReferences"][0]["name"] == free
        left = (await world.reader.list(LEASES, namespace=MEDIK8S_NAMESPACE)).items
        assert [each.spec.holder_identity for each in left] == ["node-healthcheck"]
    finally:
        await without_leases(world)


async def without_leases(world: World) -> None:
    """Take away where leases on nodes are, and wait until it is gone."""
    await world.writer.delete(NAMESPACES, MEDIK8S_NAMESPACE)
    field = f"metadata.name={MEDIK8S_NAMESPACE}"
    async with (
        asyncio.timeout(120),
        Reflector(world.reader, NAMESPACES, field_selector=field) as following,
    ):
        await following.wait_for(lambda found: not found)


async def test_leases_are_done_without_once_there_is_no_place_for_them(newest_world: World) -> None:
    world = newest_world
    (name,) = await world.add_nodes(1)
    await world.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MEDIK8S_NAMESPACE}}
    )
    async with Holding(world.reader, world.writer, "maintain-1", world.events.append) as holding:
        await without_leases(world)
        async with asyncio.timeout(60):
            await holding.take(name)
            await holding.give_back(name)
