"""What pods and volumes use of features that end with a minor version; pure."""

import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from shipkeeper.upgrade.check.evidence import PodTrait
from shipkeeper.upgrade.check.uses import target_of

_PLUGINS = ("flocker", "quobyte", "storageos", "glusterfs", "cephfs", "rbd", "gitRepo")
_SECCOMP = "seccomp.security.alpha.kubernetes.io/"
# Most objects have none of them: one look at their bytes is enough.
_HINT = re.compile(rf'"(?:{"|".join(_PLUGINS)})":|{re.escape(_SECCOMP)}'.encode())
# Where the pod's template is, by kind; a Pod is its own.
_TEMPLATES = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys(
        ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job"),
        ("spec", "template"),
    ),
}
KINDS = frozenset({*_TEMPLATES, "PersistentVolume"})


def traits_of(body: bytes | memoryview, kind: str) -> Iterator[PodTrait]:
    """The traits of an object, if it is a pod, makes pods or is a volume; its owner tells of it."""
    if kind not in KINDS or not _HINT.search(body):
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
        yield from _of_template(_at(found, _TEMPLATES[kind]), target)


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
