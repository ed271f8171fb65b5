"""Which objects lead to which node: through the pods that it runs, and their volumes. Pure.

As k8s.io/kubernetes plugin/pkg/auth/authorizer/node keeps it: what a bound pod refers to is its
node's to read until the pod is deleted; a mirror pod leads to nothing.
"""

from collections.abc import Iterable

from shipkeeper.access import references
from shipkeeper.access.policy import Policy
from shipkeeper.model.loose import LooseObject
from shipkeeper.model.pod import MIRROR_ANNOTATION

SECRET, CONFIG_MAP, VOLUME_CLAIM, VOLUME = "secret", "configmap", "pvc", "pv"
SERVICE_ACCOUNT, RESOURCE_CLAIM, POD = "serviceaccount", "resourceclaim", "pod"
ATTACHMENT, SLICE, CERTIFICATE_REQUEST = "volumeattachment", "resourceslice", "pcr"

Vertex = tuple[str, str, str]
"""Type, namespace and name of an object."""

# First minors that know generated claims, and that read ResourceSlices into the graph.
_EPHEMERAL, _SLICES, _CERTIFICATE_REQUESTS = 21, 34, 37


class NodeGraph:
    """Objects, and the nodes that they lead to."""

    def __init__(self, policy: Policy) -> None:
        self._nodes: dict[Vertex, set[str]] = {}
        self._claims_of_volumes: dict[str, Vertex] = {}
        self._volumes_of_secrets: dict[Vertex, set[str]] = {}
        minor = policy.version.minor
        for pod in policy.pods:
            self._add_pod(pod, minor)
        for volume in policy.volumes:
            self._add_volume(volume)
        self._add_named(ATTACHMENT, policy.attachments)
        if minor >= _SLICES:
            self._add_named(SLICE, policy.resource_slices)
        if minor >= _CERTIFICATE_REQUESTS:
            self._add_named(CERTIFICATE_REQUEST, policy.certificate_requests)

    def leads_to(self, node: str, type_: str, namespace: str, name: str) -> bool:
        """Whether an object is related to a node."""
        vertex = (type_, namespace, name)
        if node in self._nodes.get(vertex, ()):
            return True
        if type_ == VOLUME:
            return self._volume_leads_to(node, name)
        volumes = self._volumes_of_secrets.get(vertex, ())
        return any(self._volume_leads_to(node, volume) for volume in volumes)

    def nodes_of(self, type_: str, namespace: str, name: str) -> set[str]:
        """Every node that an object leads to."""
        found = set(self._nodes.get((type_, namespace, name), ()))
        volumes = (
            {name}
            if type_ == VOLUME
            else self._volumes_of_secrets.get((type_, namespace, name), set[str]())
        )
        for volume in volumes:
            claim = self._claims_of_volumes.get(volume)
            found |= self._nodes.get(claim, set()) if claim else set()
        return found

    def of_node(self, node: str, type_: str) -> list[tuple[str, str]]:
        """Namespace and name of the objects of a type that lead to a node."""
        vertices = {*self._nodes, *self._volumes_of_secrets}
        vertices |= {(VOLUME, "", volume) for volume in self._claims_of_volumes}
        return sorted(
            (namespace, name)
            for sort, namespace, name in vertices
            if sort == type_ and self.leads_to(node, sort, namespace, name)
        )

    def _volume_leads_to(self, node: str, volume: str) -> bool:
        claim = self._claims_of_volumes.get(volume)
        return claim is not None and node in self._nodes.get(claim, ())

    def _add(self, type_: str, namespace: str, names: Iterable[str], node: str) -> None:
        for name in names:
            self._nodes.setdefault((type_, namespace, name), set()).add(node)

    def _add_pod(self, pod: LooseObject, minor: int) -> None:
        node, where = pod.spec.get("nodeName", ""), pod.namespace
        if not node:
            return
        self._add(POD, where, (pod.name,), node)
        if MIRROR_ANNOTATION in pod.metadata.annotations:
            return
        account = pod.spec.get("serviceAccountName", "")
        self._add(SERVICE_ACCOUNT, where, (account,) if account else (), node)
        self._add(SECRET, where, references.secrets(pod.spec), node)
        self._add(CONFIG_MAP, where, references.config_maps(pod.spec), node)
        claims = references.volume_claims(pod, ephemeral=minor >= _EPHEMERAL)
        self._add(VOLUME_CLAIM, where, claims, node)
        self._add(RESOURCE_CLAIM, where, references.resource_claims(pod), node)

    def _add_volume(self, volume: LooseObject) -> None:
        claim = volume.spec.get("claimRef")
        if not claim:
            return
        vertex = (VOLUME_CLAIM, claim.get("namespace", ""), claim.get("name", ""))
        self._claims_of_volumes[volume.name] = vertex
        for namespace, name in references.volume_secrets(volume.spec):
            secret = (SECRET, namespace, name)
            self._volumes_of_secrets.setdefault(secret, set()).add(volume.name)

    def _add_named(self, type_: str, objects: Iterable[LooseObject]) -> None:
        for each in objects:
            node = each.spec.get("nodeName") or ""
            if node:
                self._add(type_, each.namespace, (each.name,), node)
