"""Where pods are, and where the scheduler can put those that have to leave; pure.

The filters are the scheduler's (kube-scheduler's default plugins): resources, host ports, taints,
node selector and affinity, affinity between pods, strict topology spread, volumes that are bound to
nodes. Among the nodes that pass it takes an undisturbed one first, then the least loaded: what the
default scores come to with a soft taint on the nodes that are still to be done.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping

import msgspec

from shipkeeper.model.node import Node
from shipkeeper.model.pod import Toleration
from shipkeeper.model.scheduling import NodeSelector, SchedulablePod
from shipkeeper.nodes.fleet.domains import Domains
from shipkeeper.nodes.fleet.rooms import Lack, Room, wanted_of

_HARD_EFFECTS = frozenset({"NoSchedule", "NoExecute"})
# A pod that only so few nodes can take is tried on them alone.
_FEW = 64


class Misfit(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that fits nowhere: bound to nodes that are away, or short of room.

    `lack` is the least that is missing on a node that would do otherwise.
    """

    pod: SchedulablePod
    is_bound: bool
    lack: Lack | None = None


class Placement:
    """All rooms of a cluster; `volumes` holds, by pod key, the nodes that its volumes demand."""

    def __init__(
        self,
        nodes: Iterable[Node],
        pods: Iterable[SchedulablePod],
        volumes: Mapping[str, tuple[NodeSelector, ...]],
        disturbed: Collection[str],
    ) -> None:
        present = [pod for pod in pods if not pod.is_finished]
        self.rooms = {node.name: Room(node) for node in nodes}
        self._volumes = volumes
        self._wanted = {pod.uid: wanted_of(pod) for pod in present}
        self._domains = Domains(present)
        self._suitable: dict[bytes, frozenset[str]] = {}
        self._suitable_for: dict[str, frozenset[str]] = {}
        self._disturbed = set(disturbed)
        self._ranks: dict[str, tuple[bool, float, str]] = {}
        self._ranking: list[tuple[bool, float, str]] = []
        for name, room in self.rooms.items():
            self._domains.know(room.node)
            self._rank(name)
        for pod in present:
            if pod.spec.node_name in self.rooms:
                self.put(pod, pod.spec.node_name)

    def close(self, node: str) -> None:
        """Let no pod onto a node any more."""
        self.rooms[node].is_open = False

    def reopen(self, node: str, *, is_done: bool) -> None:
        """Let pods onto a node again; one that is done is taken first from now on."""
        self.rooms[node].is_open = True
        if is_done:
            self._disturbed.discard(node)
        self._rank(node)

    def put(self, pod: SchedulablePod, node: str) -> None:
        """Note that a pod is on a node from now on."""
        self.rooms[node].add(pod, self._wanted[pod.uid])
        self._domains.add(pod, self.rooms[node].node)
        self._rank(node)

    def take(self, pod: SchedulablePod, node: str) -> None:
        """Note that a pod has left a node."""
        self.rooms[node].remove(pod, self._wanted[pod.uid])
        self._domains.add(pod, self.rooms[node].node, -1)
        self._rank(node)

    def choose(self, pod: SchedulablePod) -> str | Misfit:
        """The node that the scheduler would put a pod on now, or why there is none."""
        suitable, wanted = self.suitable(pod), self._wanted[pod.uid]
        for name in self._in_order(suitable):
            room = self.rooms[name]
            if (
                room.is_open
                and name in suitable
                and room.lacks(wanted) is None
                and room.has_ports_for(pod)
                and self._domains.allow(pod, room.node)
            ):
                return name
        return self._misfit(pod, suitable)

    def suitable(self, pod: SchedulablePod) -> frozenset[str]:
        """The nodes that a pod's own rules allow, full or not, open or not."""
        if pod.uid not in self._suitable_for:
            volumes, spec = self._volumes.get(pod.key, ()), pod.spec
            key = msgspec.json.encode(
                (spec.node_selector, spec.required_nodes, spec.tolerations, volumes)
            )
            if key not in self._suitable:
                self._suitable[key] = frozenset(
                    name for name, room in self.rooms.items() if _suits(pod, room.node, volumes)
                )
            self._suitable_for[pod.uid] = self._suitable[key]
        return self._suitable_for[pod.uid]

    def _in_order(self, suitable: frozenset[str]) -> Iterable[str]:
        if len(suitable) <= _FEW:
            return (name for _, _, name in sorted(self._ranks[each] for each in suitable))
        return (name for _, _, name in self._ranking)

    def _misfit(self, pod: SchedulablePod, suitable: frozenset[str]) -> Misfit:
        lacks = [
            lack
            for name in suitable
            if self.rooms[name].is_open
            and (lack := self.rooms[name].lacks(self._wanted[pod.uid])) is not None
        ]
        least = min(lacks, key=lambda lack: (lack.resource, lack.millis), default=None)
        return Misfit(pod=pod, is_bound=not lacks, lack=least)

    def _rank(self, node: str) -> None:
        rank = (node in self._disturbed, self.rooms[node].load, node)
        before = self._ranks.get(node)
        if before == rank:
            return
        if before is not None:
            del self._ranking[bisect_left(self._ranking, before)]
        self._ranks[node] = rank
        insort(self._ranking, rank)


def _suits(pod: SchedulablePod, node: Node, volumes: tuple[NodeSelector, ...]) -> bool:
    labels, required = node.metadata.labels, pod.spec.required_nodes
    return (
        all(labels.get(key) == value for key, value in pod.spec.node_selector.items())
        and (required is None or required.matches(node))
        and _bears_taints(pod.spec.tolerations, node)
        and all(each.matches(node) for each in volumes)
    )


def _bears_taints(tolerations: tuple[Toleration, ...], node: Node) -> bool:
    """Whether a pod bears a node's taints; a cordon's is no property of the node."""
    return all(
        any(each.tolerates(taint.key, taint.effect, taint.value) for each in tolerations)
        for taint in node.spec.taints
        if taint.effect in _HARD_EFFECTS and taint.key != "node.kubernetes.io/unschedulable"
    )
