"""Pods with what their kubelets report of their containers."""

import msgspec

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.pod import Pod, PodStatus


class WaitingState(KubeStruct, frozen=True, kw_only=True):
    """Why a container does not run yet, such as ErrImagePull."""

    reason: str = ""
    message: str = ""


class ContainerState(KubeStruct, frozen=True, kw_only=True):
    """Where a container stands, told apart only as far as waiting for it needs it."""

    waiting: WaitingState | None = None


class ContainerStatus(KubeStruct, frozen=True, kw_only=True):
    """One container of a pod; its ID is another one each time it is started."""

    name: str = ""
    ready: bool = False
    container_id: str = msgspec.field(default="", name="containerID")
    state: ContainerState = ContainerState()


class StartedPodStatus(PodStatus, frozen=True, kw_only=True):
    """The status of a pod, container by container."""

    container_statuses: tuple[ContainerStatus, ...] = ()


class StartedPod(Pod, frozen=True, kw_only=True):
    """A pod of which it matters what became of its containers."""

    status: StartedPodStatus = StartedPodStatus()

    @property
    def container_ids(self) -> frozenset[str]:
        """The containers that run, or ran last."""
        found = (each.container_id for each in self.status.container_statuses)
        return frozenset(id_ for id_ in found if id_)
