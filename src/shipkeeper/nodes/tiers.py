"""The order in which pods leave a node: those that matter most to the others leave last; pure.

A kubelet that shuts its node down gracefully ends pods in such an order, too (KEP-2712).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from shipkeeper.model.pod import Pod

# From here on up are the system-cluster-critical and system-node-critical priority classes
# (scheduling.SystemCriticalPriority in pkg/apis/scheduling/types.go).
CRITICAL_PRIORITY = 2_000_000_000


class PodOrder(StrEnum):
    """All at once, critical pods after all others, or one priority after the other."""

    NONE = "none"
    CRITICAL = "critical"
    PRIORITY = "priority"


def rank_of(pod: Pod, order: PodOrder) -> int:
    """A pod's place in the order: those of a lower rank leave before."""
    match order:
        case PodOrder.NONE:
            return 0
        case PodOrder.CRITICAL:
            return int(pod.spec.priority >= CRITICAL_PRIORITY)
        case PodOrder.PRIORITY:
            return pod.spec.priority


def number_tiers(ranks: Iterable[int]) -> Mapping[int, int]:
    """The tier of each rank, from 1; no rank has one if there is only one."""
    distinct = sorted(set(ranks))
    if len(distinct) < 2:
        return {}
    return {rank: tier for tier, rank in enumerate(distinct, start=1)}
