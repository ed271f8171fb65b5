"""What the hollow nodes' identity may do: a kubelet's work for any node, and nothing else."""

from typing import Any

from shipkeeper.sandbox import names
from shipkeeper.sandbox.endpoint import Endpoint
from shipkeeper.sandbox.errors import SandboxError

_GROUP = "rbac.authorization.k8s.io"
_NAME = "shipkeeper:hollow-nodes"
_USER = names.IDENTITIES[names.HOLLOW_NODES][0]

_RULES = (
    ("", ["nodes"], ["create", "delete", "get", "list", "patch", "update", "watch"]),
    ("", ["nodes/status"], ["patch", "update"]),
    ("", ["pods"], ["delete", "get", "list", "patch", "watch"]),
    ("", ["pods/status"], ["patch", "update"]),
    ("", ["events"], ["create", "patch"]),
    ("coordination.k8s.io", ["leases"], ["create", "delete", "get", "list", "patch", "update"]),
)


def grant_hollow_nodes(api: Endpoint) -> None:
    """Create or repair the role of the hollow nodes and its binding."""
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": verbs}
        for group, resources, verbs in _RULES
    ]
    _apply(api, "ClusterRole", {"rules": rules})
    _apply(
        api,
        "ClusterRoleBinding",
        {
            "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": _NAME},
            "subjects": [{"apiGroup": _GROUP, "kind": "User", "name": _USER}],
        },
    )


def _apply(api: Endpoint, kind: str, content: dict[str, Any]) -> None:
    head = {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": {"name": _NAME}}
    answer = api.apply(f"/apis/{_GROUP}/v1/{kind.lower()}s/{_NAME}", head | content)
    if not answer.is_success:
        raise SandboxError(
            f"the API server refused the {kind} {_NAME}: {answer.body.decode()}",
            reason="GrantRefused",
            hint="read the log of kube-apiserver in the sandbox's directory",
        )
