"""Nodes as the API server shows them."""

from datetime import datetime

import msgspec

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import Condition, KubeObject, condition

ROLE_LABEL_PREFIX = "node-role.kubernetes.io/"
LEGACY_ROLE_LABEL = "kubernetes.io/role"
ZONE_LABEL = "topology.kubernetes.io/zone"
UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"
UNREACHABLE_TAINT = "node.kubernetes.io/unreachable"
CONTROL_PLANE_ROLES = frozenset({"control-plane", "master"})


class Taint(KubeStruct, frozen=True, kw_only=True):
    """What keeps pods away from a node; effect is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    effect: str
    value: str = ""
    time_added: datetime | None = None


class NodeSpec(KubeStruct, frozen=True, kw_only=True):
    """What is wanted of a node."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeSystemInfo(KubeStruct, frozen=True, kw_only=True):
    """What the kubelet found out about its host."""

    boot_id: str = msgspec.field(default="", name="bootID")
    kernel_version: str = ""
    os_image: str = ""
    container_runtime_version: str = ""
    kubelet_version: str = ""
    architecture: str = ""


class NodeAddress(KubeStruct, frozen=True, kw_only=True):
    """One way to reach a node; type is InternalIP, ExternalIP or Hostname."""

    type: str
    address: str


class DaemonEndpoint(KubeStruct, frozen=True, kw_only=True):
    """Where a daemon listens, 0 where that was not told."""

    port: int = msgspec.field(default=0, name="Port")


class NodeDaemonEndpoints(KubeStruct, frozen=True, kw_only=True):
    """Where the daemons of a node listen."""

    kubelet_endpoint: DaemonEndpoint = DaemonEndpoint()


class NodeStatus(KubeStruct, frozen=True, kw_only=True):
    """What a node last reported."""

    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    node_info: NodeSystemInfo = NodeSystemInfo()
    daemon_endpoints: NodeDaemonEndpoints = NodeDaemonEndpoints()


class Node(KubeObject, frozen=True, kw_only=True):
    """A machine of the cluster."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def ready(self) -> Condition | None:
        """The Ready condition, None on a node that never reported."""
        return condition(self.status.conditions, "Ready")

    @property
    def is_ready(self) -> bool:
        """Whether the node says that it can run pods."""
        return self.ready is not None and self.ready.status == "True"

    @property
    def is_reachable(self) -> bool:
        """Whether its kubelet still reports: Ready turns Unknown when it stops."""
        return self.ready is not None and self.ready.status != "Unknown"

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of its labels, sorted, as kubectl shows them."""
        labels = self.metadata.labels
        found = {
            label.removeprefix(ROLE_LABEL_PREFIX)
            for label in labels
            if label.startswith(ROLE_LABEL_PREFIX) and label != ROLE_LABEL_PREFIX
        }
        if labels.get(LEGACY_ROLE_LABEL):
            found.add(labels[LEGACY_ROLE_LABEL])
        return tuple(sorted(found))

    @property
    def is_control_plane(self) -> bool:
        """Whether a role label says that it carries the control plane."""
        return not CONTROL_PLANE_ROLES.isdisjoint(self.roles)

    @property
    def zone(self) -> str:
        """Its failure domain, empty when it is not labelled."""
        return self.metadata.labels.get(ZONE_LABEL, "")

    def address(self, type_: str) -> str:
        """The first address of one type, empty when there is none."""
        return next((each.address for each in self.status.addresses if each.type == type_), "")
