"""Jobs as the API server shows them, and what became of their pods."""

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.container import WaitingState
from shipkeeper.model.meta import Condition, KubeObject, condition
from shipkeeper.model.pod import PodStatus


class JobStatus(KubeStruct, frozen=True, kw_only=True):
    """How far the Job's controller says that it is."""

    conditions: tuple[Condition, ...] = ()


class Job(KubeObject, frozen=True, kw_only=True):
    """A Job."""

    status: JobStatus = JobStatus()

    @property
    def success(self) -> Condition | None:
        """The condition that says that it succeeded, if it did."""
        return self._true("Complete")

    @property
    def failure(self) -> Condition | None:
        """The condition that says that it failed, if it did, and why."""
        return self._true("Failed")

    def _true(self, type_: str) -> Condition | None:
        found = condition(self.status.conditions, type_)
        return found if found is not None and found.status == "True" else None


class TerminatedState(KubeStruct, frozen=True, kw_only=True):
    """How a container ended, and what it said last."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""


class EndedState(KubeStruct, frozen=True, kw_only=True):
    """Where a container stands, as far as a Job's end is told by it."""

    waiting: WaitingState | None = None
    terminated: TerminatedState | None = None


class JobContainer(KubeStruct, frozen=True, kw_only=True):
    """One container of a Job's pod."""

    name: str = ""
    state: EndedState = EndedState()


class JobPodStatus(PodStatus, frozen=True, kw_only=True):
    """The status of a Job's pod, container by container."""

    container_statuses: tuple[JobContainer, ...] = ()


class JobPod(KubeObject, frozen=True, kw_only=True):
    """A pod of a Job, of which it matters why it ended."""

    status: JobPodStatus = JobPodStatus()

    @property
    def terminated(self) -> TerminatedState | None:
        """How its container ended, if it did."""
        return next(
            (
                each.state.terminated
                for each in self.status.container_statuses
                if each.state.terminated
            ),
            None,
        )

    @property
    def waiting(self) -> WaitingState | None:
        """Why its container does not run yet."""
        return next(
            (each.state.waiting for each in self.status.container_statuses if each.state.waiting),
            None,
        )
