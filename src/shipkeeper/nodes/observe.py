"""Reading what node maintenance needs to know; never writes."""

import asyncio
from collections import defaultdict
from functools import cached_property
from typing import TypeVar

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.errors import ForbiddenError, NotFoundError
from shipkeeper.kube.reader import Listing, Reader
from shipkeeper.kube.resources import (
    DAEMON_SETS,
    LEASES,
    MACHINES,
    NODES,
    PODS,
    SHADOWS,
    Resource,
)
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.kured import find_locks
from shipkeeper.nodes.outside import (
    BRUPOP_LABEL,
    MACHINE_ANNOTATION,
    MEDIK8S_NAMESPACE,
    Outside,
)

T = TypeVar("T", bound=KubeObject)


class NodeNotFoundError(ShipkeeperError):
    """There is no node of a name that was given."""


class ClusterState(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Nodes and what runs on them at one moment.

    `daemon_sets` holds the keys of the DaemonSets that exist; `eviction_version` is the policy
    version that evictions take (empty if the server has none), `budget_version` that of the
    budgets. `surging` names, by the uid of a pod that is its Deployment's only one, the Deployment
    that gets a second one while it moves. `outside` is what other tools tell of what they do with
    nodes. `pods_revision` is the resourceVersion that the pods were listed at, empty if there are
    several.
    """

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    pods_revision: str = ""
    budgets: tuple[PodDisruptionBudget, ...]
    daemon_sets: frozenset[str]
    eviction_version: str
    budget_version: str
    surging: dict[str, str] = {}
    outside: Outside = Outside()

    @cached_property
    def _pods_by_node(self) -> dict[str, list[Pod]]:
        found: defaultdict[str, list[Pod]] = defaultdict(list)
        for pod in self.pods:
            found[pod.spec.node_name].append(pod)
        return found

    @cached_property
    def _budgets_by_label(self) -> dict[tuple[str, str, str], list[PodDisruptionBudget]]:
        """By namespace and one label that is wanted, or two empty strings if none is by itself."""
        found: defaultdict[tuple[str, str, str], list[PodDisruptionBudget]] = defaultdict(list)
        for budget in self.budgets:
            wanted = budget.spec.selector.match_labels if budget.spec.selector else {}
            key, value = next(iter(wanted.items()), ("", ""))
            found[budget.namespace, key, value].append(budget)
        return found

    def pods_on(self, node: str) -> tuple[Pod, ...]:
        """The pods bound to a node, sorted by key."""
        return tuple(sorted(self._pods_by_node.get(node, ()), key=lambda pod: pod.key))

    def budgets_of(self, pod: Pod) -> tuple[PodDisruptionBudget, ...]:
        """The budgets that cover a pod."""
        labels = (("", ""), *pod.metadata.labels.items())
        candidates = (
            budget
            for key, value in labels
            for budget in self._budgets_by_label.get((pod.namespace, key, value), ())
        )
        is_v1 = self.budget_version == "v1"
        return tuple(each for each in candidates if each.covers(pod, empty_matches_all=is_v1))


async def observe_nodes(
    reader: Reader, names: tuple[str, ...], selector: str, field_selector: str = ""
) -> tuple[Node, ...]:
    """The nodes of these names in this order, or those that the selectors match, by name.

    A missing node is fatal (NotFoundError) before anything else is looked at.
    """
    if names:
        unique = tuple(dict.fromkeys(names))
        return tuple(await asyncio.gather(*(_node(reader, name) for name in unique)))
    listing = await reader.list(NODES, label_selector=selector, field_selector=field_selector)
    return tuple(sorted(listing.items, key=lambda node: node.name))


async def observe(
    reader: Reader, nodes: tuple[Node, ...], *, pod_selector: str = "", at_hand: bool = False
) -> ClusterState:
    """What runs on these nodes, and everything that decides whether it may be moved.

    With `at_hand` budgets and DaemonSets may be those of a moment ago; pods never are.
    """
    budget_resource = await reader.budget_resource()
    pods, budgets, daemon_sets, eviction_version = await asyncio.gather(
        _pods(reader, nodes, pod_selector),
        reader.list(budget_resource, at_hand=at_hand),
        reader.list(DAEMON_SETS, at_hand=at_hand),
        reader.eviction_version(),
    )
    return ClusterState(
        nodes=nodes,
        pods=tuple(pods.items),
        pods_revision=pods.resource_version,
        budgets=tuple(budgets.items),
        daemon_sets=frozenset(each.key for each in daemon_sets.items),
        eviction_version=eviction_version,
        budget_version=budget_resource.version,
        outside=Outside(kured=find_locks(daemon_sets.items)),
    )


async def observe_outside(reader: Reader, state: ClusterState) -> Outside:
    """What else other tools tell; only those that left a trace on a node are asked about."""
    is_shadowed = any(BRUPOP_LABEL in node.metadata.labels for node in state.nodes)
    is_machine = any(MACHINE_ANNOTATION in node.metadata.annotations for node in state.nodes)
    leases, shadows, machines = await asyncio.gather(
        _if_allowed(reader, LEASES, MEDIK8S_NAMESPACE),
        _if_allowed(reader, SHADOWS) if is_shadowed else _nothing(),
        _if_allowed(reader, MACHINES) if is_machine else _nothing(),
    )
    return msgspec.structs.replace(state.outside, leases=leases, shadows=shadows, machines=machines)


async def _if_allowed(reader: Reader, resource: Resource[T], namespace: str = "") -> tuple[T, ...]:
    """All objects of a kind; none if there is no such kind, or nobody may see it."""
    try:
        return tuple((await reader.list(resource, namespace=namespace)).items)
    except (ForbiddenError, NotFoundError):
        return ()


async def _nothing() -> tuple[()]:
    return ()


async def _node(reader: Reader, name: str) -> Node:
    try:
        return await reader.get(NODES, name)
    except NotFoundError as error:
        raise NodeNotFoundError(
            f'nodes "{name}" not found',
            reason="NodeNotFound",
            hint="see the nodes with: shipkeeper nodes",
        ) from error


# Beyond a few nodes one list of all pods costs the server less than one list for each node.
_FEW_NODES = 20


async def _pods(reader: Reader, nodes: tuple[Node, ...], pod_selector: str) -> Listing[Pod]:
    if len(nodes) > _FEW_NODES:
        names = {node.name for node in nodes}
        listing = await reader.list(PODS, label_selector=pod_selector)
        items = [pod for pod in listing.items if pod.spec.node_name in names]
        return Listing(items, listing.resource_version)
    listings = await asyncio.gather(
        *(
            reader.list(
                PODS, label_selector=pod_selector, field_selector=f"spec.nodeName={node.name}"
            )
            for node in nodes
        )
    )
    if len(listings) == 1:
        return listings[0]
    return Listing([pod for listing in listings for pod in listing.items], "")
