"""How long a node's drain may take, and what then becomes of the pods that are left.

It counts from the moment at which the drain was first begun, however often it was interrupted. In
this process a clock counts it that nobody sets: no pod is ended past its budget for a jump of time.
What is done past a budget is asked of the kubelet, never settled without it: no pod is deleted with
a grace period of 0, as on a node that does not answer it may still run.
"""

import time
from datetime import UTC, datetime, timedelta

from shipkeeper.kube.eviction import delete
from shipkeeper.kube.writer import Writer
from shipkeeper.model.duration import format_duration
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.options import AtDeadline, DrainOptions

# The shortest grace period with which the kubelet still has to say that the pod has ended.
_KILL_GRACE = 1
# What a kubelet may take beyond a pod's grace period before the drain gives up.
_SLACK = 60.0  # seconds
_USUAL_GRACE = 30


class Deadline:
    """The deadline of one drain that began at a moment; without one it is never over."""

    def __init__(self, writer: Writer, options: DrainOptions, began: datetime) -> None:
        self._writer = writer
        self._options = options
        passed = max((datetime.now(UTC) - began).total_seconds(), 0.0)
        self._at = time.monotonic() + options.deadline - passed if options.deadline else None

    @property
    def seconds_left(self) -> float | None:
        """How many seconds there are until then, 0 from then on; None without a deadline."""
        if self._at is None:
            return None
        return max(self._at - time.monotonic(), 0.0)

    @property
    def is_over(self) -> bool:
        """Whether the drain has taken too long."""
        return self.seconds_left == 0.0

    @property
    def is_the_end(self) -> bool:
        """Whether the drain is given up then."""
        return self._at is not None and self._options.at_deadline is AtDeadline.GIVE_UP

    @property
    def forces(self) -> bool:
        """Whether the pods that are left are then ended past their budgets."""
        return self._at is not None and not self.is_the_end

    @property
    def is_forcing(self) -> bool:
        """Whether that is to be done now."""
        return self.forces and self.is_over

    @property
    def words(self) -> str:
        """How long the drain may take, such as `5m`."""
        return format_duration(timedelta(seconds=self._options.deadline))

    def is_left_alone(self, pod: Pod) -> bool:
        """Whether a pod is not ended past its budget: nothing would bring it back."""
        return pod.metadata.controller is None and not (self._options.force or pod.is_finished)

    async def force(self, pod: Pod) -> float:
        """Delete a pod past its budget; until when, by `time.monotonic`, it should be gone.

        One whose deletion is under way keeps the time that it was given, unless it is to be killed.
        """
        kills = self._options.at_deadline is AtDeadline.KILL
        grace = _KILL_GRACE if kills else self._options.grace_period_seconds
        if kills or not pod.is_deleting:
            await delete(self._writer, pod, grace_period_seconds=grace)
        given = grace if grace is not None else pod.spec.termination_grace_period_seconds
        seconds = given if given is not None else _USUAL_GRACE
        return time.monotonic() + seconds + _SLACK
