"""Small clusters in memory."""

from typing import Any

from shipkeeper.model.disruption import BudgetSpec, BudgetStatus, PodDisruptionBudget
from shipkeeper.model.meta import Condition, ObjectMeta, OwnerReference
from shipkeeper.model.node import Node, NodeSpec, NodeStatus, Taint
from shipkeeper.model.pod import PodStatus
from shipkeeper.model.scheduling import (
    Affinity,
    Container,
    PodAffinity,
    PodAffinityTerm,
    ResourceRequirements,
    SchedulablePod,
    SchedulablePodSpec,
    SpreadConstraint,
)
from shipkeeper.model.selector import LabelSelector
from shipkeeper.nodes.fleet.observe import FleetState

HOSTNAME = "kubernetes.io/hostname"
READY = (Condition(type="Ready", status="True"),)


def node(
    name: str,
    cpu: str = "4",
    *,
    zone: str = "z1",
    roles: tuple[str, ...] = (),
    taints: tuple[Taint, ...] = (),
) -> Node:
    labels = {HOSTNAME: name, "topology.kubernetes.io/zone": zone}
    labels |= {f"node-role.kubernetes.io/{role}": "" for role in roles}
    return Node(
        metadata=ObjectMeta(name=name, uid=name, labels=labels),
        spec=NodeSpec(taints=taints),
        status=NodeStatus(
            allocatable={"cpu": cpu, "memory": "16Gi", "pods": "110"}, conditions=READY
        ),
    )


def pod(name: str, on: str, cpu: str = "1", **spec: Any) -> SchedulablePod:
    """A pod of the ReplicaSet that its name begins with."""
    app = name.partition("-")[0]
    owner = OwnerReference(
        api_version="apps/v1", kind="ReplicaSet", name=app, uid=app, controller=True
    )
    requests = ResourceRequirements(requests={"cpu": cpu})
    return SchedulablePod(
        metadata=ObjectMeta(
            name=name, namespace="n", uid=name, labels={"app": app}, owner_references=(owner,)
        ),
        spec=SchedulablePodSpec(node_name=on, containers=(Container(resources=requests),), **spec),
        status=PodStatus(phase="Running", conditions=READY),
    )


def apart(app: str, key: str = HOSTNAME) -> Affinity:
    selector = LabelSelector(match_labels={"app": app})
    term = PodAffinityTerm(topology_key=key, label_selector=selector)
    return Affinity(pod_anti_affinity=PodAffinity(required=(term,)))


def near(app: str, key: str = HOSTNAME) -> Affinity:
    selector = LabelSelector(match_labels={"app": app})
    term = PodAffinityTerm(topology_key=key, label_selector=selector)
    return Affinity(pod_affinity=PodAffinity(required=(term,)))


def spread(app: str, key: str = HOSTNAME) -> tuple[SpreadConstraint, ...]:
    selector = LabelSelector(match_labels={"app": app})
    return (
        SpreadConstraint(
            topology_key=key, when_unsatisfiable="DoNotSchedule", label_selector=selector
        ),
    )


def budget(app: str, allowed: int, pods: int = 10) -> PodDisruptionBudget:
    return PodDisruptionBudget(
        metadata=ObjectMeta(name=app, namespace="n", uid=f"budget-{app}"),
        spec=BudgetSpec(max_unavailable=1, selector=LabelSelector(match_labels={"app": app})),
        status=BudgetStatus(
            disruptions_allowed=allowed,
            current_healthy=pods,
            desired_healthy=pods - max(allowed, 1),
            expected_pods=pods,
        ),
    )


def fleet(
    nodes: tuple[Node, ...],
    pods: tuple[SchedulablePod, ...],
    budgets: tuple[PodDisruptionBudget, ...] = (),
    *,
    scope: int | None = None,
) -> FleetState:
    """A cluster of which the first nodes are to be maintained; all unless a number is given."""
    targets = nodes[:scope]
    names = {each.name for each in targets}
    return FleetState(
        nodes=targets,
        pods=tuple(each for each in pods if each.spec.node_name in names),
        budgets=budgets,
        daemon_sets=frozenset(),
        eviction_version="v1",
        budget_version="v1",
        cluster=nodes,
        everything=pods,
        volumes={},
    )
