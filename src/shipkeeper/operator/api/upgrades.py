"""ClusterUpgrade: where to, who upgrades the control plane, what was found, and the plan."""

from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.conditions import StatusCondition
from shipkeeper.operator.api.fields import Duration, Rule, Text, unchanged
from shipkeeper.operator.api.fleet import FleetSpec, FleetStatus
from shipkeeper.operator.api.kind import Column, Kind
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.api.reports import FailOn, FindingCount, FoundThing

Target = Annotated[
    str,
    Meta(
        pattern=r"^v?1\.[0-9]{1,3}(\.[0-9]{1,3}(-(alpha|beta|rc)\.[0-9]{1,3})?)?$",
        max_length=24,
        extra={"says": "must be a minor (v1.37, its latest patch) or a version (v1.37.2)"},
    ),
]
OnTheWay = Annotated[
    str,
    Meta(
        pattern=r"^v?1\.[0-9]{1,3}\.[0-9]{1,3}$",
        max_length=24,
        extra={"says": "must be a version such as v1.36.3"},
    ),
]
PlanHash = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{32}$",
        max_length=32,
        extra={"says": "must be the plan's hash, as status.planHash has it"},
    ),
]


class ByProvider(KubeStruct, frozen=True, kw_only=True):
    """Somebody else upgrades the control plane, and the kubelets of drained nodes."""

    limit: Annotated[
        Duration,
        Meta(description="How long each hop of the control plane, and each node, may take."),
    ] = "1h"


class ClusterUpgradeSpec(FleetSpec, frozen=True, kw_only=True):
    """Where to, and who does it. Once a run has begun, only paused may be changed."""

    RULES: ClassVar = (
        Rule(
            "!has(self.approvedPlan) || has(self.wait)",
            "approvedPlan is for upgrades that somebody else does, so wait must be there: the "
            "operator has no keys of hosts; carry other plans out with: shipkeeper upgrade run",
        ),
    )

    to: Annotated[Target, Meta(description="A minor (v1.37, its latest patch) or a version.")]
    via: Annotated[
        tuple[OnTheWay, ...],
        Meta(
            description="The version for a minor on the way, if not its latest patch (v1.36.3).",
            max_length=20,
        ),
    ] = ()
    wait: Annotated[
        ByProvider | None,
        Meta(
            description="The provider upgrades the control plane, and the kubelets of nodes that "
            "are drained for it. Without it, the upgrade is only checked and planned."
        ),
    ] = None
    approved_plan: Annotated[
        PlanHash | None,
        Meta(description="The plan that may be carried out, by its hash (status.planHash)."),
    ] = None
    fail_on: FailOn = "high"
    check_every: Annotated[
        Duration, Meta(description="How often it is checked and planned anew until it begins.")
    ] = "1h"
    no_backup: Annotated[
        bool, Meta(description="Resources need not be backed up first; do not warn of it.")
    ] = False


class RunningVersion(KubeStruct, frozen=True, kw_only=True):
    """A version that runs, of what, and how often."""

    component: Annotated[str, Meta(description="The component, such as kubelet.")]
    version: Annotated[str, Meta(description="Its version.")]
    count: Annotated[int, Meta(description="How many run it.")]


class Blocker(KubeStruct, frozen=True, kw_only=True):
    """What forbids the upgrade, or a part of it, and what helps."""

    target: Annotated[str, Meta(description="What it is about.")]
    reason: Annotated[str, Meta(description="What is wrong, in one CamelCase word.")]
    message: Annotated[Text, Meta(description="What is wrong, in a sentence.")] = ""
    remedy: Annotated[Text, Meta(description="What helps.")] = ""


class ClusterUpgradeStatus(FleetStatus, frozen=True, kw_only=True):
    """What was found at the last look, the plan, and how its run stands."""

    phase: Annotated[
        str,
        Meta(
            description="Pending, Planned, AwaitingApproval, Waiting, Running, Paused, Stopping, "
            "Succeeded, Incomplete, Blocked, Failed or Aborted."
        ),
    ] = ""
    server_version: Annotated[
        str, Meta(description="What the API server ran at the last look.")
    ] = ""
    hops: Annotated[
        tuple[str, ...], Meta(description="The versions of the control plane, one by one.")
    ] = ()
    versions: Annotated[
        tuple[RunningVersion, ...],
        Meta(description="What ran at the last look, by component and version."),
    ] = ()
    blockers: Annotated[
        tuple[Blocker, ...],
        Meta(description="What forbids it: breaches of the version skew policy, nodes, settings."),
    ] = ()
    found: Annotated[
        FindingCount, Meta(description="How much `shipkeeper upgrade check` finds.")
    ] = FindingCount()
    worst: Annotated[
        tuple[FoundThing, ...], Meta(description="The worst findings, the first of them.")
    ] = ()
    report_in: Annotated[
        tuple[ObjectRef, ...], Meta(description="The ConfigMaps with the whole report.")
    ] = ()
    plan: Annotated[str, Meta(description="The plan, as `shipkeeper upgrade plan` prints it.")] = ""
    plan_hash: Annotated[str, Meta(description="What approves exactly this plan.")] = ""
    checked_at: Annotated[datetime | None, Meta(description="When the last look was.")] = None
    conditions: Annotated[
        tuple[StatusCondition, ...],
        Meta(description="Accepted, Checked, Clean, Planned, Progressing and Succeeded."),
    ] = ()


# What a plan is made from; none of it may change once there is a run.
_PLANNED = (
    *("to", "via", "wait", "approvedPlan", "noBackup", "drain", "pace", "order", "gates"),
    *("volumes", "windows", "readyTimeout"),
)

CLUSTER_UPGRADE = Kind(
    kind="ClusterUpgrade",
    plural="clusterupgrades",
    short=("cu",),
    spec=ClusterUpgradeSpec,
    status=ClusterUpgradeStatus,
    columns=(
        Column("Phase", ".status.phase"),
        Column("From", ".status.serverVersion"),
        Column("To", ".spec.to"),
        Column("Done", ".status.progress"),
        Column("Critical", ".status.found.critical", "integer"),
        Column("High", ".status.found.high", "integer"),
        Column("Checked", ".status.checkedAt", "date"),
        Column("Plan", ".status.planHash", priority=1),
        Column("Under Way", ".status.underWay", priority=1),
        Column("Message", ".status.message", priority=1),
    ),
    rules=(
        Rule(
            "!has(oldSelf.status) || !has(oldSelf.status.run) || oldSelf.status.run == '' || "
            f"({unchanged(*(f'self.spec.{each}' for each in _PLANNED))})",
            "what was approved is done: once there is a run only spec.paused may change; "
            "delete it and create another ClusterUpgrade",
        ),
    ),
    text="An upgrade of the cluster: checked, planned, and its nodes held for whoever does it.",
)
