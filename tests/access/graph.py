"""Nodes and what their pods lead to: the graph that the Node authorizer looks at."""

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

from tests.access.fuzz import ACCOUNTS, NAMES, NAMESPACES, NODES

_NAMES = tuple(each for each in NAMES if each)
# What volumes need besides their Secret, by type.
_SECRET_REFS: dict[str, dict[str, Any]] = {
    "cephfs": {"monitors": ["m"]},
    "flexVolume": {"driver": "example.com/flex"},
    "iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:it", "lun": 0},
    "rbd": {"monitors": ["m"], "image": "i"},
    "scaleIO": {"gateway": "g", "system": "s", "volumeName": "v"},
}
_CSI_SECRETS = (
    *("controllerExpandSecretRef", "controllerPublishSecretRef"),
    *("nodePublishSecretRef", "nodeStageSecretRef"),
)


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


def random_objects(lot: random.Random, *, has_claims: bool) -> list[dict[str, Any]]:
    """More of the same at random: pods that run, wait or have ended, and all sorts of volumes."""
    made: list[dict[str, Any]] = [
        _object("v1", "ServiceAccount", name, namespace)
        for namespace, name in product(NAMESPACES, ACCOUNTS[1:])
    ]
    for namespace, name in product(NAMESPACES, _NAMES):
        if lot.random() < 0.4:
            made.append(_random_pod(lot, namespace, name, has_claims=has_claims))
    made += [_random_volume(lot, name) for name in _NAMES if lot.random() < 0.5]
    for name in _NAMES[1:]:
        source = {"persistentVolumeName": _one(lot)}
        spec = {"attacher": "example.com", "nodeName": lot.choice(NODES), "source": source}
        attachment = _object("storage.k8s.io/v1", "VolumeAttachment", name)
        made.append({**attachment, "spec": spec})
        if has_claims:
            made.append(_random_slice(lot, name))
    return made


def _random_pod(
    lot: random.Random, namespace: str, name: str, *, has_claims: bool
) -> dict[str, Any]:
    sorts = [*_SECRET_REFS, "azureFile", "csi", "secret", "configMap", "projected", "claim"]
    if has_claims:
        sorts.append("ephemeral")
    image = "registry.k8s.io/pause:3.9"
    first = {"name": "first", "image": image, "envFrom": [{"secretRef": {"name": _one(lot)}}]}
    key = {"configMapKeyRef": {"name": _one(lot), "key": "k"}}
    main = {"name": "main", "image": image, "env": [{"name": "K", "valueFrom": key}]}
    spec: dict[str, Any] = {
        "containers": [main],
        "serviceAccountName": lot.choice(ACCOUNTS),
        "automountServiceAccountToken": False,
        "tolerations": [{"operator": "Exists"}],
        # A claim that is not there keeps the scheduler away from what shall wait.
        "volumes": [
            {"name": "kept", "persistentVolumeClaim": {"claimName": _one(lot)}},
            *(_source(lot, sort) for sort in lot.sample(sorts, lot.randrange(3))),
        ],
    }
    if lot.random() < 0.3:
        spec["initContainers"] = [first]
    if lot.random() < 0.3:
        spec["imagePullSecrets"] = [{"name": _one(lot)}]
    if has_claims and lot.random() < 0.3:
        spec["resourceClaims"] = [{"name": "dra", "resourceClaimName": _one(lot)}]
    node = lot.choice((*NODES, *NODES, ""))
    if node:
        spec["nodeName"] = node
    return {**_object("v1", "Pod", name, namespace), "spec": spec}


def _source(lot: random.Random, sort: str) -> dict[str, Any]:
    """A pod's volume, called by its sort."""
    name = _one(lot)
    match sort:
        case "secret":
            source: dict[str, Any] = {"secret": {"secretName": name}}
        case "configMap":
            source = {"configMap": {"name": name}}
        case "projected":
            two = [{"secret": {"name": name}}, {"configMap": {"name": _one(lot)}}]
            source = {"projected": {"sources": two}}
        case "claim":
            source = {"persistentVolumeClaim": {"claimName": name}}
        case "ephemeral":
            wanted = {"accessModes": ["ReadWriteOnce"], "resources": _SIZE}
            source = {"ephemeral": {"volumeClaimTemplate": {"spec": wanted}}}
        case "csi":
            driver = {"driver": "example.com", "nodePublishSecretRef": {"name": name}}
            source = {"csi": driver}
        case "azureFile":
            source = {"azureFile": {"secretName": name, "shareName": "s"}}
        case _:
            source = {sort: {**_SECRET_REFS[sort], "secretRef": {"name": name}}}
    return {"name": sort.lower(), **source}


_SIZE = {"requests": {"storage": "1Gi"}}


def _random_volume(lot: random.Random, name: str) -> dict[str, Any]:
    """A PersistentVolume, whose Secrets may be of any namespace or, unsaid, of its claim's."""
    spec: dict[str, Any] = {"capacity": _SIZE["requests"], "accessModes": ["ReadWriteOnce"]}
    if lot.random() < 0.9:
        spec["claimRef"] = {"namespace": lot.choice(NAMESPACES), "name": _one(lot)}
    sort = lot.choice((*_SECRET_REFS, "azureFile", "csi", "csi"))
    match sort:
        case "csi":
            which = lot.sample(_CSI_SECRETS, lot.randint(1, 2))
            secrets = {each: _reference(lot, is_named=True) for each in which}
            source = {"driver": "example.com", "volumeHandle": name, **secrets}
        case "azureFile":
            source = {"shareName": "s", "secretName": _one(lot)}
            if lot.random() < 0.5:
                source["secretNamespace"] = lot.choice(NAMESPACES)
        case _:
            reference = _reference(lot, is_named=lot.random() < 0.5)
            source = {**_SECRET_REFS[sort], "secretRef": reference}
    return {**_object("v1", "PersistentVolume", name), "spec": {**spec, sort: source}}


def _reference(lot: random.Random, *, is_named: bool) -> dict[str, Any]:
    where = {"namespace": lot.choice(NAMESPACES)} if is_named else {}
    return {"name": _one(lot), **where}


def _random_slice(lot: random.Random, name: str) -> dict[str, Any]:
    pool = {"name": name, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "dra.example.com", "nodeName": lot.choice(NODES), "pool": pool}
    slice_ = _object("resource.k8s.io/v1", "ResourceSlice", name)
    return {**slice_, "spec": {**spec, "devices": [{"name": "device"}]}}


def ended(objects: list[dict[str, Any]]) -> Iterator[str]:
    """The paths of every other pod of a node's: they end, and stay in the graph until deleted."""
    for number, each in enumerate(objects):
        if each["kind"] == "Pod" and "nodeName" in each["spec"] and number % 2:
            metadata = each["metadata"]
            yield f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"


def _object(api: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata}


def _one(lot: random.Random) -> str:
    return lot.choice(_NAMES)
