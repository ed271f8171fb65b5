"""What a cluster and its users need to log in by the gateway. Pure."""

from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

import msgspec

NAME = "shipkeeper-login"
_PLUGIN = "client.authentication.k8s.io/v1"
_OLD_PLUGIN = "client.authentication.k8s.io/v1beta1"
_FOLDER = f"/etc/{NAME}"
_NOBODY = 65532


class Emitted(msgspec.Struct, frozen=True, kw_only=True):
    """What manifests are made of; `authority` is the PEM of who signed the certificate."""

    url: str
    review_path: str
    authority: str
    port: int
    image: str
    namespace: str
    cache: str
    client_ca: bool
    is_for_old_clients: bool = False


def webhook_config(emitted: Emitted) -> str:
    """The file of --authentication-token-webhook-config-file, and the flags beside it."""
    user: dict[str, Any] = {}
    if emitted.client_ca:
        folder = "/etc/kubernetes/pki"
        user = {
            "client-certificate": f"{folder}/{NAME}-client.crt",
            "client-key": f"{folder}/{NAME}-client.key",
        }
    config = _kubeconfig(emitted, f"{emitted.url}{emitted.review_path}", NAME, user)
    head = (
        f"# /etc/kubernetes/{NAME}.yaml on every control-plane node; kube-apiserver needs\n"
        f"#   --authentication-token-webhook-config-file=/etc/kubernetes/{NAME}.yaml\n"
        "#   --authentication-token-webhook-version=v1\n"
        "#   --authentication-token-webhook-cache-ttl=30s\n"
        f"# Who is disabled is out after {emitted.cache} (gateway) + 30s (that flag) at most.\n"
    )
    return head + _yaml(config)


def kubeconfig(emitted: Emitted, cluster: str, place: dict[str, Any]) -> str:
    """A kubeconfig whose user is whoever logs in; `place` is its cluster as kubeconfigs have it."""
    version = _OLD_PLUGIN if emitted.is_for_old_clients else _PLUGIN
    authority = b64encode(emitted.authority.encode()).decode()
    plugin: dict[str, Any] = {
        "apiVersion": version,
        "command": "shipkeeper",
        "args": [
            "login",
            f"--server={emitted.url}",
            *((f"--certificate-authority-data={authority}",) if authority else ()),
        ],
        "installHint": "shipkeeper is needed to log in: see your administrator",
    }
    if version == _PLUGIN:
        plugin["interactiveMode"] = "IfAvailable"
    context = {"cluster": cluster, "user": "directory"}
    return _yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": cluster, "cluster": place}],
            "users": [{"name": "directory", "user": {"exec": plugin}}],
            "contexts": [{"name": cluster, "context": context}],
            "current-context": cluster,
        }
    )


def deployment(emitted: Emitted) -> str:
    """Two gateways in the cluster; their files come from Secrets that you make."""
    labels = {"app.kubernetes.io/name": NAME}
    metadata = {"name": NAME, "namespace": emitted.namespace, "labels": labels}
    replicas = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod(emitted, labels)},
    }
    port = urlsplit(emitted.url).port or 443
    service = {
        "selector": labels,
        # So that limits against guessing see who guesses, and not a node.
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "ports": [{"port": port, "targetPort": emitted.port}],
    }
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": labels}}
    objects = (
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": replicas},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": budget,
        },
    )
    head = (
        f"# kubectl -n {emitted.namespace} create secret generic {NAME} --from-file=login.yaml \\\n"
        "#   and --from-file=… for each file that login.yaml names, by its bare name\n"
        "# kube-apiserver is outside of the cluster's network: give it a way to the gateway.\n"
        "# Keep another way in (a client certificate) for when no gateway runs.\n"
    )
    return head + "---\n".join(_yaml(each) for each in objects)


def _pod(emitted: Emitted, labels: dict[str, str]) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": emitted.port, "scheme": "HTTPS"}}
    container = {
        "name": "gateway",
        "image": emitted.image,
        "args": ["login-gateway", f"{_FOLDER}/login.yaml"],
        "ports": [{"containerPort": emitted.port}],
        "readinessProbe": probe,
        "livenessProbe": {**probe, "periodSeconds": 20},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "files", "mountPath": _FOLDER, "readOnly": True}],
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    return {
        "automountServiceAccountToken": False,
        "priorityClassName": "system-cluster-critical",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "fsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread],
        "containers": [container],
        "volumes": [{"name": "files", "secret": {"secretName": NAME, "defaultMode": 0o440}}],
    }


def _kubeconfig(emitted: Emitted, server: str, name: str, user: dict[str, Any]) -> dict[str, Any]:
    place = {"server": server}
    if emitted.authority:
        place["certificate-authority-data"] = b64encode(emitted.authority.encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": place}],
        "users": [{"name": "api-server", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "api-server"}}],
        "current-context": name,
    }


def _yaml(value: Any) -> str:
    return msgspec.yaml.encode(value).decode()
