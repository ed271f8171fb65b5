"""What is never restored, and why: things that the cluster makes again by itself. Pure."""

from collections.abc import Iterable, Set
from typing import Any

import msgspec

from shipkeeper.backup.kinds import GroupKind
from shipkeeper.backup.manifest import Manifest, part, parts
from shipkeeper.backup.volumes.record import BACKUP_LABEL

_NODES = "belongs to a node of the old cluster; kubelets and their controllers make it again"
_ONCE = "asks the operator for something once, and would be done again"
_REPORTS = "is told by the node's own drivers"
# Source: facts of the field, Velero's pkg/restore nonRestorableResources, and what each kind is.
_KINDS: dict[GroupKind, str] = {
    ("", "Node"): "a kubelet registers its own node",
    ("", "Event"): "tells of the past of other objects",
    ("events.k8s.io", "Event"): "tells of the past of other objects",
    ("", "ComponentStatus"): "is no stored object",
    ("coordination.k8s.io", "Lease"): "its holder renews it or is gone",
    ("coordination.k8s.io", "LeaseCandidate"): "its holder renews it or is gone",
    ("storage.k8s.io", "CSINode"): _NODES,
    ("storage.k8s.io", "VolumeAttachment"): _NODES,
    ("storage.k8s.io", "CSIStorageCapacity"): _REPORTS,
    ("resource.k8s.io", "ResourceSlice"): _REPORTS,
    ("resource.k8s.io", "ResourcePoolStatusRequest"): "is a question that was answered",
    ("networking.k8s.io", "IPAddress"): "the API server makes it for each cluster IP",
    ("certificates.k8s.io", "CertificateSigningRequest"): "a request of the old cluster's clients",
    ("certificates.k8s.io", "PodCertificateRequest"): "a request of the old cluster's kubelets",
    ("internal.apiserver.k8s.io", "StorageVersion"): "API servers tell it of themselves",
    ("shipkeeper.dev", "Backup"): _ONCE,
    ("shipkeeper.dev", "ClusterUpgrade"): _ONCE,
    ("shipkeeper.dev", "NodeMaintenance"): _ONCE,
    ("shipkeeper.dev", "Restore"): _ONCE,
    ("metrics.k8s.io", "NodeMetrics"): "is measured, not stored",
    ("metrics.k8s.io", "PodMetrics"): "is measured, not stored",
}
OF_BACKUP_LABEL = "shipkeeper.dev/backup-uid"
"""On Jobs that make a Backup of the operator's, and on their pods: its UID."""
OF_RESTORE_LABEL = "shipkeeper.dev/restore-uid"
"""On Jobs that carry a Restore of the operator's out, and on their pods: its UID."""
_FINISHED = frozenset({"Succeeded", "Failed"})
_MIRROR = "kubernetes.io/config.mirror"
_SLICE_MAKER = "endpointslice.kubernetes.io/managed-by"
_SLICE_CONTROLLERS = frozenset(
    {"endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"}
)
_JOURNAL = "shipkeeper.dev/journal"
_TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What of the rest of the backup decides on an object; all are `namespace/name`.

    `selecting_services` have a selector, so that a controller keeps their Endpoints;
    `listed_tokens` are the token Secrets that a ServiceAccount lists as generated for it;
    `kept_volumes` the PersistentVolumes, by their bare names, that are restored themselves.
    """

    selecting_services: Set[str] = frozenset()
    listed_tokens: Set[str] = frozenset()
    kept_volumes: Set[str] = frozenset()


NOTHING_AROUND = Surroundings()


def why_never(manifest: Manifest, group: str, around: Surroundings = NOTHING_AROUND) -> str:
    """Why an object is never restored, in words that follow its name; empty if it can be."""
    kind = manifest["kind"]
    return _KINDS.get((group, kind), "") or _RULES.get((group, kind), _never)(manifest, around)


def is_kept_by_server(manifest: Manifest) -> bool:
    """Whether the API server itself creates it and keeps it as it should be."""
    metadata = manifest["metadata"]
    annotations, labels = part(metadata, "annotations"), part(metadata, "labels")
    return (
        annotations.get("rbac.authorization.kubernetes.io/autoupdate") == "true"
        or annotations.get("apf.kubernetes.io/autoupdate-spec") == "true"
        or "kube-aggregator.kubernetes.io/automanaged" in labels
    )


def _never(_manifest: Manifest, _around: Surroundings) -> str:
    return "the API server keeps it as it should be" if is_kept_by_server(_manifest) else ""


def _pod(manifest: Manifest, _around: Surroundings) -> str:
    metadata = manifest["metadata"]
    if _MIRROR in part(metadata, "annotations"):
        return "mirrors a static pod; its kubelet makes it again"
    if (owner := _controller(metadata)) is not None:
        return f"its controller {owner['kind']} {owner['name']} makes it again"
    if part(manifest, "status").get("phase") in _FINISHED:
        return "has run to its end, and would run again"
    return ""


def _job(manifest: Manifest, _around: Surroundings) -> str:
    labels = part(manifest, "metadata", "labels")
    if OF_BACKUP_LABEL in labels:
        return "was made for one Backup, and would make it again"
    if OF_RESTORE_LABEL in labels:
        return "was made for one Restore, and would carry it out again"
    conditions = parts(manifest, "status", "conditions")
    ended = {each["type"] for each in conditions if each["status"] == "True"}
    if ended & {"Complete", "Failed"}:
        return "has run to its end, and would run again"
    return ""


def _endpoints(manifest: Manifest, around: Surroundings) -> str:
    metadata = manifest["metadata"]
    if _key(metadata) in around.selecting_services:
        return "the endpoints controller makes it for its Service"
    if _key(metadata) == "default/kubernetes" or _TRIGGER in part(metadata, "annotations"):
        return "a controller of the control plane makes it"
    # Leader election of old: a lock in the form of Endpoints.
    if "control-plane.alpha.kubernetes.io/leader" in part(metadata, "annotations"):
        return "its holder renews it or is gone"
    return ""


def _endpoint_slice(manifest: Manifest, _around: Surroundings) -> str:
    metadata = manifest["metadata"]
    if part(metadata, "labels").get(_SLICE_MAKER) in _SLICE_CONTROLLERS:
        return "a controller makes it for its Service"
    if _key(metadata) == "default/kubernetes":
        return "the API server makes it of itself"
    return ""


def _config_map(manifest: Manifest, _around: Surroundings) -> str:
    metadata = manifest["metadata"]
    if metadata["name"] == "kube-root-ca.crt":
        return "is published into every namespace; it holds this cluster's authority"
    if _key(metadata) == "kube-system/extension-apiserver-authentication":
        return "the API server writes it; it holds this cluster's authorities"
    if _key(metadata) == "kube-system/kube-apiserver-legacy-service-account-token-tracking":
        return "the API server writes it"
    if _JOURNAL in part(metadata, "labels"):
        return "is the journal of a run of the operator in the old cluster"
    return ""


def _secret(manifest: Manifest, around: Surroundings) -> str:
    metadata = manifest["metadata"]
    if manifest.get("type") != "kubernetes.io/service-account-token":
        return ""
    if _key(metadata) in around.listed_tokens:
        return "the token controller generates one for its ServiceAccount"
    return ""


def _service(manifest: Manifest, _around: Surroundings) -> str:
    if _key(manifest["metadata"]) == "default/kubernetes":
        return "the API server makes it"
    return ""


def _service_cidr(manifest: Manifest, _around: Surroundings) -> str:
    if manifest["metadata"]["name"] == "kubernetes":
        return "the API server makes it of its own flags"
    return ""


def _flow(manifest: Manifest, around: Surroundings) -> str:
    if manifest["metadata"]["name"] in ("exempt", "catch-all"):
        return "the API server keeps it as it should be"
    return _never(manifest, around)


def _priority_class(manifest: Manifest, _around: Surroundings) -> str:
    # Source: SystemPriorityClasses in pkg/apis/scheduling/helpers.go.
    if manifest["metadata"]["name"] in ("system-node-critical", "system-cluster-critical"):
        return "the API server makes it"
    return ""


def _volume(manifest: Manifest, _around: Surroundings) -> str:
    spec = manifest["spec"]
    provisioned = "pv.kubernetes.io/provisioned-by" in (part(manifest["metadata"], "annotations"))
    if provisioned and spec.get("persistentVolumeReclaimPolicy") == "Delete":
        return "was provisioned for its claim and goes with it; the claim gets another one"
    return ""


def _snapshot(manifest: Manifest, _around: Surroundings) -> str:
    if BACKUP_LABEL in part(manifest, "metadata", "labels"):
        return "belongs to a backup of its volume; --volumes brings that back"
    return ""


_RULES = {
    ("snapshot.storage.k8s.io", "VolumeSnapshot"): _snapshot,
    ("snapshot.storage.k8s.io", "VolumeSnapshotContent"): _snapshot,
    ("", "Pod"): _pod,
    ("batch", "Job"): _job,
    ("", "Endpoints"): _endpoints,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    ("", "ConfigMap"): _config_map,
    ("", "Secret"): _secret,
    ("", "Service"): _service,
    ("networking.k8s.io", "ServiceCIDR"): _service_cidr,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): _flow,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): _flow,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class,
    ("", "PersistentVolume"): _volume,
}


DECISIVE_KINDS = ("services", "serviceaccounts", "persistentvolumes")
"""The kinds that `surroundings` wants to see."""


def surroundings(manifests: Iterable[Manifest]) -> Surroundings:
    """Gather from Services, ServiceAccounts and volumes what decides on other objects."""
    services: set[str] = set()
    tokens: set[str] = set()
    volumes: set[str] = set()
    for manifest in manifests:
        metadata = manifest["metadata"]
        if manifest["kind"] == "Service" and manifest["spec"].get("selector"):
            services.add(_key(metadata))
        if manifest["kind"] == "ServiceAccount":
            prefix = f"{metadata['name']}-token-"
            tokens |= {
                f"{metadata['namespace']}/{each['name']}"
                for each in parts(manifest, "secrets")
                if each.get("name", "").startswith(prefix)
            }
        if manifest["kind"] == "PersistentVolume" and not _volume(manifest, NOTHING_AROUND):
            volumes.add(metadata["name"])
    return Surroundings(selecting_services=services, listed_tokens=tokens, kept_volumes=volumes)


def _controller(metadata: dict[str, Any]) -> dict[str, Any] | None:
    owners = parts(metadata, "ownerReferences")
    return next((owner for owner in owners if owner.get("controller")), None)


def _key(metadata: dict[str, Any]) -> str:
    return f"{metadata.get('namespace', '')}/{metadata['name']}"
