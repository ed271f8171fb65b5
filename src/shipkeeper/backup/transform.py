"""From an object of a backup to the one that is to be in the target. Pure."""

import copy
from collections.abc import Iterator, Mapping, Set
from typing import Any

from shipkeeper.backup.convert.chain import convert
from shipkeeper.backup.json_patch import apply_patch
from shipkeeper.backup.kinds import GroupKind, Kind, Served
from shipkeeper.backup.manifest import Manifest, part, parts
from shipkeeper.backup.restore_options import ObjectPatch, RestoreOptions
from shipkeeper.backup.selection import is_named
from shipkeeper.backup.strip import is_provisioned, strip

REPLICAS_ANNOTATION = "shipkeeper.dev/replicas"
"""How many replicas a workload had that was restored without any."""
SUSPENDED_ANNOTATION = "shipkeeper.dev/suspended"
"""On what was restored suspended and had not been."""

_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_NAME_LABEL = "kubernetes.io/metadata.name"
_TEMPLATES: dict[GroupKind, tuple[str, ...]] = {
    ("", "Pod"): (),
    ("", "PodTemplate"): ("template",),
    ("", "ReplicationController"): ("spec", "template"),
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}
_REFERENCES: dict[GroupKind, tuple[str, ...]] = {
    ("apiregistration.k8s.io", "APIService"): ("spec", "service"),
    ("", "PersistentVolume"): ("spec", "claimRef"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        "spec",
        "conversion",
        "webhook",
        "clientConfig",
        "service",
    ),
    ("snapshot.storage.k8s.io", "VolumeSnapshotContent"): ("spec", "volumeSnapshotRef"),
    ("networking.k8s.io", "IngressClass"): ("spec", "parameters"),
}
_SCALABLE = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("", "ReplicationController"),
    }
)
_SUSPENDABLE = frozenset({("batch", "Job"), ("batch", "CronJob")})


def transform(
    manifest: Manifest,
    served: Served,
    options: RestoreOptions,
    kept_volumes: Set[str] = frozenset(),
) -> tuple[Kind, Manifest]:
    """The object as it is to be created, and the kind it is created as.

    Its ownerReferences still carry the old UIDs. `kept_volumes` are the PersistentVolumes that
    come back themselves, so that their claims stay bound to them. UnconvertibleError when the
    target serves no version of it; UsageError when a patch does not fit.
    """
    converted = convert(manifest, served)
    kind, group = converted.kind, converted.kind.group
    found = strip(converted.manifest, group)
    if kind.group_kind == ("", "PersistentVolumeClaim"):
        _keep_volume(found, converted.manifest, kept_volumes)
    if options.namespaces or options.storage_classes or options.images or options.scaled_to_zero:
        found = copy.deepcopy(found)
        _map_namespaces(found, kind, options.namespaces)
        _map_classes(found, kind, options.storage_classes)
        _map_images(found, kind, options.images)
        if options.scaled_to_zero:
            _scale_to_zero(found, kind)
    return kind, _patched(found, kind, options.patches)


def _keep_volume(stripped: Manifest, claim: Manifest, kept_volumes: Set[str]) -> None:
    volume = claim["spec"].get("volumeName")
    if volume in kept_volumes and is_provisioned(claim):
        stripped["spec"]["volumeName"] = volume


def _map_namespaces(manifest: Manifest, kind: Kind, names: Mapping[str, str]) -> None:
    if not names:
        return
    metadata = manifest["metadata"]
    if kind.group_kind == ("", "Namespace"):
        metadata["name"] = names.get(metadata["name"], metadata["name"])
        if _NAME_LABEL in part(metadata, "labels"):
            metadata["labels"][_NAME_LABEL] = metadata["name"]
        return
    for place in _places_of_namespaces(manifest, kind):
        if place.get("namespace") in names:
            place["namespace"] = names[place["namespace"]]


def _places_of_namespaces(manifest: Manifest, kind: Kind) -> Iterator[dict[str, Any]]:
    """Every map of an object that names a namespace; of custom resources, their own only."""
    yield manifest["metadata"]
    if (path := _REFERENCES.get(kind.group_kind)) is not None:
        yield part(manifest, *path)
    match kind.group_kind:
        case ("rbac.authorization.k8s.io", _):
            yield from parts(manifest, "subjects")
        case ("admissionregistration.k8s.io", _):
            for webhook in parts(manifest, "webhooks"):
                yield part(webhook, "clientConfig", "service")
        case ("", "Endpoints"):
            for subset in parts(manifest, "subsets"):
                for address in (*parts(subset, "addresses"), *parts(subset, "notReadyAddresses")):
                    yield part(address, "targetRef")
        case ("discovery.k8s.io", "EndpointSlice"):
            for endpoint in parts(manifest, "endpoints"):
                yield part(endpoint, "targetRef")
        case _:
            pass


def _map_classes(manifest: Manifest, kind: Kind, classes: Mapping[str, str]) -> None:
    if not classes:
        return
    specs: list[dict[str, Any]] = []
    if kind.group_kind in (("", "PersistentVolumeClaim"), ("", "PersistentVolume")):
        specs.append(manifest["spec"])
        annotations = part(manifest, "metadata", "annotations")
        if annotations.get(_CLASS_ANNOTATION) in classes:
            annotations[_CLASS_ANNOTATION] = classes[annotations[_CLASS_ANNOTATION]]
    if kind.group_kind == ("apps", "StatefulSet"):
        specs += [part(each, "spec") for each in parts(manifest, "spec", "volumeClaimTemplates")]
    for volume in parts(_pod_spec(manifest, kind), "volumes"):
        specs.append(part(volume, "ephemeral", "volumeClaimTemplate", "spec"))
    for spec in specs:
        if spec.get("storageClassName") in classes:
            spec["storageClassName"] = classes[spec["storageClassName"]]


def _map_images(manifest: Manifest, kind: Kind, images: Mapping[str, str]) -> None:
    """The longest beginning that is mapped wins."""
    longest_first = sorted(images, key=len, reverse=True)
    spec = _pod_spec(manifest, kind)
    for container in (*parts(spec, "initContainers"), *parts(spec, "containers")):
        image = container.get("image", "")
        for beginning in longest_first:
            if image.startswith(beginning):
                container["image"] = images[beginning] + image.removeprefix(beginning)
                break


def _pod_spec(manifest: Manifest, kind: Kind) -> dict[str, Any]:
    path = _TEMPLATES.get(kind.group_kind)
    return {} if path is None else part(manifest, *path, "spec")


def _scale_to_zero(manifest: Manifest, kind: Kind) -> None:
    if kind.group_kind in _SCALABLE:
        spec = manifest["spec"]
        _annotate(manifest, REPLICAS_ANNOTATION, str(spec.get("replicas", 1)))
        spec["replicas"] = 0
    elif kind.group_kind in _SUSPENDABLE and not manifest["spec"].get("suspend"):
        _annotate(manifest, SUSPENDED_ANNOTATION, "true")
        manifest["spec"]["suspend"] = True


def _annotate(manifest: Manifest, key: str, value: str) -> None:
    metadata = manifest["metadata"]
    metadata["annotations"] = {**part(metadata, "annotations"), key: value}


def _patched(manifest: Manifest, kind: Kind, patches: tuple[ObjectPatch, ...]) -> Manifest:
    metadata = manifest["metadata"]
    for patch in patches:
        if is_named(patch.target, kind, metadata.get("namespace", ""), metadata["name"]):
            manifest = apply_patch(manifest, patch.operations)
    return manifest
