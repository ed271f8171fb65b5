"""Kinds whose versions differ little or not at all, and those that have no successor."""

from shipkeeper.backup.convert.step import Step, Steps, renamed
from shipkeeper.backup.manifest import Manifest, parts

_POLICY = "policy"
_RBAC = "rbac.authorization.k8s.io"
_STORAGE = "storage.k8s.io"
_HOSTNAME = "kubernetes.io/hostname"
_ZONE = "topology.kubernetes.io/zone"

# Source: policy.NonV1beta1MatchNoneSelector in pkg/apis/policy/v1beta1/conversion.go.
_NO_POD = {
    "matchExpressions": [
        {"key": "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match", "operator": "Exists"}
    ]
}


def _budget(manifest: Manifest) -> None:
    """An empty selector means no pod in v1beta1, and every pod of the namespace in v1."""
    selector = manifest["spec"].get("selector")
    if selector is not None and not any(selector.values()):
        manifest["spec"]["selector"] = _NO_POD


def _endpoint_slice(manifest: Manifest) -> None:
    # Source: pkg/apis/discovery/v1beta1/conversion.go.
    for endpoint in parts(manifest, "endpoints"):
        topology: dict[str, str] = endpoint.pop("topology", None) or {}
        if node := topology.pop(_HOSTNAME, None):
            endpoint.setdefault("nodeName", node)
        if zone := topology.pop(_ZONE, None):
            endpoint["zone"] = zone
        if topology:
            endpoint["deprecatedTopology"] = topology


def _runtime_class(manifest: Manifest) -> None:
    spec = manifest.pop("spec")
    manifest["handler"] = spec["runtimeHandler"]
    manifest |= {key: spec[key] for key in ("overhead", "scheduling") if key in spec}


def _binding(manifest: Manifest) -> None:
    """v1alpha1 told a subject's group in its apiVersion, and `*` for everybody."""
    for subject in parts(manifest, "subjects"):
        group = subject.pop("apiVersion", "v1").rpartition("/")[0]
        if subject["kind"] in ("User", "Group"):
            group = _RBAC
        if group:
            subject["apiGroup"] = group
        if subject["kind"] == "User" and subject["name"] == "*":
            subject |= {"kind": "Group", "name": "system:authenticated"}


OTHERS: Steps = {
    (f"{_POLICY}/v1beta1", "PodDisruptionBudget"): Step(f"{_POLICY}/v1", _budget),
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): Step("discovery.k8s.io/v1", _endpoint_slice),
    ("node.k8s.io/v1alpha1", "RuntimeClass"): Step("node.k8s.io/v1", _runtime_class),
    ("node.k8s.io/v1beta1", "RuntimeClass"): Step("node.k8s.io/v1"),
    **renamed(_RBAC, ("v1alpha1", "v1beta1"), "v1", "Role", "ClusterRole"),
    **renamed(_RBAC, ("v1beta1",), "v1", "RoleBinding", "ClusterRoleBinding"),
    (f"{_RBAC}/v1alpha1", "RoleBinding"): Step(f"{_RBAC}/v1", _binding),
    (f"{_RBAC}/v1alpha1", "ClusterRoleBinding"): Step(f"{_RBAC}/v1", _binding),
    **renamed("scheduling.k8s.io", ("v1alpha1", "v1beta1"), "v1", "PriorityClass"),
    **renamed(
        _STORAGE,
        ("v1alpha1", "v1beta1"),
        "v1",
        "StorageClass",
        "CSIDriver",
        "CSINode",
        "VolumeAttachment",
        "CSIStorageCapacity",
        "VolumeAttributesClass",
    ),
    **renamed("coordination.k8s.io", ("v1beta1",), "v1", "Lease"),
    **renamed("apiregistration.k8s.io", ("v1beta1",), "v1", "APIService"),
    **renamed("certificates.k8s.io", ("v1alpha1", "v1beta1"), "v1", "ClusterTrustBundle"),
    **renamed("storagemigration.k8s.io", ("v1beta1",), "v1", "StorageVersionMigration"),
    ("events.k8s.io/v1beta1", "Event"): Step("events.k8s.io/v1"),
}

_PSP = (
    "was removed in 1.25 without a successor: "
    "label namespaces for Pod Security admission, or use an admission policy"
)
GONE: dict[tuple[str, str], str] = {
    ("policy/v1beta1", "PodSecurityPolicy"): _PSP,
    ("extensions/v1beta1", "PodSecurityPolicy"): _PSP,
    ("settings.k8s.io/v1alpha1", "PodPreset"): "was removed in 1.20 without a successor",
    (
        "auditregistration.k8s.io/v1alpha1",
        "AuditSink",
    ): "was removed in 1.19: configure the webhook backend of the API server's audit log",
    (
        "networking.k8s.io/v1alpha1",
        "ClusterCIDR",
    ): "was removed in 1.29 without a successor",
}
"""Kinds that ended: what became of them, in words that follow their name."""
