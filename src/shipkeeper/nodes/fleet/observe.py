"""Reading a whole cluster for a maintenance: who is where, and where everybody could go."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import (
    DAEMON_SETS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
    Resource,
)
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.node import Node
from shipkeeper.model.scheduling import NodeSelector, SchedulablePod
from shipkeeper.model.selector import parse_selector
from shipkeeper.model.storage import PersistentVolume, PersistentVolumeClaim
from shipkeeper.nodes.kured import KuredLock, find_locks
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.outside import Outside

SCHEDULABLE_PODS = Resource("", PODS.version, PODS.plural, PODS.kind, SchedulablePod)


class FleetState(ClusterState, frozen=True, kw_only=True, dict=True):
    """The nodes of a maintenance with their pods, and the whole cluster around them.

    `volumes` holds, for pods whose volumes are bound to nodes, what these volumes demand of a node,
    by the pod's key; `attached` by the same the volumes of a pod that its node holds for it.
    """

    cluster: tuple[Node, ...]
    everything: tuple[SchedulablePod, ...]
    volumes: dict[str, tuple[NodeSelector, ...]]
    attached: dict[str, tuple[str, ...]] = {}


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A whole cluster at one moment, whichever of its nodes are to be maintained.

    Fields are those of FleetState; `kured` is what kured's DaemonSets hold.
    """

    cluster: tuple[Node, ...]
    everything: tuple[SchedulablePod, ...]
    budgets: tuple[PodDisruptionBudget, ...]
    daemon_sets: frozenset[str]
    kured: tuple[KuredLock, ...]
    eviction_version: str
    budget_version: str
    volumes: dict[str, tuple[NodeSelector, ...]]
    attached: dict[str, tuple[str, ...]]


async def observe_whole(reader: Reader) -> Whole:
    """All nodes and pods of the cluster, and what decides whether these may be moved, and where."""
    budget_resource = await reader.budget_resource()
    cluster, pods, budgets, daemon_sets, eviction_version = await asyncio.gather(
        reader.list(NODES),
        reader.list(SCHEDULABLE_PODS),
        reader.list(budget_resource),
        reader.list(DAEMON_SETS),
        reader.eviction_version(),
    )
    storage = await _storage(reader, pods.items)
    return Whole(
        cluster=tuple(sorted(cluster.items, key=lambda node: node.name)),
        everything=tuple(sorted(pods.items, key=lambda pod: pod.key)),
        budgets=tuple(budgets.items),
        daemon_sets=frozenset(each.key for each in daemon_sets.items),
        kured=find_locks(daemon_sets.items),
        eviction_version=eviction_version,
        budget_version=budget_resource.version,
        volumes=storage.volumes,
        attached=storage.attached,
    )


Look = Callable[[Reader], AbstractAsyncContextManager[Whole]]
"""The whole cluster as it is now, for the length of a context: nobody keeps it any longer."""


@asynccontextmanager
async def look(reader: Reader) -> AsyncGenerator[Whole]:
    """Read it, whoever else does."""
    yield await observe_whole(reader)


def fleet_of(whole: Whole, nodes: tuple[Node, ...], pod_selector: str = "") -> FleetState:
    """These nodes with their pods that the selector matches, and the whole cluster around them.

    Of these nodes one that has gone away meanwhile is left out: it is in no cluster any more.
    """
    listed = {node.name: node for node in whole.cluster}
    names = [node.name for node in nodes if node.name in listed]
    on_nodes, selector = set(names), parse_selector(pod_selector)
    return FleetState(
        nodes=tuple(listed[name] for name in names),
        pods=tuple(
            pod
            for pod in whole.everything
            if pod.spec.node_name in on_nodes and selector.matches(pod.metadata.labels)
        ),
        budgets=whole.budgets,
        daemon_sets=whole.daemon_sets,
        eviction_version=whole.eviction_version,
        budget_version=whole.budget_version,
        outside=Outside(kured=whole.kured),
        cluster=whole.cluster,
        everything=whole.everything,
        volumes=whole.volumes,
        attached=whole.attached,
    )


async def observe_fleet(
    reader: Reader, nodes: tuple[Node, ...], *, pod_selector: str = ""
) -> FleetState:
    """Nodes that are to be maintained, and the whole cluster around them, as they are now."""
    return fleet_of(await observe_whole(reader), nodes, pod_selector)


class _Storage(msgspec.Struct, frozen=True, kw_only=True):
    volumes: dict[str, tuple[NodeSelector, ...]] = {}
    attached: dict[str, tuple[str, ...]] = {}


async def _storage(reader: Reader, pods: Iterable[SchedulablePod]) -> _Storage:
    """What the pods' claims come to; nothing is asked where there are none."""
    claiming = [pod for pod in pods if pod.claims]
    if not claiming:
        return _Storage()
    volumes, claims, attachments = await asyncio.gather(
        reader.list(PERSISTENT_VOLUMES),
        reader.list(PERSISTENT_VOLUME_CLAIMS),
        reader.list(VOLUME_ATTACHMENTS),
    )
    demands = _demands(claims.items, volumes.items)
    bound = {claim.key: claim.spec.volume_name for claim in claims.items}
    places = {(each.volume, each.spec.node_name) for each in attachments.items}
    demanded: dict[str, tuple[NodeSelector, ...]] = {}
    attached: dict[str, tuple[str, ...]] = {}
    for pod in claiming:
        keys = [f"{pod.namespace}/{claim}" for claim in pod.claims]
        names = [bound[key] for key in keys if bound.get(key)]
        if found := tuple(demands[key] for key in keys if key in demands):
            demanded[pod.key] = found
        if held := tuple(name for name in names if (name, pod.spec.node_name) in places):
            attached[pod.key] = held
    return _Storage(volumes=demanded, attached=attached)


def _demands(
    claims: Iterable[PersistentVolumeClaim], volumes: Iterable[PersistentVolume]
) -> dict[str, NodeSelector]:
    """What the volume behind each claim demands of a node, by the claim's key."""
    by_name = {volume.name: volume for volume in volumes}
    found: dict[str, NodeSelector] = {}
    for claim in claims:
        volume = by_name.get(claim.spec.volume_name)
        affinity = volume.spec.node_affinity if volume else None
        if affinity is not None and affinity.required is not None:
            found[claim.key] = msgspec.convert(affinity.required, NodeSelector)
    return found
