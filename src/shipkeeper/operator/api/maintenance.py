"""NodeMaintenance: what may be asked for, and what is told of it."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.conditions import StatusCondition
from shipkeeper.operator.api.fields import Duration, Name, NamespaceName, Rule, Selector, Text
from shipkeeper.operator.api.fleet import Drain, Gates, Order, Pace, Volumes
from shipkeeper.operator.api.kind import Column, Kind
from shipkeeper.operator.api.reference import ObjectRef


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
