"""The verdicts on nodes that another tool works on, or means to; pure.

A node that somebody works on right now is left out (Block), one that somebody only means to work on
is told of (Warn).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.lease import Lease
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.kured import KuredLock
from shipkeeper.nodes.marks import Hold, marks_of
from shipkeeper.nodes.outside import Outside, lease_name

LEASE_HOLDER = "shipkeeper"
_SUC_PLAN = "upgrade.cattle.io/plan"
_CAPI_DELETE = "cluster.x-k8s.io/delete-machine"
_CAPI_REMEDIATE = "cluster.x-k8s.io/remediate-machine"


def judge_node(node: Node, *, ignore: bool = False) -> tuple[Verdict, ...]:
    """The verdicts on the marks that a node itself carries."""
    return tuple(_verdict(node.name, hold, ignore=ignore) for hold in marks_of(node))


def judge_holds(
    node: Node, pods: Iterable[Pod], outside: Outside, now: datetime, *, ignore: bool = False
) -> tuple[Verdict, ...]:
    """The verdicts on every hold of a node: its own marks, its pods, and what stands beside it.

    With `ignore`, nothing forbids work on the node.
    """
    found = (
        *_upgrade_jobs(pods),
        *_kured_locks(node.name, outside.kured, now),
        *_leases(node.name, outside.leases, now),
        *_machines(node.name, outside),
        *_shadows(node.name, outside),
    )
    beside = tuple(_verdict(node.name, hold, ignore=ignore) for hold in found)
    return (*judge_node(node, ignore=ignore), *beside)


def judge_locks(nodes: Iterable[Node], outside: Outside, now: datetime) -> tuple[Verdict, ...]:
    """The verdicts on locks that a run has to wait for because of nodes that are not in it."""
    names = {node.name for node in nodes}
    return tuple(
        Verdict(
            target=f"daemonset/{lock.key}",
            effect=Effect.WAIT,
            reason="HeldByKured",
            message=f"kured reboots node {holder.node} and holds its lock; the run waits for it",
            remedy="wait until kured is done, or go on meanwhile with --ignore-holds",
            since=holder.created,
        )
        for lock in outside.kured
        for holder in lock.others(now)
        if holder.node not in names
    )


def is_valid_lease(lease: Lease, now: datetime) -> bool:
    """Whether a lease binds: renewed within its duration (medik8s/common pkg/lease)."""
    renewed, duration = lease.spec.renew_time, lease.spec.lease_duration_seconds
    if renewed is None or duration is None:
        return False
    return renewed <= now <= renewed + timedelta(seconds=duration)


def _verdict(node: str, hold: Hold, *, ignore: bool) -> Verdict:
    blocks = hold.is_now and not ignore
    remedy = hold.remedy or ("wait until it is done" if hold.is_now else "")
    return Verdict(
        target=f"node/{node}",
        effect=Effect.BLOCK if blocks else Effect.WARN,
        reason=f"HeldBy{''.join(word[:1].upper() + word[1:] for word in _words(hold.tool))}",
        message=f"{hold.tool} {hold.what}",
        remedy=f"{remedy}, or go on all the same with --ignore-holds" if blocks else remedy,
        since=hold.since,
    )


def _words(tool: str) -> list[str]:
    return tool.replace("-", " ").split()


def _upgrade_jobs(pods: Iterable[Pod]) -> Iterator[Hold]:
    """rancher/system-upgrade-controller pkg/apis/upgrade.cattle.io/constants.go.

    Its label on a node (plan.upgrade.cattle.io/…) tells of an upgrade that is over; while one goes
    on, a pod of its Job runs on the node.
    """
    for pod in pods:
        plan = pod.metadata.labels.get(_SUC_PLAN)
        if plan and pod.status.phase not in ("Succeeded", "Failed"):
            what = f"upgrades it (plan {plan}, pod {pod.key})"
            since = pod.metadata.creation_timestamp
            yield Hold(tool="system-upgrade-controller", what=what, is_now=True, since=since)


def _kured_locks(node: str, locks: Iterable[KuredLock], now: datetime) -> Iterator[Hold]:
    for lock in locks:
        for holder in lock.others(now):
            if holder.node == node:
                what = f"reboots it and holds the lock on DaemonSet {lock.key} for it"
                yield Hold(tool="kured", what=what, is_now=True, since=holder.created)


def _leases(node: str, leases: Iterable[Lease], now: datetime) -> Iterator[Hold]:
    for lease in leases:
        holder = lease.spec.holder_identity or ""
        is_theirs = holder and not holder.startswith(LEASE_HOLDER)
        if lease.name == lease_name(node) and is_theirs and is_valid_lease(lease, now):
            what = f"holds the lease {lease.key} on it"
            yield Hold(tool=holder, what=what, is_now=True, since=lease.spec.acquire_time)


def _machines(node: str, outside: Outside) -> Iterator[Hold]:
    """kubernetes-sigs/cluster-api: annotations of a Machine, and its deletion."""
    for machine in outside.machines:
        if machine.node != node:
            continue
        deleted, marks = machine.metadata.deletion_timestamp, machine.metadata.annotations
        if deleted is not None:
            what = f"removes it (machine {machine.key} is being deleted)"
            yield Hold(tool="Cluster API", what=what, is_now=True, since=deleted)
        elif _CAPI_REMEDIATE in marks:
            what = f"is asked to replace it (machine {machine.key})"
            yield Hold(tool="Cluster API", what=what, is_now=True)
        elif _CAPI_DELETE in marks:
            what = f"removes it first when it scales down (machine {machine.key})"
            yield Hold(tool="Cluster API", what=what, is_now=False)


def _shadows(node: str, outside: Outside) -> Iterator[Hold]:
    """bottlerocket-os/bottlerocket-update-operator models/src/node/crd/v2.rs."""
    for shadow in outside.shadows:
        if shadow.name != f"brs-{node}":
            continue
        state = shadow.status.current_state if shadow.status else "Idle"
        if state == "ErrorReset":
            yield Hold(tool="brupop", what="could not update it (ErrorReset)", is_now=False)
        elif state != "Idle" or shadow.spec.state != "Idle":
            what = f"updates it ({state}, on its way to {shadow.spec.state})"
            yield Hold(tool="brupop", what=what, is_now=True)
