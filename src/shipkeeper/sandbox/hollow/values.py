"""What can be wished of hollow nodes, and what they tell of themselves; durations in seconds."""

from typing import Annotated

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.node import Taint

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class HollowError(ShipkeeperError):
    """The hollow nodes cannot do what was asked of them, or their agent does not answer."""


class NodeGroup(KubeStruct, frozen=True, kw_only=True):
    """A number of like nodes, named `<prefix>-<n>` by the first free numbers from 1 on.

    Node n stands in `zone-<k>`, the zones taken in turn. Without a kubelet version the nodes have
    the API server's.
    """

    count: Count = 1
    prefix: str = "node"
    zones: Count = 1
    roles: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    cpu: str = "8"
    memory: str = "32Gi"
    max_pods: Count = 110
    kernel_version: str = "6.12.8"
    os_image: str = "Hollow Linux 1"
    container_runtime_version: str = "hollow://1.0.0"
    kubelet_version: str = ""
    ready_after: Seconds = 0.0
    stops_after: Seconds = 0.1

    def name(self, number: int) -> str:
        """The name of one of its nodes."""
        return f"{self.prefix}-{number}"


class Boot(KubeStruct, frozen=True, kw_only=True):
    """A reboot under way: when the node is up again (Unix time) and as what."""

    at: float
    boot_id: str
    kernel_version: str | None = None
    os_image: str | None = None
    mark_not_ready: bool = True


class Behaviour(KubeStruct, frozen=True, kw_only=True):
    """How a node's kubelet behaves.

    Pods get Ready `ready_after` their start and stop `stops_after` their deletion, or after their
    grace period if that is shorter.
    """

    ready_after: Seconds = 0.0
    stops_after: Seconds = 0.1
    heartbeats: bool = True
    hangs_deletions: bool = False
    boot: Boot | None = None

    @property
    def is_up(self) -> bool:
        """Whether the kubelet works at all."""
        return self.heartbeats and self.boot is None


class NodeReport(KubeStruct, frozen=True, kw_only=True):
    """A hollow node as its agent sees it."""

    name: str
    boot_id: str
    kernel_version: str
    os_image: str
    pods: int
    behaviour: Behaviour
