"""Small kinds to write and watch in tests."""

from typing import Any

from shipkeeper.kube.resources import Resource
from shipkeeper.model.meta import KubeObject


class ConfigMap(KubeObject, frozen=True, kw_only=True):
    data: dict[str, str] = {}


class Secret(KubeObject, frozen=True, kw_only=True):
    data: dict[str, str] = {}
    immutable: bool = False


CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", ConfigMap)
SECRETS = Resource("", "v1", "secrets", "Secret", Secret)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", KubeObject, namespaced=False)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", KubeObject)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role", KubeObject)
ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", KubeObject
)

CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io",
    "v1",
    "clusterrolebindings",
    "ClusterRoleBinding",
    KubeObject,
    namespaced=False,
)

# The control plane keeps objects of its own in every namespace; the tests' own carry this label.
LABELS = {"owner": "test"}
MINE = "owner=test"


def config_map(name: str, **data: str) -> dict[str, Any]:
    """A manifest with the label of the tests' own objects."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": LABELS},
        "data": data,
    }
