"""NodeMaintenance and MaintenanceWindow: what may be asked for, and what is told of it."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.conditions import StatusCondition
from shipkeeper.operator.api.fields import (
    Cap,
    Count,
    Cron,
    Day,
    Duration,
    LabelKey,
    Name,
    NamespaceName,
    Query,
    Rule,
    Seconds,
    Selector,
    Text,
    Url,
    Zone,
)
from shipkeeper.operator.api.kind import Column, Kind


class Targets(KubeStruct, frozen=True, kw_only=True):
    """Which nodes are meant: exactly one of names, selector and all."""

    RULES: ClassVar = (
        Rule(
            "[has(self.names), has(self.selector), has(self.all)].filter(x, x).size() == 1",
            "name nodes, select them, or say all: exactly one of names, selector and all",
        ),
    )

    names: Annotated[
        tuple[Name, ...],
        Meta(description="The nodes by name, in this order.", min_length=1, max_length=5000),
    ] = ()
    selector: Annotated[
        Selector, Meta(description="A label selector, as kubectl's -l takes it (a=b,c!=d).")
    ] = ""
    all: Annotated[Literal["Nodes"] | None, Meta(description="Nodes: every node.")] = None


class WaitFor(KubeStruct, frozen=True, kw_only=True):
    """Somebody else does the work: what must be seen of it on the node."""

    seen: Annotated[
        tuple[
            Annotated[
                str,
                Meta(
                    pattern=r"^(reboot|(kernel|os-image|kubelet)(=.+)?)$",
                    max_length=128,
                    extra={
                        "says": "must be reboot, kernel, os-image or kubelet, "
                        "or a value such as kernel=6.12.9"
                    },
                ),
            ],
            ...,
        ],
        Meta(
            description="reboot, kernel, os-image, kubelet, or a value: kernel=6.12.9.",
            min_length=1,
            max_length=4,
        ),
    ]
    limit: Annotated[Duration, Meta(description="How long that may take.")] = "1h"


class PodWork(KubeStruct, frozen=True, kw_only=True):
    """Work on the node's host through a privileged pod."""

    work: Annotated[
        Literal["os-update", "reboot", "reboot-always"],
        Meta(description="os-update: and reboot if that is needed; reboot: if needed."),
    ]
    image: Annotated[
        str, Meta(description="The pod's image, with sh and nsenter.", max_length=512)
    ] = "busybox:stable"
    namespace: Annotated[
        NamespaceName, Meta(description="A namespace that admits privileged pods.")
    ] = "kube-system"
    start_timeout: Annotated[Duration, Meta(description="How long the pod may take to start.")] = (
        "2m"
    )
    time_limit: Annotated[
        Duration, Meta(description="How long the work may take; 0 for any time.")
    ] = "0"


class Action(KubeStruct, frozen=True, kw_only=True):
    """What is done to each drained node: exactly one of wait, waitFor and pod."""

    RULES: ClassVar = (
        Rule(
            "[has(self.wait), has(self.waitFor), has(self.pod)].filter(x, x).size() == 1",
            "a maintenance does one thing to each node: exactly one of wait, waitFor and pod",
        ),
    )

    wait: Annotated[Duration | None, Meta(description="Wait so long at each drained node.")] = None
    wait_for: Annotated[
        WaitFor | None, Meta(description="Wait until somebody else's work is seen.")
    ] = None
    pod: Annotated[PodWork | None, Meta(description="Work on the host through a pod.")] = None


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


class NodeMaintenanceSpec(KubeStruct, frozen=True, kw_only=True):
    """What is to be done to which nodes. Once a run has begun, only paused may be changed."""

    RULES: ClassVar = (
        Rule(
            "oldSelf.nodes == self.nodes && oldSelf.action == self.action",
            "nodes and action stay as they were created: delete this maintenance, create another",
        ),
    )

    nodes: Annotated[Targets, Meta(description="Which nodes.")]
    action: Annotated[Action, Meta(description="What is done to each of them, once drained.")]
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
    if_work_fails: Annotated[
        Literal["cordoned", "returned"],
        Meta(description="Whether a node whose work failed stays cordoned, or takes pods again."),
    ] = "cordoned"
    expect_reboot: Annotated[bool, Meta(description="See a new boot ID afterwards.")] = False
    ready_timeout: Annotated[
        Duration, Meta(description="How long a node may take to come back.")
    ] = "10m"
    paused: Annotated[
        bool, Meta(description="Begin no further node; those under way are finished.")
    ] = False
    approved: Annotated[
        bool | None,
        Meta(description="false: make the plan and wait; true: carry it out. Without it: at once."),
    ] = None


class ObjectRef(KubeStruct, frozen=True, kw_only=True):
    """An object in a namespace."""

    namespace: str
    name: str


class NodeCount(KubeStruct, frozen=True, kw_only=True):
    """How many nodes a maintenance is about, and how they stand."""

    total: int = 0
    done: int = 0
    failed: int = 0
    refused: int = 0


class NodeTrouble(KubeStruct, frozen=True, kw_only=True):
    """A node that failed or was refused, and why."""

    node: str
    message: Text = ""


class NodeMaintenanceStatus(KubeStruct, frozen=True, kw_only=True):
    """How a maintenance stands."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this is about.")
    ] = 0
    phase: Annotated[
        str,
        Meta(
            description="Pending, AwaitingApproval, Waiting, Running, Paused, Stopping, Succeeded, "
            "Incomplete, Blocked, Failed or Aborted."
        ),
    ] = ""
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
    plan: Annotated[str, Meta(description="The plan, as `shipkeeper maintain plan` prints it.")] = (
        ""
    )
    plan_in: Annotated[
        tuple[ObjectRef, ...], Meta(description="The ConfigMaps with a plan too large for here.")
    ] = ()
    journal: Annotated[
        ObjectRef | None, Meta(description="The ConfigMap in which the run's journal begins.")
    ] = None
    started_at: Annotated[datetime | None, Meta(description="When its first step began.")] = None
    finished_at: Annotated[datetime | None, Meta(description="When it ended.")] = None
    conditions: Annotated[
        tuple[StatusCondition, ...],
        Meta(description="Accepted, Planned, Progressing and Succeeded."),
    ] = ()


class MaintenanceWindowSpec(KubeStruct, frozen=True, kw_only=True):
    """When nodes may be begun."""

    cron: Annotated[Cron, Meta(description="When it opens: minute, hour, day, month, weekday.")]
    length: Annotated[Duration, Meta(description="How long it stays open.")]
    time_zone: Annotated[Zone, Meta(description="Whose clock that is.")] = "UTC"
    days_off: Annotated[
        tuple[Day, ...],
        Meta(
            description="Days without maintenance, such as 2026-12-24..2027-01-06.", max_length=100
        ),
    ] = ()


class MaintenanceWindowStatus(KubeStruct, frozen=True, kw_only=True):
    """Whether it is open, and when that changes."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this is about.")
    ] = 0
    is_open: Annotated[bool, Meta(description="Whether nodes may be begun now.")] = False
    opens_at: Annotated[datetime | None, Meta(description="When it opens next.")] = None
    closes_at: Annotated[datetime | None, Meta(description="When it closes, if it is open.")] = None
    conditions: Annotated[tuple[StatusCondition, ...], Meta(description="Accepted and Open.")] = ()


NODE_MAINTENANCE = Kind(
    kind="NodeMaintenance",
    plural="nodemaintenances",
    short=("nm",),
    spec=NodeMaintenanceSpec,
    status=NodeMaintenanceStatus,
    columns=(
        Column("Phase", ".status.phase"),
        Column("Done", ".status.progress"),
        Column("Under Way", ".status.underWay"),
        Column("Message", ".status.message", priority=1),
        Column("Run", ".status.run", priority=1),
    ),
    text="Nodes are cordoned, drained, worked on and put back, as many at once as is borne.",
)
MAINTENANCE_WINDOW = Kind(
    kind="MaintenanceWindow",
    plural="maintenancewindows",
    short=("mw",),
    spec=MaintenanceWindowSpec,
    status=MaintenanceWindowStatus,
    columns=(
        Column("Open", ".status.isOpen", "boolean"),
        Column("Opens", ".status.opensAt"),
        Column("Closes", ".status.closesAt"),
        Column("Cron", ".spec.cron", priority=1),
        Column("Length", ".spec.length", priority=1),
        Column("Zone", ".spec.timeZone", priority=1),
    ),
    text="A time in which maintenance may begin, again and again.",
)
