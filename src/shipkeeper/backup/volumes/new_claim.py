"""A claim of its own for files that were brought back beside a volume. Pure."""

from collections.abc import Mapping
from typing import Any

from shipkeeper.backup.manifest import Manifest, part
from shipkeeper.backup.volumes.programs import Root

_HOSTNAME = "kubernetes.io/hostname"


def new_claim(
    claim: Manifest,
    name: str,
    namespace: str,
    node: tuple[str, Mapping[str, str]],
    root: Root,
    classes: Mapping[str, str],
) -> tuple[Manifest, Manifest]:
    """A local PersistentVolume at a directory of a node, and a claim like `claim` bound to it.

    `node` is its name and its labels, `classes` maps storage classes. The volume is kept when the
    claim is deleted: its files are nobody's to remove.
    """
    old = claim["spec"]
    volume = f"{namespace}-{name}"
    class_ = old.get("storageClassName", "")
    common: dict[str, Any] = {
        "accessModes": old["accessModes"],
        "storageClassName": classes.get(class_, class_),
    }
    spec = {
        **common,
        "capacity": part(old, "resources", "requests"),
        "persistentVolumeReclaimPolicy": "Retain",
        "local": {"path": root.path},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [_only(*node)]}},
        "claimRef": {"namespace": namespace, "name": name},
    }
    made = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume},
        "spec": spec,
    }
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": part(claim, "metadata", "labels"),
    }
    bound = {**common, "resources": old["resources"], "volumeName": volume}
    return made, {**claim, "metadata": metadata, "spec": bound}


def _only(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """The term of a node selector that one node alone fits."""
    host = labels.get(_HOSTNAME)
    if host is None:
        field = {"key": "metadata.name", "operator": "In", "values": [name]}
        return {"matchFields": [field]}
    return {"matchExpressions": [{"key": _HOSTNAME, "operator": "In", "values": [host]}]}
