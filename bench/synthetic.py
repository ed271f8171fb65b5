"""A large fleet in memory, to time the planner where no control plane would fit the machine."""

import time
from datetime import UTC, datetime

from shipkeeper.model.disruption import BudgetSpec, BudgetStatus, PodDisruptionBudget
from shipkeeper.model.meta import Condition, ObjectMeta, OwnerReference
from shipkeeper.model.node import Node, NodeStatus
from shipkeeper.model.pod import PodStatus
from shipkeeper.model.scheduling import (
    Container,
    ResourceRequirements,
    SchedulablePod,
    SchedulablePodSpec,
)
from shipkeeper.model.selector import LabelSelector
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.plan import plan_fleet
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions

_READY = (Condition(type="Ready", status="True"),)
_SPARES = 3


def synthetic_plan_seconds(nodes: int, pods: int, budgets: int) -> float:
    """How long planning the maintenance of such a fleet takes, five percent of it at once."""
    state = synthetic_fleet(nodes, pods, budgets)
    options = MaintenanceOptions(drain=DrainOptions(), wait=2, max_unavailable="5%")
    began = time.monotonic()
    plan_fleet(state, options, datetime.now(UTC))
    return time.monotonic() - began


def synthetic_fleet(nodes: int, pods: int, budgets: int) -> FleetState:
    """Nodes with their pods spread evenly, and a spare node for each of three zones."""
    cluster = tuple(_node(number) for number in range(nodes + _SPARES))
    everything = tuple(_pod(number, number % nodes, number % budgets) for number in range(pods))
    return FleetState(
        nodes=cluster[:nodes],
        pods=everything,
        budgets=tuple(_budget(number, pods // budgets) for number in range(budgets)),
        daemon_sets=frozenset(),
        eviction_version="v1",
        budget_version="v1",
        cluster=cluster,
        everything=everything,
        volumes={},
    )


def _node(number: int) -> Node:
    name = f"node-{number}"
    labels = {
        "kubernetes.io/hostname": name,
        "topology.kubernetes.io/zone": f"zone-{number % 3}",
    }
    allocatable = {"cpu": "4", "memory": "16Gi", "pods": "110"}
    return Node(
        metadata=ObjectMeta(name=name, uid=name, labels=labels),
        status=NodeStatus(allocatable=allocatable, conditions=_READY),
    )


def _pod(number: int, node: int, app: int) -> SchedulablePod:
    name, owner = f"pod-{number}", f"app-{app}"
    reference = OwnerReference(
        api_version="apps/v1", kind="ReplicaSet", name=owner, uid=owner, controller=True
    )
    requests = ResourceRequirements(requests={"cpu": "100m", "memory": "64Mi"})
    return SchedulablePod(
        metadata=ObjectMeta(
            name=name,
            namespace="fleet",
            uid=name,
            labels={"app": owner},
            owner_references=(reference,),
        ),
        spec=SchedulablePodSpec(
            node_name=f"node-{node}", containers=(Container(resources=requests),)
        ),
        status=PodStatus(phase="Running", conditions=_READY),
    )


def _budget(number: int, pods: int) -> PodDisruptionBudget:
    allowed, app = max(pods // 10, 1), f"app-{number}"
    return PodDisruptionBudget(
        metadata=ObjectMeta(name=app, namespace="fleet", uid=f"budget-{number}"),
        spec=BudgetSpec(max_unavailable=allowed, selector=LabelSelector(match_labels={"app": app})),
        status=BudgetStatus(
            disruptions_allowed=allowed,
            current_healthy=pods,
            desired_healthy=pods - allowed,
            expected_pods=pods,
        ),
    )
