"""The marks that other tools leave on a node that they work on, or mean to; pure.

Where each mark comes from stands with it: repository and file, as read in November 2026.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec

from shipkeeper.model.meta import condition
from shipkeeper.model.node import Node
from shipkeeper.nodes.conditions import REASON
from shipkeeper.nodes.cordon import OWNER_ANNOTATION, owner_of

_MCO = "machineconfiguration.openshift.io"
_MCM_DELETION = "node.machine.sapcloud.io/trigger-deletion-by-mcm"
_CAPI_OUTDATED = "node.cluster.x-k8s.io/outdated-revision"
_KURED_REBOOT = ("weave.works/kured-reboot-in-progress", "kured.dev/kured-reboot-in-progress")


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What one tool does with a node, or means to do: `is_now` tells which."""

    tool: str
    what: str
    is_now: bool
    remedy: str = ""
    since: datetime | None = None


def marks_of(node: Node) -> Iterator[Hold]:
    """Every hold that a node's own marks tell of."""
    for mark in _MARKS:
        yield from mark(node)


def _kured_marks(node: Node) -> Iterator[Hold]:
    """--annotate-nodes marks a node before the lock is taken (kubereboot/kured cmd/kured)."""
    for annotation in _KURED_REBOOT:
        value = node.metadata.annotations.get(annotation)
        if value is None:
            continue
        # It cordons only once it holds its lock.
        is_now = node.spec.unschedulable and not owner_of(node)
        what = "reboots it" if is_now else "wants to reboot it, once it gets its lock"
        yield Hold(tool="kured", what=what, is_now=is_now, since=_time(value))


def _karpenter_marks(node: Node) -> Iterator[Hold]:
    """kubernetes-sigs/karpenter pkg/apis/v1/taints.go and v1beta1/taints.go."""
    for taint in node.spec.taints:
        if taint.key == "karpenter.sh/disrupted" or (
            taint.key == "karpenter.sh/disruption" and taint.value == "disrupting"
        ):
            what = "drains it, to remove it"
            yield Hold(tool="Karpenter", what=what, is_now=True, since=taint.time_added)


def _autoscaler_marks(node: Node) -> Iterator[Hold]:
    """kubernetes/autoscaler utils/taints/taints.go; the value is the time in Unix seconds."""
    for taint in node.spec.taints:
        if taint.key == "ToBeDeletedByClusterAutoscaler":
            what, is_now = "drains it, to remove it", True
        elif taint.key == "DeletionCandidateOfClusterAutoscaler":
            what, is_now = "finds it unneeded and may remove it soon", False
        else:
            continue
        since = datetime.fromtimestamp(int(taint.value), UTC) if taint.value.isdecimal() else None
        yield Hold(tool="cluster-autoscaler", what=what, is_now=is_now, since=since)


def _gardener_marks(node: Node) -> Iterator[Hold]:
    """gardener/machine-controller-manager pkg/util/provider/machineutils/utils.go."""
    terminating = condition(node.status.conditions, "Terminating")
    if terminating is not None and terminating.status == "True":
        since = terminating.last_transition_time
        what = f"drains it, to remove its machine ({terminating.reason})"
        yield Hold(tool="machine-controller-manager", what=what, is_now=True, since=since)
    elif node.metadata.annotations.get(_MCM_DELETION) == "true":
        yield Hold(
            tool="machine-controller-manager", what="is asked to remove its machine", is_now=True
        )


def _medik8s_marks(node: Node) -> Iterator[Hold]:
    """medik8s/node-maintenance-operator controllers/taint.go; the value names the remediation."""
    for taint in node.spec.taints:
        if taint.key == "medik8s.io/drain":
            tool, what = "node-maintenance-operator", "has it in maintenance"
            remedy = "delete its NodeMaintenance"
        elif taint.key == "medik8s.io/remediation":
            tool, what = taint.value or "medik8s", "fences it"
            remedy = ""
        else:
            continue
        yield Hold(tool=tool, what=what, is_now=True, remedy=remedy, since=taint.time_added)


def _machine_config_marks(node: Node) -> Iterator[Hold]:
    """openshift/machine-config-operator pkg/daemon/constants/constants.go."""
    annotations = node.metadata.annotations
    state = annotations.get(f"{_MCO}/state", "")
    wanted = annotations.get(f"{_MCO}/desiredDrain", "")
    if state in ("Working", "Rebooting"):
        yield Hold(tool="machine-config-operator", what=f"updates it (state {state})", is_now=True)
    elif wanted.startswith("drain-") and wanted != annotations.get(f"{_MCO}/lastAppliedDrain"):
        yield Hold(tool="machine-config-operator", what="drains it", is_now=True)
    elif state in ("Degraded", "Unreconcilable"):
        why = annotations.get(f"{_MCO}/reason", "")
        what = f"could not update it (state {state})" + (f": {why}" if why else "")
        yield Hold(tool="machine-config-operator", what=what, is_now=False)


def _cluster_api_marks(node: Node) -> Iterator[Hold]:
    """kubernetes-sigs/cluster-api api/core/v1beta1/common_types.go."""
    if any(taint.key == _CAPI_OUTDATED for taint in node.spec.taints):
        what = "rolls its machines over and will replace it"
        yield Hold(tool="Cluster API", what=what, is_now=False)


_CONDITIONS = {
    "DrainInProgress": ("drains it", True),
    "MaintenanceInProgress": ("has it in maintenance", True),
    "GracefulNodeShutdownInProgress": ("shuts it down", True),
    "MaintenancePlanned": ("plans a maintenance of it", False),
    "Drained": ("drained it", False),
}


def _lifecycle_marks(node: Node) -> Iterator[Hold]:
    """KEP-5683: https://kubernetes.io/docs/reference/node/node-lifecycle-conditions/."""
    for each in node.status.conditions:
        if each.type not in _CONDITIONS or each.status != "True" or each.reason == REASON:
            continue
        what, is_now = _CONDITIONS[each.type]
        said = "; ".join(filter(None, (each.reason, each.message)))
        yield Hold(
            tool="somebody else",
            what=f"{what}, as its condition {each.type} says" + (f": {said}" if said else ""),
            is_now=is_now,
            remedy="ask who wrote the condition, and wait until it is taken back",
            since=each.last_transition_time,
        )


def _own_marks(node: Node) -> Iterator[Hold]:
    """A run that was not seen through leaves its name; two cannot run at a time."""
    run = node.metadata.annotations.get(OWNER_ANNOTATION, "").partition("/")[2]
    if run and node.spec.unschedulable:
        remedy = f"see what became of it with: shipkeeper runs show {run}"
        what = f"cordoned it in run {run}, and did not put it back"
        yield Hold(tool="shipkeeper", what=what, is_now=False, remedy=remedy)


_MARKS: tuple[Callable[[Node], Iterator[Hold]], ...] = (
    _kured_marks,
    _karpenter_marks,
    _autoscaler_marks,
    _gardener_marks,
    _medik8s_marks,
    _machine_config_marks,
    _cluster_api_marks,
    _lifecycle_marks,
    _own_marks,
)


def _time(value: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
