"""NodeMaintenance: what may be asked for, and what is told of it."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.conditions import StatusCondition
from shipkeeper.operator.api.fields import Duration, Name, NamespaceName, Rule, Selector
from shipkeeper.operator.api.fleet import FleetSpec, FleetStatus
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


class NodeMaintenanceSpec(FleetSpec, frozen=True, kw_only=True):
    """What is to be done to which nodes. Once a run has begun, only paused may be changed."""

    RULES: ClassVar = (
        Rule(
            "oldSelf.nodes == self.nodes && oldSelf.action == self.action",
            "nodes and action stay as they were created: delete this maintenance, create another",
        ),
    )

    nodes: Annotated[Targets, Meta(description="Which nodes.")]
    action: Annotated[Action, Meta(description="What is done to each of them, once drained.")]
    if_work_fails: Annotated[
        Literal["cordoned", "returned"],
        Meta(description="Whether a node whose work failed stays cordoned, or takes pods again."),
    ] = "cordoned"
    expect_reboot: Annotated[bool, Meta(description="See a new boot ID afterwards.")] = False
    approved: Annotated[
        bool | None,
        Meta(description="false: make the plan and wait; true: carry it out. Without it: at once."),
    ] = None


class NodeMaintenanceStatus(FleetStatus, frozen=True, kw_only=True):
    """How a maintenance stands."""

    phase: Annotated[
        str,
        Meta(
            description="Pending, AwaitingApproval, Waiting, Running, Paused, Stopping, Succeeded, "
            "Incomplete, Blocked, Failed or Aborted."
        ),
    ] = ""
    plan: Annotated[str, Meta(description="The plan, as `shipkeeper maintain plan` prints it.")] = (
        ""
    )
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
