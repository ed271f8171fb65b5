"""What a hollow kubelet writes about its node: the Node, its status, its lease."""

from datetime import UTC, datetime
from typing import Any

from shipkeeper.kube.resources import LEASES, NODES
from shipkeeper.model.meta import condition
from shipkeeper.model.node import ROLE_LABEL_PREFIX, ZONE_LABEL, Node
from shipkeeper.sandbox.hollow.values import Boot, NodeGroup

BEHAVIOUR_ANNOTATION = "hollow.shipkeeper.dev/behaviour"
LEASE_NAMESPACE = "kube-node-lease"
# Without it kube-controller-manager leaves attaching to the kubelet (kubelet_node_status.go).
ATTACH_ANNOTATION = "volumes.kubernetes.io/controller-managed-attach-detach"
NOT_READY_TAINT = "node.kubernetes.io/not-ready"

_HEALTHY = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID"),
)
_READY = ("Ready", "True", "KubeletReady")
_NOT_READY = ("Ready", "False", "KubeletNotReady")


def node_manifest(
    group: NodeGroup,
    number: int,
    *,
    address: str,
    kubelet_version: str,
    boot_id: str,
    behaviour: str,
) -> dict[str, Any]:
    """A Node of a group as its kubelet registers it, Ready from the start."""
    name = group.name(number)
    resources = {"cpu": group.cpu, "memory": group.memory, "pods": str(group.max_pods)}
    return {
        "apiVersion": NODES.api_version,
        "kind": NODES.kind,
        "metadata": {
            "name": name,
            "labels": _labels(group, number, name),
            "annotations": {BEHAVIOUR_ANNOTATION: behaviour, ATTACH_ANNOTATION: "true"},
        },
        "spec": {
            "taints": [_taint(taint.key, taint.value, taint.effect) for taint in group.taints]
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": boot_id,
                "containerRuntimeVersion": group.container_runtime_version,
                "kernelVersion": group.kernel_version,
                "kubeProxyVersion": "",
                "kubeletVersion": kubelet_version,
                "machineID": name,
                "operatingSystem": "linux",
                "osImage": group.os_image,
                "systemUUID": name,
            },
            **_conditions(None, _READY),
        },
    }


def _labels(group: NodeGroup, number: int, name: str) -> dict[str, str]:
    return {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        ZONE_LABEL: f"zone-{(number - 1) % group.zones + 1}",
        **{f"{ROLE_LABEL_PREFIX}{role}": "" for role in group.roles},
        **group.labels,
    }


def _taint(key: str, value: str, effect: str) -> dict[str, str]:
    return {"key": key, "value": value, "effect": effect}


def ready_report(node: Node) -> dict[str, Any]:
    """The status patch of a kubelet that works."""
    return {"status": _conditions(node, _READY)}


def boot_report(node: Node, boot: Boot) -> dict[str, Any]:
    """The first status patch after a reboot; it is the same however often it is made."""
    found = {"bootID": boot.boot_id, "kernelVersion": boot.kernel_version, "osImage": boot.os_image}
    changed = {key: value for key, value in found.items() if value is not None}
    ready = _NOT_READY if boot.mark_not_ready else _READY
    return {"status": {"nodeInfo": changed, **_conditions(node, ready)}}


def _conditions(node: Node | None, ready: tuple[str, str, str]) -> dict[str, Any]:
    now = datetime.now(UTC)
    known = node.status.conditions if node else ()
    written: list[dict[str, str]] = []
    for type_, status, reason in (*_HEALTHY, ready):
        before = condition(known, type_)
        lasts = before is not None and before.status == status
        since = before.last_transition_time if before is not None and lasts else None
        written.append(
            {
                "type": type_,
                "status": status,
                "reason": reason,
                "message": "as a hollow kubelet sees it",
                "lastHeartbeatTime": timestamp(now),
                "lastTransitionTime": timestamp(since or now),
            }
        )
    return {"conditions": written}


def lease_manifest(node: Node, *, duration_seconds: int) -> dict[str, Any]:
    """The lease that a node's kubelet renews; it goes with the node."""
    owner = {"apiVersion": "v1", "kind": NODES.kind, "name": node.name, "uid": node.uid}
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {
            "name": node.name,
            "namespace": LEASE_NAMESPACE,
            "ownerReferences": [owner],
        },
        "spec": {
            "holderIdentity": node.name,
            "leaseDurationSeconds": duration_seconds,
            **lease_renewal()["spec"],
        },
    }


def lease_renewal() -> dict[str, Any]:
    """The patch that renews a lease."""
    return {"spec": {"renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}


def timestamp(moment: datetime) -> str:
    """A time as API objects carry it, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
