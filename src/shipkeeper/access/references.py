"""What pods and volumes refer to by name, as far as a kubelet must read it. Pure.

As k8s.io/kubernetes pkg/api/v1/pod and pkg/api/v1/persistentvolume visit it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from shipkeeper.model.loose import LooseObject

Spec = dict[str, Any]

# Volume types that name a Secret in `secretRef`.
_SECRET_REFS = ("cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos")
# The same in PersistentVolumes; where the reference names no namespace, the claim's is meant
# (save for the two for which it is then nobody's).
_VOLUME_SECRETS = ("cephfs", "flexVolume", "rbd", "scaleIO", "iscsi")
_VOLUME_SECRETS_AS_THEY_ARE = ("cinder", "storageos")
_CSI_SECRETS = ("nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef")


def secrets(spec: Spec) -> set[str]:
    """The Secrets that a pod's spec names."""
    found = {each.get("name", "") for each in many(spec, "imagePullSecrets")}
    found |= set(_from_environment(spec, "secretRef", "secretKeyRef"))
    for volume in many(spec, "volumes"):
        found.add(one(volume, "azureFile").get("secretName", ""))
        found.add(one(volume, "secret").get("secretName", ""))
        found.add(_name(one(volume, "csi"), "nodePublishSecretRef"))
        found |= {_name(one(volume, type_), "secretRef") for type_ in _SECRET_REFS}
        found |= set(_projected(volume, "secret"))
    return found - {""}


def config_maps(spec: Spec) -> set[str]:
    """The ConfigMaps that a pod's spec names."""
    found = set(_from_environment(spec, "configMapRef", "configMapKeyRef"))
    for volume in many(spec, "volumes"):
        found.add(one(volume, "configMap").get("name", ""))
        found |= set(_projected(volume, "configMap"))
    return found - {""}


def volume_claims(pod: LooseObject, *, ephemeral: bool) -> set[str]:
    """The PersistentVolumeClaims of a pod; generated ones where the version has them."""
    found: set[str] = set()
    for volume in many(pod.spec, "volumes"):
        found.add(one(volume, "persistentVolumeClaim").get("claimName", ""))
        if ephemeral and volume.get("ephemeral") is not None:
            found.add(f"{pod.name}-{volume['name']}")
    return found - {""}


def resource_claims(pod: LooseObject) -> set[str]:
    """The ResourceClaims of a pod, named by it or made for it."""
    made = {
        each["name"]: each.get("resourceClaimName") or ""
        for each in many(pod.status, "resourceClaimStatuses")
    }
    found: set[str] = set()
    for claim in many(pod.spec, "resourceClaims"):
        named = claim.get("resourceClaimName") or ""
        from_template = claim.get("resourceClaimTemplateName")
        found.add(named or (made.get(claim["name"], "") if from_template else ""))
    found.add(one(pod.status, "extendedResourceClaimStatus").get("resourceClaimName", ""))
    return found - {""}


def volume_secrets(spec: Spec) -> set[tuple[str, str]]:
    """Namespace and name of the Secrets by which a kubelet mounts a PersistentVolume."""
    claim = one(spec, "claimRef").get("namespace", "")
    azure = one(spec, "azureFile")
    found = {(azure.get("secretNamespace") or claim, azure.get("secretName", ""))}
    for type_ in _VOLUME_SECRETS:
        reference = one(one(spec, type_), "secretRef")
        found.add((reference.get("namespace") or claim, reference.get("name", "")))
    for type_ in _VOLUME_SECRETS_AS_THEY_ARE:
        reference = one(one(spec, type_), "secretRef")
        found.add((reference.get("namespace", ""), reference.get("name", "")))
    for key in _CSI_SECRETS:
        reference = one(one(spec, "csi"), key)
        found.add((reference.get("namespace", ""), reference.get("name", "")))
    return {(namespace, name) for namespace, name in found if name}


def containers(spec: Spec) -> Iterator[Spec]:
    """Every container of a pod's spec, of whichever sort."""
    for sort in ("initContainers", "containers", "ephemeralContainers"):
        yield from many(spec, sort)


def _from_environment(spec: Spec, whole: str, key: str) -> Iterator[str]:
    for container in containers(spec):
        for source in many(container, "envFrom"):
            yield _name(source, whole)
        for variable in many(container, "env"):
            yield _name(one(variable, "valueFrom"), key)


def _projected(volume: Spec, sort: str) -> Iterator[str]:
    for source in many(one(volume, "projected"), "sources"):
        yield _name(source, sort)


def _name(holder: Spec, key: str) -> str:
    return one(holder, key).get("name", "")


def one(holder: Spec, key: str) -> Spec:
    """A part of an object; an empty one if it is not there."""
    return holder.get(key) or {}


def many(holder: Spec, key: str) -> Iterable[Spec]:
    """The parts of an object under a key; none if it is not there."""
    return holder.get(key) or ()
