"""What room each node has: what is allocatable less what its pods reserve; pure."""

from collections.abc import Mapping

import msgspec

from shipkeeper.model.node import Node
from shipkeeper.model.quantity import format_millis, in_millis
from shipkeeper.model.scheduling import SchedulablePod

_ALWAYS_SCARCE = ("cpu", "memory")

# Thousandths of each resource's unit.
Wanted = Mapping[str, int]


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Of what a node has too little for a pod, and by how much, in thousandths of its unit."""

    resource: str
    millis: int

    def __str__(self) -> str:
        """The amount and the resource, such as `500m cpu`."""
        return f"{format_millis(self.resource, self.millis)} {self.resource}"


class Room:
    """One node and the pods on it, now and as a rehearsal goes on."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.is_open = not node.spec.unschedulable
        self.pods: dict[str, SchedulablePod] = {}
        self._capacity = {key: in_millis(text) for key, text in node.status.allocatable.items()}
        self._free = dict(self._capacity)

    def add(self, pod: SchedulablePod, wanted: Wanted) -> None:
        """Reserve what a pod wants."""
        self.pods[pod.uid] = pod
        for resource, millis in wanted.items():
            self._free[resource] = self._free.get(resource, 0) - millis

    def remove(self, pod: SchedulablePod, wanted: Wanted) -> None:
        """Give back what a pod reserved."""
        del self.pods[pod.uid]
        for resource, millis in wanted.items():
            self._free[resource] = self._free.get(resource, 0) + millis

    def lacks(self, wanted: Wanted) -> Lack | None:
        """What would be wanted beyond what is free, the first of it; None if there is room."""
        for resource, millis in wanted.items():
            free = self._free.get(resource, 0)
            if millis > free:
                return Lack(resource=resource, millis=millis - max(free, 0))
        return None

    def has_ports_for(self, pod: SchedulablePod) -> bool:
        """Whether no pod here takes a host port that this one wants."""
        wanted = pod.spec.host_ports
        return not wanted or all(
            wanted.isdisjoint(each.spec.host_ports) for each in self.pods.values()
        )

    @property
    def load(self) -> float:
        """How full it is, 0 to 1: the mean over CPU and memory, as the scheduler's default is."""
        shares = [
            1 - self._free.get(each, 0) / total
            for each in _ALWAYS_SCARCE
            if (total := self._capacity.get(each, 0)) > 0
        ]
        return sum(shares) / len(shares) if shares else 1.0


def wanted_of(pod: SchedulablePod) -> Wanted:
    """What a pod reserves, itself counted among the pods that a node bears."""
    return {"pods": 1000, **{key: value for key, value in pod.spec.requests.items() if value > 0}}
