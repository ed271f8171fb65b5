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
    found = {each.get("name", "") for each in _many(spec, "imagePullSecrets")}
    found |= set(_from_environment(spec, "secretRef", "secretKeyRef"))
    for volume in _many(spec, "volumes"):
        found.add(_one(volume, "azureFile").get("secretName", ""))
        found.add(_one(volume, "secret").get("secretName", ""))
        found.add(_name(_one(volume, "csi"), "nodePublishSecretRef"))
        found |= {_name(_one(volume, type_), "secretRef") for type_ in _SECRET_REFS}
        found |= set(_projected(volume, "secret"))
    return found - {""}


def config_maps(spec: Spec) -> set[str]:
    """The ConfigMaps that a pod's spec names."""
    found = set(_from_environment(spec, "configMapRef", "configMapKeyRef"))
    for volume in _many(spec, "volumes"):
        found.add(_one(volume, "configMap").get("name", ""))
        found |= set(_projected(volume, "configMap"))
    return found - {""}


def volume_claims(pod: LooseObject, *, ephemeral: bool) -> set[str]:
    """The PersistentVolumeClaims of a pod; generated ones where the version has them."""
    found: set[str] = set()
    for volume in _many(pod.spec, "volumes"):
        found.add(_one(volume, "persistentVolumeClaim").get("claimName", ""))
        if ephemeral and volume.get("ephemeral") is not None:
            found.add(f"{pod.name}-{volume['name']}")
    return found - {""}


def resource_claims(pod: LooseObject) -> set[str]:
    """The ResourceClaims of a pod, named by it or made for it."""
    made = {
        each["name"]: each.get("resourceClaimName") or ""
        for each in _many(pod.status, "resourceClaimStatuses")
    }
    found: set[str] = set()
    for claim in _many(pod.spec, "resourceClaims"):
        named = claim.get("resourceClaimName") or ""
        from_template = claim.get("resourceClaimTemplateName")
        found.add(named or (made.get(claim["name"], "") if from_template else ""))
    found.add(_one(pod.status, "extendedResourceClaimStatus").get("resourceClaimName", ""))
    return found - {""}


def volume_secrets(spec: Spec) -> set[tuple[str, str]]:
    """Namespace and name of the Secrets by which a kubelet mounts a PersistentVolume."""
    claim = _one(spec, "claimRef").get("namespace", "")
    azure = _one(spec, "azureFile")
    found = {(azure.get("secretNamespace") or claim, azure.get("secretName", ""))}
    for type_ in _VOLUME_SECRETS:
        reference = _one(_one(spec, type_), "secretRef")
        found.add((reference.get("namespace") or claim, reference.get("name", "")))
    for type_ in _VOLUME_SECRETS_AS_THEY_ARE:
        reference = _one(_one(spec, type_), "secretRef")
        found.add((reference.get("namespace", ""), reference.get("name", "")))
    for key in _CSI_SECRETS:
        reference = _one(_one(spec, "csi"), key)
        found.add((reference.get("namespace", ""), reference.get("name", "")))
    return {(namespace, name) for namespace, name in found if name}


def containers(spec: Spec) -> Iterator[Spec]:
    """Every container of a pod's spec, of whichever sort."""
    for sort in ("initContainers", "containers", "ephemeralContainers"):
        yield from _many(spec, sort)


def _from_environment(spec: Spec, whole: str, key: str) -> Iterator[str]:
    for container in containers(spec):
        for source in _many(container, "envFrom"):
            yield _name(source, whole)
        for variable in _many(container, "env"):
            yield _name(_one(variable, "valueFrom"), key)


def _projected(volume: Spec, sort: str) -> Iterator[str]:
    for source in _many(_one(volume, "projected"), "sources"):
        yield _name(source, sort)


def _name(holder: Spec, key: str) -> str:
    return _one(holder, key).get("name", "")


def _one(holder: Spec, key: str) -> Spec:
    return holder.get(key) or {}


def _many(holder: Spec, key: str) -> Iterable[Spec]:
    return holder.get(key) or ()
