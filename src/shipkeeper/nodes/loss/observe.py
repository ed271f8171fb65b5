"""Reading what decides how a cluster would live without one of its nodes; never writes."""

import asyncio
from collections import Counter
from functools import cached_property

import msgspec

from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod
from shipkeeper.model.storage import PersistentVolume, PersistentVolumeClaim
from shipkeeper.model.version import Version
from shipkeeper.nodes.observe import observe_nodes


class Storage(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Claims, the volumes behind them, and the names of those that the node holds."""

    claims: tuple[PersistentVolumeClaim, ...] = ()
    volumes: tuple[PersistentVolume, ...] = ()
    attached: frozenset[str] = frozenset()

    @cached_property
    def _volume_by_claim(self) -> dict[str, PersistentVolume]:
        by_name = {volume.name: volume for volume in self.volumes}
        bound = ((claim.key, by_name.get(claim.spec.volume_name)) for claim in self.claims)
        return {key: volume for key, volume in bound if volume is not None}

    def volumes_of(self, pod: Pod) -> tuple[PersistentVolume, ...]:
        """The PersistentVolumes that a pod mounts."""
        keys = (f"{pod.namespace}/{claim}" for claim in pod.claims)
        found = (self._volume_by_claim.get(key) for key in keys)
        return tuple(volume for volume in found if volume is not None)


class LossState(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One node, and what decides how the cluster would live without it.

    `pods` are those of the node, sorted by key; `others` those of the same namespaces elsewhere.
    """

    node: Node
    is_other_node_ready: bool
    pods: tuple[Pod, ...]
    others: tuple[Pod, ...]
    budgets: tuple[PodDisruptionBudget, ...]
    storage: Storage
    version: Version
    is_policy_v1: bool

    @cached_property
    def _ready_by_owner(self) -> Counter[str]:
        ready = (pod.metadata.controller for pod in self.others if pod.is_ready)
        return Counter(owner.uid for owner in ready if owner is not None)

    def ready_elsewhere(self, owner_uid: str) -> int:
        """How many pods of a controller are Ready on other nodes."""
        return self._ready_by_owner[owner_uid]


async def observe_loss(reader: Reader, name: str) -> LossState:
    """A node, its pods with their volumes, and who else does their work."""
    (node,) = await observe_nodes(reader, (name,), "")
    nodes, on_node, budget_resource, version = await asyncio.gather(
        reader.list(NODES),
        reader.list(PODS, field_selector=f"spec.nodeName={name}"),
        reader.budget_resource(),
        reader.version(),
    )
    pods = tuple(sorted(on_node.items, key=lambda pod: pod.key))
    budgets, others, storage = await asyncio.gather(
        reader.list(budget_resource),
        _pods_elsewhere(reader, name, {pod.namespace for pod in pods}),
        _storage(reader, name, {pod.namespace for pod in pods if pod.claims}),
    )
    return LossState(
        node=node,
        is_other_node_ready=any(each.is_ready for each in nodes.items if each.uid != node.uid),
        pods=pods,
        others=others,
        budgets=tuple(budgets.items),
        storage=storage,
        version=version,
        is_policy_v1=budget_resource.version == "v1",
    )


async def _pods_elsewhere(reader: Reader, node: str, namespaces: set[str]) -> tuple[Pod, ...]:
    elsewhere = f"spec.nodeName!={node}"
    listings = await asyncio.gather(
        *(reader.list(PODS, namespace=each, field_selector=elsewhere) for each in namespaces)
    )
    return tuple(pod for listing in listings for pod in listing.items)


async def _storage(reader: Reader, node: str, namespaces: set[str]) -> Storage:
    """The claims of these namespaces and what is behind them; nothing if none is used."""
    if not namespaces:
        return Storage()
    volumes, attachments = await asyncio.gather(
        reader.list(PERSISTENT_VOLUMES), reader.list(VOLUME_ATTACHMENTS)
    )
    claims = await asyncio.gather(
        *(reader.list(PERSISTENT_VOLUME_CLAIMS, namespace=each) for each in namespaces)
    )
    return Storage(
        claims=tuple(claim for listing in claims for claim in listing.items),
        volumes=tuple(volumes.items),
        attached=frozenset(
            each.spec.source.persistent_volume_name
            for each in attachments.items
            if each.spec.node_name == node
        ),
    )
