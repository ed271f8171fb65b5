"""What pods and volumes use of features that end with a minor version; pure."""

import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from shipkeeper.upgrade.check.evidence import PodTrait
from shipkeeper.upgrade.check.uses import target_of

_PLUGINS = ("flocker", "quobyte", "storageos", "glusterfs", "cephfs", "rbd", "gitRepo")
_SECCOMP = "seccomp.security.alpha.kubernetes.io/"
_MASTER = "node-role.kubernetes.io/master"
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
# Most objects have none of them: one look at their bytes is enough.
_HINT = re.compile(
    rf'"(?:{"|".join(_PLUGINS)})":|{re.escape(_SECCOMP)}|{re.escape(_MASTER)}'.encode()
)
# Where the pod's template is, by kind; a Pod is its own.
_TEMPLATES = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys(
        ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job"),
        ("spec", "template"),
    ),
}
# Custom resources may have the same names, and anything in them.
_GROUPS = {
    **dict.fromkeys(("Pod", "ReplicationController", "PersistentVolume"), ""),
    **dict.fromkeys(("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"), "apps"),
    **dict.fromkeys(("CronJob", "Job"), "batch"),
}


def traits_of(body: bytes | memoryview, api_version: str, kind: str) -> Iterator[PodTrait]:
    """The traits of an object, if it is a pod, makes pods or is a volume; its owner tells of it."""
    group = api_version.rpartition("/")[0]
    if _GROUPS.get(kind) != group or not _HINT.search(body):
        return
    found: dict[str, Any] = msgspec.json.decode(body)
    metadata = found["metadata"]
    if any(each.get("controller") for each in metadata.get("ownerReferences", ())):
        return
    target = target_of(kind, metadata.get("namespace", ""), metadata["name"])
    if kind == "PersistentVolume":
        spec = found.get("spec", {})
        for plugin in set(_PLUGINS).intersection(spec):
            yield PodTrait(target=target, trait=plugin, where=f"spec.{plugin}")
    else:
        template = _at(found, _TEMPLATES[kind])
        yield from _of_template(template, target)
        spec = template.get("spec", {})
        if where := _wants_master(spec):
            yield PodTrait(target=target, trait="master-label", where=where)
        if kind == "DaemonSet" and _tolerates_master_alone(spec):
            where = f"it tolerates {_MASTER}, and not {_CONTROL_PLANE}"
            yield PodTrait(target=target, trait="master-taint", where=where)


def _wants_master(spec: dict[str, Any]) -> str:
    """Where a pod asks for nodes by the old label alone; empty if it does not."""
    if _MASTER in (spec.get("nodeSelector") or {}):
        return f"nodeSelector {_MASTER}"
    required = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    # One of the terms is enough for a node.
    terms = cast("list[dict[str, Any]]", _at(spec, required).get("nodeSelectorTerms") or [])
    if terms and all(map(_asks_for_master, terms)):
        return f"node affinity to {_MASTER}"
    return ""


def _asks_for_master(term: dict[str, Any]) -> bool:
    wanted = cast("list[dict[str, Any]]", term.get("matchExpressions") or [])
    return any(each["key"] == _MASTER and each["operator"] in ("In", "Exists") for each in wanted)


def _tolerates_master_alone(spec: dict[str, Any]) -> bool:
    tolerations = cast("list[dict[str, Any]]", spec.get("tolerations") or [])
    keys = {each.get("key", "") for each in tolerations if each.get("effect") != "NoExecute"}
    return _MASTER in keys and not {"", _CONTROL_PLANE} & keys


def _of_template(template: dict[str, Any], target: str) -> Iterator[PodTrait]:
    for volume in template.get("spec", {}).get("volumes") or ():
        for plugin in set(_PLUGINS).intersection(volume):
            where = f"volume {volume.get('name')} is of {plugin}"
            yield PodTrait(target=target, trait=plugin, where=where)
    annotations = cast("dict[str, str]", template.get("metadata", {}).get("annotations") or {})
    for name in annotations:
        if name.startswith(_SECCOMP) and not _has_profile(template):
            yield PodTrait(target=target, trait="seccomp-annotation", where=f"annotation {name}")
            return


def _has_profile(template: dict[str, Any]) -> bool:
    """Whether the fields that took the annotations' place are there: then these do nothing."""
    spec = template.get("spec", {})
    holders = (spec, *spec.get("containers", ()))
    return any("seccompProfile" in (each.get("securityContext") or {}) for each in holders)


def _at(value: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for key in path:
        value = value.get(key) or {}
    return value
