"""The pace of a maintenance: how long its parts take, as far as the cluster shows it; pure."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean, median

import msgspec

from shipkeeper.model.meta import condition
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.options import MaintenanceOptions

_USUAL_REPLACEMENT = 30.0
_USUAL_UPDATE = 120.0
_USUAL_TERMINATION = 0.5
_LEAST_REPLACEMENT = 0.1
# The API server writes it into pods that say nothing.
_USUAL_GRACE = 30
# So many pods of one controller tell how fast it is; fewer say less than all pods of the cluster.
_TELLING = 4
# A step that waits for nothing takes about as long as so many requests one after the other: what
# it reads and writes, and its entries in the journal.
_REQUESTS_OF_A_STEP = 10


class Pace(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long things take, in seconds.

    leave: from an eviction until the pod is gone, at most its grace period, which `grace` replaces
    if it was asked for; replace: from an eviction until the replacement is Ready, for pods of some
    controllers by their UID in `replacements`; update: a node's own work until it is Ready again;
    soak: how long health has to hold at a gate; step: any other step.
    """

    leave: float = _USUAL_TERMINATION
    grace: int | None = None
    replace: float = _USUAL_REPLACEMENT
    replacements: dict[str, float] = {}
    update: float = _USUAL_UPDATE
    soak: float = 0.0
    step: float = 0.05

    def leave_of(self, pod: Pod) -> float:
        """How long a pod takes to be gone."""
        own = pod.spec.termination_grace_period_seconds
        grace = self.grace if self.grace is not None else own
        return min(self.leave, _USUAL_GRACE if grace is None else grace)

    def replacement_of(self, pod: Pod) -> float:
        """How long the replacement of a pod takes to get Ready, and to be counted by its budget."""
        owner = pod.metadata.controller
        return self.replacements.get(owner.uid, self.replace) if owner else self.replace


def observed_pace(
    state: FleetState,
    options: MaintenanceOptions,
    update: float | None,
    round_trip: float | None = None,
    termination: float | None = None,
) -> Pace:
    """The pace of a cluster: how long its pods took to get Ready, and what the update is said to.

    Without a word about it an update takes as long as the wait that was asked for. `round_trip` is
    how many seconds a small request takes, `termination` how many a pod takes to end.
    """
    step = Pace().step if round_trip is None else round_trip * _REQUESTS_OF_A_STEP
    took: defaultdict[str, list[float]] = defaultdict(list)
    for pod in state.everything:
        owner, seconds = pod.metadata.controller, _seconds_to_ready(pod)
        if owner is not None and seconds is not None:
            took[owner.uid].append(seconds)
    # The controller and the scheduler act first, and the budget's has to see the new pod.
    hearsay = 3 * step
    everybody = [seconds for found in took.values() for seconds in found]
    return Pace(
        leave=_USUAL_TERMINATION if termination is None else termination + step,
        grace=options.drain.grace_period_seconds,
        replace=_usual(everybody) + hearsay if everybody else _USUAL_REPLACEMENT,
        replacements={
            uid: _usual(found) + hearsay for uid, found in took.items() if len(found) >= _TELLING
        },
        update=update if update is not None else (options.wait or _USUAL_UPDATE),
        soak=options.health.soak,
        step=step,
    )


def _seconds_to_ready(pod: Pod) -> float | None:
    """From a pod's place on a node until it was Ready; None if it is not, or does not tell."""
    ready = condition(pod.status.conditions, "Ready")
    if ready is None or ready.status != "True" or ready.last_transition_time is None:
        return None
    # Before it had a place it may have waited for one for hours.
    placed = condition(pod.status.conditions, "PodScheduled")
    began = (placed and placed.last_transition_time) or pod.metadata.creation_timestamp
    return None if began is None else (ready.last_transition_time - began).total_seconds()


def _usual(took: Iterable[float]) -> float:
    """A mean without those that got unready later on, or had a long way there.

    The cluster tells whole seconds: their mean is right on average, their median is not.
    """
    found = sorted(took)
    limit = 3 * median(found) + 2
    return max(fmean(each for each in found if each <= limit), _LEAST_REPLACEMENT)
