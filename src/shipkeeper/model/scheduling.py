"""What decides where a pod may run: its requests, and its rules about nodes and other pods."""

from functools import lru_cache
from typing import Any

import msgspec

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod, PodSpec
from shipkeeper.model.quantity import in_millis
from shipkeeper.model.selector import LabelSelector, Requirement

DO_NOT_SCHEDULE = "DoNotSchedule"


class ContainerPort(KubeStruct, frozen=True, kw_only=True):
    """A port of a container; a host port is taken on the node itself."""

    host_port: int = 0
    protocol: str = "TCP"
    host_ip: str = msgspec.field(default="", name="hostIP")


class ResourceRequirements(KubeStruct, frozen=True, kw_only=True):
    """What a container wants to have reserved, as quantities by resource."""

    requests: dict[str, str] = {}


class Container(KubeStruct, frozen=True, kw_only=True):
    """A container, as far as scheduling sees it."""

    resources: ResourceRequirements = ResourceRequirements()
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""


class NodeRequirement(KubeStruct, frozen=True, kw_only=True):
    """One condition on a node's labels or fields; adds Gt and Lt to a label's Requirement."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether labels satisfy it (core/v1 NodeSelectorRequirement)."""
        if self.operator not in ("Gt", "Lt"):
            return Requirement(key=self.key, operator=self.operator, values=self.values).matches(
                labels
            )
        try:
            value, limit = int(labels[self.key]), int(self.values[0])
        except (KeyError, ValueError, IndexError):
            return False
        return value > limit if self.operator == "Gt" else value < limit


class NodeSelectorTerm(KubeStruct, frozen=True, kw_only=True):
    """Conditions that a node must meet all; a term without any matches no node."""

    match_expressions: tuple[NodeRequirement, ...] = ()
    match_fields: tuple[NodeRequirement, ...] = ()

    def matches(self, node: Node) -> bool:
        """Whether a node meets the term."""
        if not self.match_expressions and not self.match_fields:
            return False
        return all(each.matches(node.metadata.labels) for each in self.match_expressions) and all(
            each.matches({"metadata.name": node.name}) for each in self.match_fields
        )


class NodeSelector(KubeStruct, frozen=True, kw_only=True):
    """Terms of which a node must meet one."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()

    def matches(self, node: Node) -> bool:
        """Whether a node meets one of the terms."""
        return any(term.matches(node) for term in self.node_selector_terms)


class NodeAffinity(KubeStruct, frozen=True, kw_only=True):
    """Which nodes a pod must be on; preferences are left to the scheduler."""

    required: NodeSelector | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(KubeStruct, frozen=True, kw_only=True):
    """Pods that must, or must not, be in the same domain."""

    topology_key: str
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: dict[str, Any] | None = None

    def covers(self, pod: Pod, namespace: str) -> bool:
        """Whether it means a pod, when it stands in a pod of this namespace.

        A namespace selector is taken for one of all namespaces: the cautious side.
        """
        if self.label_selector is None:
            return False
        if self.namespace_selector is None:
            meant = self.namespaces or (namespace,)
            if pod.namespace not in meant:
                return False
        return self.label_selector.matches(pod.metadata.labels)


class PodAffinity(KubeStruct, frozen=True, kw_only=True):
    """Rules about other pods that must hold."""

    required: tuple[PodAffinityTerm, ...] = msgspec.field(
        default=(), name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(KubeStruct, frozen=True, kw_only=True):
    """All rules of a pod about where it is."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class SpreadConstraint(KubeStruct, frozen=True, kw_only=True):
    """How unevenly like pods may be spread over the values of a node label."""

    topology_key: str
    max_skew: int = 1
    when_unsatisfiable: str = ""
    label_selector: LabelSelector | None = None


class SchedulablePodSpec(PodSpec, frozen=True, kw_only=True):
    """What is wanted of a pod, with all that the scheduler filters nodes by."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    overhead: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    affinity: Affinity | None = None
    topology_spread_constraints: tuple[SpreadConstraint, ...] = ()
    host_network: bool = False

    @property
    def requests(self) -> dict[str, int]:
        """What it reserves on a node, in thousandths of each resource's unit.

        Containers add up; init containers run one by one, those that restart always stay
        (resourcehelper.PodRequests).
        """
        total = _added(*(each.resources.requests for each in self.containers))
        sidecars: dict[str, int] = {}
        peak: dict[str, int] = {}
        for each in self.init_containers:
            own = _added(each.resources.requests)
            if each.restart_policy == "Always":
                sidecars = _sum(sidecars, own)
                peak = _larger(peak, sidecars)
            else:
                peak = _larger(peak, _sum(sidecars, own))
        return _sum(_larger(_sum(total, sidecars), peak), _added(self.overhead))

    @property
    def host_ports(self) -> frozenset[tuple[str, int]]:
        """The ports it takes on its node, by protocol, on whatever address."""
        return frozenset(
            (port.protocol, port.host_port)
            for each in self.containers
            for port in each.ports
            if port.host_port
        )

    @property
    def anti_affinity(self) -> tuple[PodAffinityTerm, ...]:
        """The pods that it must not be near."""
        rules = self.affinity.pod_anti_affinity if self.affinity else None
        return rules.required if rules else ()

    @property
    def near(self) -> tuple[PodAffinityTerm, ...]:
        """The pods that it must be near."""
        rules = self.affinity.pod_affinity if self.affinity else None
        return rules.required if rules else ()

    @property
    def required_nodes(self) -> NodeSelector | None:
        """The nodes that it must be on."""
        rules = self.affinity.node_affinity if self.affinity else None
        return rules.required if rules else None

    @property
    def strict_spread(self) -> tuple[SpreadConstraint, ...]:
        """The spread that the scheduler insists on."""
        return tuple(
            each
            for each in self.topology_spread_constraints
            if each.when_unsatisfiable == DO_NOT_SCHEDULE
        )


class SchedulablePod(Pod, frozen=True, kw_only=True):
    """A pod with all that the scheduler filters nodes by."""

    spec: SchedulablePodSpec = SchedulablePodSpec()


def _added(*amounts: dict[str, str]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in amounts:
        for resource, text in each.items():
            total[resource] = total.get(resource, 0) + _millis(text)
    return total


@lru_cache(maxsize=4096)
def _millis(text: str) -> int:
    try:
        return in_millis(text)
    except ValueError:
        return 0


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in one.keys() | other.keys()}


def _larger(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in one.keys() | other.keys()}
