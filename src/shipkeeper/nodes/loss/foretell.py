"""What happens if a node dies now: which pods come back where and when, and which never do.

Read from kube-controller-manager: pkg/controller/nodelifecycle (a silent node is tainted after the
node monitor grace period), pkg/controller/tainteviction (its pods are deleted, past all budgets,
when they no longer tolerate that), KEP-2268 (what stays stuck until the node is known to be off).
"""

from datetime import timedelta

import msgspec

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.duration import format_duration
from shipkeeper.model.node import UNREACHABLE_TAINT
from shipkeeper.model.pod import Pod
from shipkeeper.model.version import Version
from shipkeeper.nodes.loss.observe import LossState
from shipkeeper.nodes.loss.rules import RULES, Fate, LossInput, pod_verdict

# Defaults of --node-monitor-grace-period, which the API server does not tell.
_GRACE = timedelta(seconds=50)
_GRACE_BEFORE_1_32 = timedelta(seconds=40)

# Controllers whose pods stand for their node, and for no other pod.
_OF_ONE_NODE = frozenset({"DaemonSet", "Node"})


class PodLoss(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One pod: when the control plane gives it up, in seconds from the loss; None if never.

    `is_outage` tells that no other pod of its controller is Ready.
    """

    pod: str
    controller: str
    fate: Fate
    deleted_after_seconds: int | None
    is_outage: bool
    verdicts: tuple[Verdict, ...]


class NodeLoss(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The loss of a node, which is noticed after `grace_seconds` without a sign of its kubelet."""

    node: str
    grace_seconds: int
    verdicts: tuple[Verdict, ...]
    pods: tuple[PodLoss, ...]


def default_grace(version: Version) -> timedelta:
    """How long a control plane of a version waits before it calls a silent node Unknown."""
    return _GRACE_BEFORE_1_32 if version < Version(1, 32, 0) else _GRACE


def foretell_loss(state: LossState, grace: timedelta) -> NodeLoss:
    """What becomes of every pod of the node, and of the budgets, which nobody asks then."""
    return NodeLoss(
        node=state.node.name,
        grace_seconds=int(grace.total_seconds()),
        verdicts=(*_no_other_node(state), *_broken_budgets(state)),
        pods=tuple(_foretell(pod, state, grace) for pod in state.pods),
    )


def _foretell(pod: Pod, state: LossState, grace: timedelta) -> PodLoss:
    deleted_after = _deleted_after(pod, state, grace)
    given = LossInput(state=state, deleted_after=deleted_after)
    found = () if pod.is_finished else tuple(rule(pod, given) for rule in RULES)
    findings = [each for each in found if each is not None]
    fate = _worst((_otherwise(pod, deleted_after), *(fate for fate, _ in findings)))
    outage = _outage(pod, state, fate, deleted_after)
    controller = pod.metadata.controller
    return PodLoss(
        pod=pod.key,
        controller=f"{controller.kind}/{controller.name}" if controller else "",
        fate=fate,
        deleted_after_seconds=_seconds(deleted_after),
        is_outage=bool(outage),
        verdicts=(*(verdict for _, verdict in findings), *outage),
    )


def _otherwise(pod: Pod, deleted_after: timedelta | None) -> Fate:
    """What becomes of a pod that no rule minds."""
    if pod.is_finished:
        return Fate.FINISHED
    return Fate.STAYS if deleted_after is None else Fate.REPLACED


def _worst(fates: tuple[Fate, ...]) -> Fate:
    return next(fate for fate in Fate if fate in fates)


def _deleted_after(pod: Pod, state: LossState, grace: timedelta) -> timedelta | None:
    """When the control plane gives a pod up (tainteviction getMinTolerationTime); None if never."""
    if pod.is_deleting:
        return timedelta(0)
    if pod.is_mirror or not state.is_other_node_ready:
        return None
    toleration = pod.toleration_for(UNREACHABLE_TAINT, "NoExecute")
    if toleration is None:
        return grace
    if toleration.toleration_seconds is None:
        return None
    return grace + timedelta(seconds=max(toleration.toleration_seconds, 0))


def _outage(
    pod: Pod, state: LossState, fate: Fate, deleted_after: timedelta | None
) -> tuple[Verdict, ...]:
    """What is said of the only Ready pod of a controller; nothing of others."""
    owner = pod.metadata.controller
    if owner is None or owner.kind in _OF_ONE_NODE or not pod.is_ready:
        return ()
    if state.ready_elsewhere(owner.uid):
        return ()
    message = f"no other pod of {owner.kind} {owner.name} is Ready: it is out "
    if fate is Fate.REPLACED and deleted_after is not None:
        message += f"for at least {format_duration(deleted_after)}"
    else:
        message += "until the node is back" if fate is not Fate.STUCK else "until that is settled"
    remedy = "run more than one replica, on more than one node"
    return (pod_verdict(pod, "OnlyReplica", message, remedy=remedy),)


def _no_other_node(state: LossState) -> tuple[Verdict, ...]:
    """When every node is silent the control plane suspects itself, and deletes nothing."""
    if state.is_other_node_ready:
        return ()
    return (
        Verdict(
            target=f"node/{state.node.name}",
            effect=Effect.WARN,
            reason="NoOtherNode",
            message="no other node is Ready: nothing is deleted, and nothing can start elsewhere",
        ),
    )


def _broken_budgets(state: LossState) -> tuple[Verdict, ...]:
    """The budgets that are met now and would not be without the node."""
    lost = ((budget, _ready_under(budget, state)) for budget in state.budgets)
    return tuple(
        _broken(budget, budget.status.current_healthy - count)
        for budget, count in lost
        if budget.status.current_healthy >= budget.status.desired_healthy
        and budget.status.current_healthy - count < budget.status.desired_healthy
    )


def _ready_under(budget: PodDisruptionBudget, state: LossState) -> int:
    covered = (
        pod for pod in state.pods if budget.covers(pod, empty_matches_all=state.is_policy_v1)
    )
    return sum(pod.is_ready for pod in covered)


def _broken(budget: PodDisruptionBudget, left: int) -> Verdict:
    status = budget.status
    return Verdict(
        target=f"poddisruptionbudget/{budget.key}",
        effect=Effect.WARN,
        reason="BudgetBroken",
        message=f"{left} of {status.expected_pods} pods stay healthy, it wants "
        f"{status.desired_healthy}: a loss asks no budget",
        remedy="spread its pods over more nodes",
    )


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())
