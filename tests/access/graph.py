"""Nodes and what their pods lead to: the graph that the Node authorizer looks at."""

from typing import Any

from tests.access.fuzz import NODES


def graph_objects(*, has_claims: bool) -> list[dict[str, Any]]:
    """Nodes, pods with everything that they may refer to, volumes and attachments."""
    made: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}} for node in NODES
    ]
    for namespace, node, number in (
        ("fuzz-a", NODES[0], 1),
        ("fuzz-a", NODES[1], 2),
        ("fuzz-b", NODES[0], 3),
        ("fuzz-c", "", 4),
    ):
        made.append(_pod(namespace, node, number, has_claims=has_claims))
    made += [_volume(), _attachment()]
    if has_claims:
        made.append(_slice())
    return made


def _pod(namespace: str, node: str, number: int, *, has_claims: bool) -> dict[str, Any]:
    names = {1: "one", 2: "two", 3: "token", 4: "one"}
    container: dict[str, Any] = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.9",
        "envFrom": [{"configMapRef": {"name": names[number]}}],
        "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "one", "key": "k"}}}],
    }
    projected = {"sources": [{"secret": {"name": "two"}}, {"configMap": {"name": "token"}}]}
    spec: dict[str, Any] = {
        "containers": [container],
        "serviceAccountName": "default",
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": names[number]}],
        "tolerations": [{"operator": "Exists"}],
        "volumes": [
            {"name": "claim", "persistentVolumeClaim": {"claimName": "claim"}},
            {"name": "all", "projected": projected},
            {"name": "own", "secret": {"secretName": names[number]}},
        ],
    }
    if number != 3:
        del spec["volumes"][1]
    if number == 2:
        del spec["volumes"][0]
    if has_claims and number == 1:
        spec["resourceClaims"] = [{"name": "dra", "resourceClaimName": "claim"}]
    if node:
        spec["nodeName"] = node
    name = names[number] if number != 4 else "unbound"
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _volume() -> dict[str, Any]:
    secret = {"name": "token", "namespace": "fuzz-c"}
    csi = {"driver": "example.com", "volumeHandle": "v", "nodePublishSecretRef": secret}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "claimRef": {"namespace": "fuzz-a", "name": "claim"},
        "csi": {**csi, "controllerPublishSecretRef": {"name": "two", "namespace": "fuzz-c"}},
    }
    metadata = {"name": "volume"}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def _attachment() -> dict[str, Any]:
    spec = {
        "attacher": "example.com",
        "nodeName": NODES[1],
        "source": {"persistentVolumeName": "volume"},
    }
    head = {"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment"}
    return {**head, "metadata": {"name": "one"}, "spec": spec}


def _slice() -> dict[str, Any]:
    spec = {
        "driver": "dra.example.com",
        "nodeName": NODES[0],
        "pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "device"}],
    }
    head = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice"}
    return {**head, "metadata": {"name": "one"}, "spec": spec}
