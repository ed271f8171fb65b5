"""How nodes are taken out of service and put back: what kinds that do so may ask for, and tell."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.fields import (
    Cap,
    Count,
    Duration,
    LabelKey,
    Name,
    Query,
    Rule,
    Seconds,
    Selector,
    Text,
    Url,
)
from shipkeeper.operator.api.reference import ObjectRef


class Deadline(KubeStruct, frozen=True, kw_only=True):
    """How long a node's drain may take, and what then."""

    after: Annotated[Duration, Meta(description="How long a node's drain may take.")]
    then: Annotated[
        Literal["give-up", "delete", "kill"],
        Meta(
            description="give-up: put the node back in service; delete: delete what is left past "
            "its budgets; kill: likewise, with one second's grace."
        ),
    ]


class Drain(KubeStruct, frozen=True, kw_only=True):
    """What a drain may do to pods; kubectl drain's flags, and more."""

    force: Annotated[bool, Meta(description="Go on if pods declare no controller.")] = False
    ignore_daemon_sets: Annotated[
        bool, Meta(description="Leave the pods of DaemonSets on the node.")
    ] = True
    daemon_sets_last: Annotated[
        bool,
        Meta(description="Pods of DaemonSets that tolerate no taint of ours end after all others."),
    ] = False
    delete_empty_dir_data: Annotated[
        bool, Meta(description="Go on if pods use emptyDir: their local data is lost.")
    ] = False
    disable_eviction: Annotated[
        bool, Meta(description="Delete pods past their PodDisruptionBudgets.")
    ] = False
    grace_period_seconds: Annotated[
        Seconds | None, Meta(description="The seconds that each pod gets to end; else its own.")
    ] = None
    pod_selector: Annotated[Selector, Meta(description="Which pods are moved; else all.")] = ""
    timeout: Annotated[
        Duration, Meta(description="When a node's drain is given up; 0 for never.")
    ] = "0"
    pod_order: Annotated[
        Literal["none", "critical", "priority"],
        Meta(description="Critical pods after all others, or one priority after the other."),
    ] = "critical"
    deadline: Annotated[
        Deadline | None, Meta(description="How long a drain may take, and what then.")
    ] = None
    surge: Annotated[
        bool,
        Meta(description="Give a Deployment's only pod company if its budget forbids eviction."),
    ] = False
    surge_timeout: Annotated[
        Duration, Meta(description="How long the second pod may take to be Ready.")
    ] = "5m"
    ignore_holds: Annotated[
        bool, Meta(description="Go on with nodes that another tool works on or holds.")
    ] = False


class Pace(KubeStruct, frozen=True, kw_only=True):
    """How many nodes may be away at once, and how many may fail."""

    RULES: ClassVar = (
        Rule(
            "has(self.maxUnavailablePerPool) == has(self.poolLabel)",
            "maxUnavailablePerPool and poolLabel go together: the label names a node's pool",
        ),
    )

    max_unavailable: Annotated[
        Cap, Meta(description="How many nodes may be down at once (3 or 10%).")
    ] = "1"
    max_unavailable_per_zone: Annotated[
        Cap | None, Meta(description="How many of them in one zone.")
    ] = None
    max_unavailable_per_pool: Annotated[
        Cap | None, Meta(description="How many of them in one pool.")
    ] = None
    pool_label: Annotated[
        LabelKey | None, Meta(description="The label that names a node's pool.")
    ] = None
    max_failed: Annotated[
        Count, Meta(description="How many nodes may fail before no other is begun.")
    ] = 0
    allow_pending: Annotated[
        bool, Meta(description="Bear that pods without room elsewhere are Pending meanwhile.")
    ] = False
    growth: Annotated[
        Annotated[int, Meta(ge=0, le=10)],
        Meta(description="By how much more nodes go together than before: 2 is 1, 2, 4 …"),
    ] = 0


class Order(KubeStruct, frozen=True, kw_only=True):
    """Which nodes go first."""

    canary: Annotated[
        tuple[Selector, ...],
        Meta(
            description="Nodes that go first and alone: a number, a name, or a selector.",
            max_length=100,
        ),
    ] = ()
    by: Annotated[
        tuple[Selector, ...],
        Meta(
            description="One value after the other: zone, a label, or env=dev,staging,prod.",
            max_length=8,
        ),
    ] = ()


class Gates(KubeStruct, frozen=True, kw_only=True):
    """What must hold between groups of nodes, beside that the cluster is as healthy as before."""

    RULES: ClassVar = (
        Rule(
            "has(self.prometheus) || !(has(self.healthyIf) || has(self.unhealthyIf) "
            "|| (has(self.noFiringAlerts) && self.noFiringAlerts))",
            "queries and alerts need a metrics server to ask: name it in prometheus",
        ),
    )

    soak: Annotated[Duration, Meta(description="How long health must hold.")] = "0s"
    timeout: Annotated[
        Duration, Meta(description="How long it may take to come back, or the run ends.")
    ] = "10m"
    prometheus: Annotated[Url | None, Meta(description="The Prometheus to ask.")] = None
    healthy_if: Annotated[
        tuple[Query, ...],
        Meta(description="Queries that must have values, none of them zero.", max_length=20),
    ] = ()
    unhealthy_if: Annotated[
        tuple[Query, ...],
        Meta(description="Queries that must have no result, like an alert's.", max_length=20),
    ] = ()
    no_firing_alerts: Annotated[
        bool, Meta(description="No alert may fire, but those that fire always.")
    ] = False


class Volumes(KubeStruct, frozen=True, kw_only=True):
    """How long volumes may take to follow their pods."""

    detach_timeout: Annotated[Duration, Meta(description="To leave the node.")] = "6m"
    attach_timeout: Annotated[Duration, Meta(description="To be attached where they are used.")] = (
        "6m"
    )
    at_detach_timeout: Annotated[
        Literal["fail", "continue"],
        Meta(description="fail: put the node back in service; continue: work on it all the same."),
    ] = "fail"


class FleetSpec(KubeStruct, frozen=True, kw_only=True):
    """What may be asked for of every work on one node after another."""

    paused: Annotated[
        bool, Meta(description="Begin no further node; those under way are finished.")
    ] = False
    drain: Annotated[Drain, Meta(description="What a drain may do to pods.")] = Drain()
    pace: Annotated[Pace, Meta(description="How many nodes at once.")] = Pace()
    order: Annotated[Order, Meta(description="Which nodes go first.")] = Order()
    gates: Annotated[Gates, Meta(description="What must hold between groups of nodes.")] = Gates()
    volumes: Annotated[Volumes, Meta(description="How long volumes may take.")] = Volumes()
    windows: Annotated[
        tuple[Name, ...],
        Meta(
            description="MaintenanceWindows: nodes are begun while one of them is open.",
            max_length=16,
        ),
    ] = ()
    ready_timeout: Annotated[
        Duration, Meta(description="How long a node may take to come back.")
    ] = "10m"


class NodeCount(KubeStruct, frozen=True, kw_only=True, omit_defaults=False):
    """How many nodes a maintenance is about, and how they stand."""

    total: Annotated[int, Meta(description="All of them.")] = 0
    done: Annotated[int, Meta(description="Worked on, and back in service.")] = 0
    failed: Annotated[int, Meta(description="Their work failed, or did not come to its end.")] = 0
    refused: Annotated[int, Meta(description="Not to be drained; nothing was done to them.")] = 0


class NodeTrouble(KubeStruct, frozen=True, kw_only=True):
    """A node that failed or was refused, and why."""

    node: Annotated[str, Meta(description="The node.")]
    message: Annotated[Text, Meta(description="Why it failed or was refused, and what helps.")] = ""


class FleetStatus(KubeStruct, frozen=True, kw_only=True):
    """How a run over nodes stands."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this is about.")
    ] = 0
    message: Annotated[str, Meta(description="Why it stands so, in a sentence.")] = ""
    progress: Annotated[str, Meta(description="Nodes that are done, of all: 3/12.")] = ""
    nodes: Annotated[NodeCount, Meta(description="How the nodes stand.")] = NodeCount()
    under_way: Annotated[
        tuple[str, ...], Meta(description="Nodes that were begun and are not done.")
    ] = ()
    troubles: Annotated[
        tuple[NodeTrouble, ...], Meta(description="Nodes that failed or were refused, the first.")
    ] = ()
    run: Annotated[str, Meta(description="The name of the run, as it stands on nodes.")] = ""
    plan_in: Annotated[
        tuple[ObjectRef, ...], Meta(description="The ConfigMaps with a plan too large for here.")
    ] = ()
    journal: Annotated[
        ObjectRef | None, Meta(description="The ConfigMap in which the run's journal begins.")
    ] = None
    started_at: Annotated[datetime | None, Meta(description="When its first step began.")] = None
    finished_at: Annotated[datetime | None, Meta(description="When it ended.")] = None
