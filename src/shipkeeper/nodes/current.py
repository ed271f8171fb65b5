"""The node inventory, kept current: only rows of nodes to which something happened are made anew.

A fleet of a thousand nodes with two hundred changes a second is judged in milliseconds that way.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.changes import Change, Modified
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import DAEMON_SETS, NODES, PODS, Resource
from shipkeeper.model.daemonset import DaemonSet
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.inventory import NodeRow, take_inventory
from shipkeeper.nodes.kured import find_locks
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.outside import Outside

T = TypeVar("T", bound=KubeObject)

# Somebody looks: a network that is dead must show within seconds, as must its return.
_SILENT_FOR = timedelta(seconds=4)
_LONGEST_PAUSE = timedelta(seconds=2)


class CurrentInventory:
    """Rows by node name while its context lasts; `version` grows with every change that was seen.

    What a verdict says of time (`since`) does not change by itself, so rows need no clock.
    """

    def __init__(self, reader: Reader) -> None:
        self.version = 0
        self._reader = reader
        self._stack = AsyncExitStack()
        self._rows: dict[str, NodeRow] = {}
        self._dirty: set[str] = set()
        self._pods_of: defaultdict[str, dict[str, Pod]] = defaultdict(dict)
        self._pods_in: defaultdict[str, dict[str, Pod]] = defaultdict(dict)
        self._eviction_version = ""
        self._budget_version = ""

    async def __aenter__(self) -> Self:
        """See everything once, raising what goes wrong with that, and follow it."""
        budgets = await self._reader.budget_resource()
        self._budget_version = budgets.version
        self._eviction_version = await self._reader.eviction_version()
        self.nodes: Reflector[Node] = self._follow(NODES)
        self.pods: Reflector[Pod] = self._follow(PODS)
        self.budgets: Reflector[PodDisruptionBudget] = self._follow(budgets)
        self.daemon_sets: Reflector[DaemonSet] = self._follow(DAEMON_SETS)
        self.nodes.subscribe(self._on_node)
        self.pods.subscribe(self._on_pod)
        self.budgets.subscribe(self._on_budget)
        self.daemon_sets.subscribe(self._on_daemon_set)
        async with AsyncExitStack() as stack:
            # What the rows are made of comes before what most of it is about.
            for each in (self.daemon_sets, self.budgets, self.nodes, self.pods):
                await stack.enter_async_context(each)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop following."""
        await self._stack.__aexit__(kind, error, traceback)

    @property
    def stale_since(self) -> datetime | None:
        """Since when a part of it may be older than the cluster; None while all is current."""
        stale = [each.stale_since for each in self._reflectors if each.stale_since is not None]
        return min(stale, default=None)

    @property
    def last_error(self) -> ShipkeeperError | None:
        """Why it cannot be followed now."""
        if self.stale_since is None:
            return None
        return next((e.last_error for e in self._reflectors if e.last_error is not None), None)

    async def ended(self) -> None:
        """Return, or raise why, when a part of it is followed no longer; that is a bug's work."""
        waits = [asyncio.create_task(each.ended()) for each in self._reflectors]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def rows(self) -> Mapping[str, NodeRow]:
        """A row for every node, by name; rows of which nothing changed are the same objects."""
        if self._dirty:
            self._renew()
        return self._rows

    def pods_on(self, node: str) -> Mapping[str, Pod]:
        """The pods that are bound to a node, by key."""
        return self._pods_of.get(node, {})

    def state(self, names: Iterable[str] | None = None) -> ClusterState:
        """Some nodes, or all, with what decides whether their pods may be moved."""
        known = self.nodes.objects
        chosen = known if names is None else [name for name in names if name in known]
        return ClusterState(
            nodes=tuple(known[name] for name in chosen),
            pods=tuple(pod for name in chosen for pod in self.pods_on(name).values()),
            budgets=tuple(self.budgets.objects.values()),
            daemon_sets=frozenset(self.daemon_sets.objects),
            eviction_version=self._eviction_version,
            budget_version=self._budget_version,
            outside=Outside(kured=find_locks(tuple(self.daemon_sets.objects.values()))),
        )

    def _follow(self, resource: Resource[T]) -> Reflector[T]:
        return Reflector(
            self._reader, resource, inactivity=_SILENT_FOR, longest_pause=_LONGEST_PAUSE
        )

    @property
    def _reflectors(self) -> tuple[Reflector[Any], ...]:
        return (self.nodes, self.pods, self.budgets, self.daemon_sets)

    def _renew(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for name in dirty - self.nodes.objects.keys():
            self._rows.pop(name, None)
        for row in take_inventory(self.state(sorted(dirty)), datetime.now(UTC)):
            if self._rows.get(row.name) != row:
                self._rows[row.name] = row

    def _stir(self, nodes: Iterable[str]) -> None:
        self.version += 1
        self._dirty.update(nodes)

    def _on_node(self, change: Change[Node]) -> None:
        self._stir([change.object.name])

    def _on_pod(self, change: Change[Pod]) -> None:
        pod = change.object
        places = {pod.spec.node_name}
        if isinstance(change, Modified):
            places.add(change.old.spec.node_name)
        for place in places:
            self._pods_of[place].pop(pod.key, None)
        self._pods_in[pod.namespace].pop(pod.key, None)
        if self.pods.objects.get(pod.key) is pod:
            self._pods_of[pod.spec.node_name][pod.key] = pod
            self._pods_in[pod.namespace][pod.key] = pod
        self._stir(places - {""})

    def _on_budget(self, change: Change[PodDisruptionBudget]) -> None:
        versions = [change.object, *([change.old] if isinstance(change, Modified) else [])]
        is_v1 = self._budget_version == "v1"
        self._stir(
            pod.spec.node_name
            for pod in self._pods_in[change.object.namespace].values()
            if pod.spec.node_name
            and any(each.covers(pod, empty_matches_all=is_v1) for each in versions)
        )

    def _on_daemon_set(self, change: Change[DaemonSet]) -> None:
        is_known = isinstance(change, Modified)
        # Only that there is one matters, and which locks kured keeps on it.
        if not is_known or change.old.metadata.annotations != change.object.metadata.annotations:
            self._stir(self.nodes.objects)
