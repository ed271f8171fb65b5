"""Budgets of a run as gauges: how many pods are healthy, and the line that must be held."""

import msgspec

from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.nodes.picture import PodState
from shipkeeper.web.following import FollowedRun


class Gauge(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A budget: how many of its pods are healthy, and the line that they must not fall below.

    `lowest` is the least that this console saw since somebody looks at it; None if it saw none.
    """

    name: str
    healthy: int
    line: int
    expected: int
    allowed: int
    lowest: int | None
    waiting: int


def gauges_of(run: FollowedRun) -> tuple[Gauge, ...]:
    """The budgets of a run, by name."""
    waiting: dict[str, int] = {}
    for pod in run.picture.pods.values():
        if pod.state is PodState.WAITING and pod.budget:
            waiting[pod.budget] = waiting.get(pod.budget, 0) + 1
    return tuple(_gauge(each, run.lowest, waiting) for each in run.budgets())


def _gauge(budget: PodDisruptionBudget, lowest: dict[str, int], waiting: dict[str, int]) -> Gauge:
    status = budget.status
    return Gauge(
        name=budget.key,
        healthy=status.current_healthy,
        line=status.desired_healthy,
        expected=status.expected_pods,
        allowed=status.disruptions_allowed,
        lowest=lowest.get(budget.key),
        waiting=waiting.get(budget.key, 0),
    )
