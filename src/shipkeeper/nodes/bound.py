"""How fast a rolling maintenance can be at best: a bound that no order of nodes can beat."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from math import ceil

import msgspec

from shipkeeper.engine.history import RunHistory
from shipkeeper.engine.plan import Plan
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.plan import PodAction


class BudgetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The pods of one budget that must move, by node, and how many may be gone at a time."""

    pods: Mapping[str, int]
    allowed: int

    def rounds(self, pods: int) -> int:
        """In how many rounds so many of its pods can leave."""
        return ceil(pods / max(self.allowed, 1))


def budget_groups(state: ClusterState, plan: Plan) -> tuple[BudgetGroup, ...]:
    """The groups of pods that a plan moves under one budget each."""
    moving = {
        item.uid for step in plan.steps for item in step.items if item.action == PodAction.EVICT
    }
    pods: defaultdict[str, Counter[str]] = defaultdict(Counter)
    allowed: dict[str, int] = {}
    for pod in state.pods:
        budgets = state.budgets_of(pod)
        if pod.uid in moving and len(budgets) == 1:
            pods[budgets[0].key][pod.spec.node_name] += 1
            allowed[budgets[0].key] = budgets[0].status.disruptions_allowed
    return tuple(BudgetGroup(pods=pods[key], allowed=allowed[key]) for key in sorted(pods))


def update_seconds(history: RunHistory) -> dict[str, float]:
    """How long each node's own work took in a run: from its update to its being Ready again."""
    begun = {step.target: step.began_at for step in history.steps if step.action == "update"}
    ended = {step.target: step.ended_at for step in history.steps if step.action == "ready"}
    return {
        target.removeprefix("node/"): (end - start).total_seconds()
        for target, start in begun.items()
        if start is not None and (end := ended.get(target)) is not None
    }


def lower_bound_seconds(
    update_seconds: Mapping[str, float],
    groups: tuple[BudgetGroup, ...],
    *,
    replacement_seconds: float,
    max_unavailable: int,
) -> float:
    """The least time in which all nodes can be drained and updated.

    `update_seconds` is how long each node's own work takes; `replacement_seconds` how long an
    evicted pod's replacement takes to get Ready; at most `max_unavailable` nodes are down at once.
    It is the largest of three bounds: the slowest node, all nodes' work shared by those that may
    be down at once, and the rounds that the tightest budget needs.
    """
    times = {
        node: seconds + _waiting(node, groups) * replacement_seconds
        for node, seconds in update_seconds.items()
    }
    slowest = max(times.values(), default=0.0)
    shared = sum(times.values()) / max_unavailable
    rounds = max((group.rounds(sum(group.pods.values())) for group in groups), default=0)
    return max(slowest, shared, rounds * replacement_seconds)


def _waiting(node: str, groups: tuple[BudgetGroup, ...]) -> int:
    """How many replacements a node's drain has to wait for, one after the other."""
    return max((max(group.rounds(group.pods.get(node, 0)) - 1, 0) for group in groups), default=0)
