"""What is taken off an object so that another cluster can make it again. Pure.

Nothing else is touched: empty maps and lists mean something (`podSelector: {}`, `emptyDir: {}`).
Functions return new objects and leave those that they are given as they are.
"""

import copy
import json
from collections.abc import Callable, Iterable
from typing import Any

from shipkeeper.backup.kinds import GroupKind
from shipkeeper.backup.manifest import Manifest, is_map, part, parts

_SERVER_SET = (
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
)
# How a deletion that was under way was to go on; the new object is not being deleted.
_DELETION_FINALIZERS = frozenset({"foregroundDeletion", "orphan"})
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Where `kubectl apply` keeps the manifest that it was given."""
_NOT_OF_PVC = (
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.kubernetes.io/selected-node",
)
_PROVISIONERS = (
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
)
_JOB_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
_TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105
_TOKEN_UID = "kubernetes.io/service-account.uid"  # noqa: S105
_TOKEN_DATA = ("token", "ca.crt", "namespace")


def strip(manifest: Manifest, group: str) -> Manifest:
    """An object as it can be created elsewhere; its ownerReferences are still the old ones."""
    stripped = {key: value for key, value in manifest.items() if key != "status"}
    stripped["metadata"] = _metadata(manifest["metadata"])
    special = _SPECIAL.get((group, manifest["kind"]))
    if special is None:
        return stripped
    stripped = copy.deepcopy(stripped)
    special(stripped, manifest)
    return stripped


def _metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key not in _SERVER_SET}
    if metadata.get("deletionTimestamp") and "finalizers" in kept:
        kept["finalizers"] = [f for f in kept["finalizers"] if f not in _DELETION_FINALIZERS]
    return kept


def _drop(mapping: dict[str, Any], field: str, keys: Iterable[str]) -> None:
    """Take keys out of a map of maps; a map that gets empty by that goes too."""
    inner = mapping.get(field)
    if not inner:
        return
    left = {key: value for key, value in inner.items() if key not in set(keys)}
    if len(left) == len(inner):
        return
    if left:
        mapping[field] = left
    else:
        del mapping[field]


def _service(stripped: Manifest, manifest: Manifest) -> None:
    spec = stripped["spec"]
    if spec.get("clusterIP") != "None":
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)
    if spec.get("type") == "ExternalName":
        return
    chosen = _chosen_ports(manifest)
    for port in parts(spec, "ports"):
        if "nodePort" in port and _port_key(port) not in chosen:
            del port["nodePort"]
    if "healthCheckNodePort" in spec and not _is_chosen(manifest, "healthCheckNodePort"):
        del spec["healthCheckNodePort"]


def _port_key(port: dict[str, Any]) -> tuple[int, str]:
    return (port["port"], port.get("protocol", "TCP"))


def _chosen_ports(manifest: Manifest) -> set[tuple[int, str]]:
    """The ports of a Service whose nodePort somebody asked for, by last-applied or by fields."""
    chosen = {
        _port_key(port)
        for port in parts(_last_applied(manifest), "spec", "ports")
        if port.get("nodePort")
    }
    for fields in _fields_of_managers(manifest):
        for key, inner in part(fields, "f:spec", "f:ports").items():
            if key.startswith("k:") and "f:nodePort" in inner:
                port = json.loads(key[2:])
                chosen.add((port["port"], port.get("protocol", "TCP")))
    return chosen


def _is_chosen(manifest: Manifest, field: str) -> bool:
    if part(_last_applied(manifest), "spec").get(field):
        return True
    return any(f"f:{field}" in part(each, "f:spec") for each in _fields_of_managers(manifest))


def _last_applied(manifest: Manifest) -> dict[str, Any]:
    text = part(manifest["metadata"], "annotations").get(LAST_APPLIED, "{}")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if is_map(found) else {}


def _fields_of_managers(manifest: Manifest) -> list[dict[str, Any]]:
    managed = parts(manifest["metadata"], "managedFields")
    return [part(each, "fieldsV1") for each in managed if not each.get("subresource")]


def is_provisioned(claim: Manifest) -> bool:
    """Whether a PersistentVolumeClaim's volume was made for it by a provisioner."""
    annotations = part(claim["metadata"], "annotations")
    return any(each in annotations for each in _PROVISIONERS)


def _claim(stripped: Manifest, manifest: Manifest) -> None:
    metadata, spec = stripped["metadata"], stripped["spec"]
    if is_provisioned(manifest):
        spec.pop("volumeName", None)
    _drop(metadata, "annotations", (*_NOT_OF_PVC, *_PROVISIONERS))


def _volume(stripped: Manifest, _manifest: Manifest) -> None:
    reference = stripped["spec"].get("claimRef")
    if reference:
        reference.pop("uid", None)
        reference.pop("resourceVersion", None)
    _drop(stripped["metadata"], "annotations", ("pv.kubernetes.io/bound-by-controller",))


def _job(stripped: Manifest, _manifest: Manifest) -> None:
    spec = stripped["spec"]
    if spec.get("manualSelector"):
        return
    # The server generates both anew; the labels of the template that it added must go with them.
    labels = part(spec, "selector", "matchLabels")
    spec.pop("selector", None)
    rest = {key: value for key, value in labels.items() if key not in _JOB_LABELS}
    if rest:
        spec["selector"] = {"matchLabels": rest}
    metadata = part(spec["template"], "metadata")
    _drop(metadata, "labels", _JOB_LABELS)
    _drop(stripped["metadata"], "labels", _JOB_LABELS)


def _pod(stripped: Manifest, _manifest: Manifest) -> None:
    spec = stripped["spec"]
    for field in ("nodeName", "priority"):
        spec.pop(field, None)
    if "ephemeralContainers" in spec:
        del spec["ephemeralContainers"]
    tokens = {each["name"] for each in parts(spec, "volumes") if _is_token(each, spec)}
    if not tokens:
        return
    spec["volumes"] = [each for each in spec["volumes"] if each["name"] not in tokens]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        if "volumeMounts" in container:
            container["volumeMounts"] = [
                each for each in container["volumeMounts"] if each["name"] not in tokens
            ]


def _is_token(volume: dict[str, Any], spec: dict[str, Any]) -> bool:
    """Whether the admission of ServiceAccounts added a volume: a Secret of old, or a projection."""
    account = spec.get("serviceAccountName") or "default"
    name = volume["name"]
    return (name.startswith(f"{account}-token-") and "secret" in volume) or (
        name.startswith("kube-api-access-") and "projected" in volume
    )


def _service_account(stripped: Manifest, _manifest: Manifest) -> None:
    secrets = stripped.get("secrets")
    if secrets is None:
        return
    generated = f"{stripped['metadata']['name']}-token-"
    kept = [each for each in secrets if not each.get("name", "").startswith(generated)]
    if kept:
        stripped["secrets"] = kept
    else:
        del stripped["secrets"]


def _secret(stripped: Manifest, manifest: Manifest) -> None:
    if manifest.get("type") != "kubernetes.io/service-account-token":
        return
    # With the old account's UID the token controller would delete it; the token itself is void.
    _drop(stripped["metadata"], "annotations", (_TOKEN_UID,))
    _drop(stripped["metadata"], "labels", ("kubernetes.io/legacy-token-last-used",))
    _drop(stripped, "data", _TOKEN_DATA)


def _definition(stripped: Manifest, _manifest: Manifest) -> None:
    """v1 takes no definition that preserves unknown fields as a whole; each schema can say so."""
    spec = stripped["spec"]
    if not spec.pop("preserveUnknownFields", False):
        return
    for version in spec["versions"]:
        schema = version.setdefault("schema", {}).setdefault("openAPIV3Schema", {"type": "object"})
        schema["x-kubernetes-preserve-unknown-fields"] = True


def _namespace(stripped: Manifest, _manifest: Manifest) -> None:
    _drop(stripped, "spec", ("finalizers",))


def _cluster_role(stripped: Manifest, _manifest: Manifest) -> None:
    if stripped.get("aggregationRule"):
        # The controller gathers them from the roles that it selects.
        stripped["rules"] = None


_SPECIAL: dict[GroupKind, Callable[[Manifest, Manifest], None]] = {
    ("", "Service"): _service,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "PersistentVolume"): _volume,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
    ("", "ServiceAccount"): _service_account,
    ("", "Secret"): _secret,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("", "Namespace"): _namespace,
    ("rbac.authorization.k8s.io", "ClusterRole"): _cluster_role,
}
