"""Surge for single replicas: which Deployments need a second pod before their one can be evicted.

A Deployment of one replica whose budget forbids the eviction can be drained all the same: scaled
by one, waited for, evicted, scaled back. Pure: who may be scaled so, and why others may not.
"""

import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.autoscaler import HorizontalPodAutoscaler
from shipkeeper.model.deployment import Deployment
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.pod import Pod
from shipkeeper.model.storage import PersistentVolumeClaim
from shipkeeper.model.workload import Workload
from shipkeeper.nodes.disruption import judge_budgets
from shipkeeper.nodes.observe import ClusterState

StateT = TypeVar("StateT", bound=ClusterState)

SURGE_ANNOTATION = "shipkeeper.dev/surge"
_GITOPS_MARKS = {
    "argocd.argoproj.io/": "Argo CD",
    "kustomize.toolkit.fluxcd.io/": "Flux",
    "helm.toolkit.fluxcd.io/": "Flux",
    "fluxcd.io/": "Flux",
}
_GITOPS_MANAGERS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}
_SHARED_MODES = frozenset({"ReadWriteMany", "ReadOnlyMany"})
_PERCENTAGE = re.compile(r"(\d+)%")


class SurgeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to surge at all, and what is owned by others, too; timeout in seconds per pod."""

    enabled: bool = False
    owned: bool = False
    timeout: float = 300.0


class Surge(msgspec.Struct, frozen=True, kw_only=True):
    """What the annotation remembers: how many replicas there were, and for whom that was changed.

    That is the run, and the node that its pod has to leave.
    """

    replicas: int
    run: str
    node: str = ""


class SurgeState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything beside the pods and their budgets that decides about a surge."""

    deployments: tuple[Deployment, ...] = ()
    replica_sets: tuple[Workload, ...] = ()
    autoscalers: tuple[HorizontalPodAutoscaler, ...] = ()
    claims: tuple[PersistentVolumeClaim, ...] = ()


class SurgeCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A Deployment to scale by one before its pod on `node` can be evicted."""

    namespace: str
    name: str
    pod: str
    pod_uid: str
    node: str
    budget: str

    @property
    def key(self) -> str:
        """`namespace/name` of the Deployment."""
        return f"{self.namespace}/{self.name}"


def surge_of(deployment: Deployment) -> Surge | None:
    """The surge that is remembered on a Deployment; None if there is none that can be read."""
    value = deployment.metadata.annotations.get(SURGE_ANNOTATION)
    if value is None:
        return None
    try:
        return msgspec.json.decode(value, type=Surge)
    except msgspec.DecodeError:
        return None


def surge_candidates(
    state: ClusterState, scaling: SurgeState, options: SurgeOptions
) -> tuple[tuple[SurgeCandidate, ...], tuple[Verdict, ...]]:
    """The Deployments to scale for the nodes of the state, and why others are left alone."""
    if not options.enabled:
        return (), ()
    deployments = _deployments_by_replica_set(scaling)
    candidates: list[SurgeCandidate] = []
    verdicts: list[Verdict] = []
    for pod in (pod for node in state.nodes for pod in state.pods_on(node.name)):
        deployment, budget = deployments.get(_owner(pod)), _forbidding(pod, state)
        if deployment is None or budget is None or not _is_single(deployment):
            continue
        verdict = _judge(pod, deployment, budget, scaling, options)
        if verdict is None:
            candidates.append(_candidate(pod, deployment, budget))
        else:
            verdicts.append(verdict)
    return tuple(candidates), tuple(verdicts)


def with_surges(state: StateT, candidates: Iterable[SurgeCandidate]) -> StateT:
    """The state with the pods that may go because their Deployments are scaled before."""
    surging = {each.pod_uid: each.key for each in candidates}
    return msgspec.structs.replace(state, surging=surging) if surging else state


def gitops_owner(deployment: Deployment) -> str:
    """The GitOps tool that would set the replicas back; empty if none shows."""
    for mark in (*deployment.metadata.labels, *deployment.metadata.annotations):
        for prefix, tool in _GITOPS_MARKS.items():
            if mark.startswith(prefix):
                return tool
    managers = (each.manager for each in deployment.metadata.managed_fields)
    return next((_GITOPS_MANAGERS[each] for each in managers if each in _GITOPS_MANAGERS), "")


def would_allow(budget: PodDisruptionBudget, more: int = 1) -> bool:
    """Whether a budget allows a disruption once so many more pods are Ready (policy/v1 rules).

    Percentages are rounded up, for both limits.
    """
    expected = budget.status.expected_pods + more
    spec = budget.spec
    if spec.max_unavailable is not None:
        desired = expected - _scaled(spec.max_unavailable, expected)
    elif spec.min_available is not None:
        desired = _scaled(spec.min_available, expected)
    else:
        desired = expected
    return budget.status.current_healthy + more > desired


def _scaled(limit: int | str, total: int) -> int:
    found = _PERCENTAGE.fullmatch(limit) if isinstance(limit, str) else None
    if found is not None:
        return -(-int(found[1]) * total // 100)
    return int(limit)


def _is_single(deployment: Deployment) -> bool:
    """Whether it has one replica, or had before it was scaled for us."""
    surge = surge_of(deployment)
    return (surge.replicas if surge else deployment.spec.replicas) == 1


def _owner(pod: Pod) -> tuple[str, str]:
    owner = pod.metadata.controller
    is_ours = owner is not None and owner.kind == "ReplicaSet"
    return (pod.namespace, owner.uid) if owner is not None and is_ours else ("", "")


def _deployments_by_replica_set(scaling: SurgeState) -> dict[tuple[str, str], Deployment]:
    by_uid = {each.uid: each for each in scaling.deployments}
    found: dict[tuple[str, str], Deployment] = {}
    for replica_set in scaling.replica_sets:
        owner = replica_set.metadata.controller
        if owner is not None and owner.uid in by_uid:
            found[replica_set.namespace, replica_set.uid] = by_uid[owner.uid]
    return found


def _forbidding(pod: Pod, state: ClusterState) -> PodDisruptionBudget | None:
    """The one budget that will not let the pod go as things are."""
    budgets = state.budgets_of(pod)
    verdict = judge_budgets(pod, budgets)
    if verdict is None or verdict.reason != "BudgetNeverMet":
        return None
    return budgets[0]


def _candidate(pod: Pod, deployment: Deployment, budget: PodDisruptionBudget) -> SurgeCandidate:
    return SurgeCandidate(
        namespace=deployment.namespace,
        name=deployment.name,
        pod=pod.name,
        pod_uid=pod.uid,
        node=pod.spec.node_name,
        budget=budget.name,
    )


def _judge(
    pod: Pod,
    deployment: Deployment,
    budget: PodDisruptionBudget,
    scaling: SurgeState,
    options: SurgeOptions,
) -> Verdict | None:
    """Why a Deployment is not scaled; None if it is."""
    if not options.owned and (owned := _judge_owner(deployment, scaling)) is not None:
        return owned
    if deployment.spec.strategy.type == "Recreate":
        return _left_alone(
            deployment,
            "RecreateStrategy",
            "its strategy Recreate says that two of its pods must not run together",
            "evict its pod by hand when the pause suits you",
        )
    if claim := _unshared_claim(pod, scaling):
        return _left_alone(
            deployment,
            "VolumeNotShared",
            f"its volume claim {claim} can be mounted on one node at a time",
            "evict its pod by hand when the pause suits you",
        )
    if not would_allow(budget):
        return _left_alone(
            deployment,
            "SurgeOfNoUse",
            f"PodDisruptionBudget {budget.name} would allow no eviction with one pod more either",
            f"let the budget allow one: kubectl -n {budget.namespace} edit pdb {budget.name}",
        )
    return None


def _judge_owner(deployment: Deployment, scaling: SurgeState) -> Verdict | None:
    remedy = "let it be scaled all the same with --surge-owned, or scale it there"
    if tool := gitops_owner(deployment):
        return _left_alone(deployment, "GitOpsOwned", f"{tool} sets its replicas", remedy)
    for each in scaling.autoscalers:
        target = each.spec.scale_target_ref
        if (each.namespace, target.kind, target.name) == (
            deployment.namespace,
            "Deployment",
            deployment.name,
        ):
            message = f"HorizontalPodAutoscaler {each.name} sets its replicas"
            return _left_alone(deployment, "AutoscalerOwned", message, remedy)
    if (owner := deployment.metadata.controller) is not None:
        message = f"{owner.kind} {owner.name} owns it and may set its replicas"
        return _left_alone(deployment, "ControllerOwned", message, remedy)
    return None


def _unshared_claim(pod: Pod, scaling: SurgeState) -> str:
    modes = {each.key: each.spec.access_modes for each in scaling.claims}
    for claim in pod.claims:
        found = modes.get(f"{pod.namespace}/{claim}")
        if found is not None and _SHARED_MODES.isdisjoint(found):
            return claim
    return ""


def _left_alone(deployment: Deployment, reason: str, message: str, remedy: str) -> Verdict:
    return Verdict(
        target=f"deployment/{deployment.key}",
        effect=Effect.WARN,
        reason=reason,
        message=f"is not scaled to move its only pod: {message}",
        remedy=remedy,
    )
