"""A pod as far as its kubelet needs it."""

from typing import Any

import msgspec

from shipkeeper.kube.resources import PODS, Resource
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.pod import Pod, PodSpec, PodStatus

IS_BOUND = "spec.nodeName!="
CONTAINER_ID_SCHEME = "hollow://"


class Container(KubeStruct, frozen=True, kw_only=True):
    """A container that a pod wants."""

    name: str
    image: str = ""


class ContainerStatus(KubeStruct, frozen=True, kw_only=True):
    """A container as its kubelet reports it."""

    name: str
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    container_id: str = msgspec.field(default="", name="containerID")
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    state: dict[str, Any] = {}
    last_state: dict[str, Any] = {}


class BoundPodSpec(PodSpec, frozen=True, kw_only=True):
    """What a kubelet is told to run."""

    containers: tuple[Container, ...] = ()
    restart_policy: str = "Always"
    host_network: bool = False


class BoundPodStatus(PodStatus, frozen=True, kw_only=True):
    """What a kubelet reported before."""

    pod_ip: str = msgspec.field(default="", name="podIP")
    container_statuses: tuple[ContainerStatus, ...] = ()


class BoundPod(Pod, frozen=True, kw_only=True):
    """A pod that the scheduler gave to a node."""

    spec: BoundPodSpec = BoundPodSpec()
    status: BoundPodStatus = BoundPodStatus()

    @property
    def boot_id(self) -> str:
        """The boot of the node under which its containers started, empty when none did."""
        started = self.status.container_statuses
        if not started:
            return ""
        return started[0].container_id.removeprefix(CONTAINER_ID_SCHEME).partition("/")[0]


BOUND_PODS: Resource[BoundPod] = Resource("", "v1", PODS.plural, PODS.kind, BoundPod)
