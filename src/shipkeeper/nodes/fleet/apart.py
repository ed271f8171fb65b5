"""Which node follows which: neighbours in the order share as few budgets as they can; pure.

Nodes that are down together drain at the same time, and so does the one that follows as soon as one
of them is done. Evictions of one budget come one by one, each when the one before is counted, and
past what the budget allows each waits for a replacement. Nodes that hold pods of other budgets do
not wait for each other at all.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from itertools import islice

# Looking further ahead finds hardly better neighbours, and moves nodes far from their place.
_LOOK_AHEAD = 32

_NONE: Mapping[str, int] = {}


def keep_apart(
    nodes: Sequence[str],
    pods: Mapping[str, Mapping[str, int]],
    allowed: Mapping[str, int],
    neighbours: int,
) -> tuple[str, ...]:
    """The same nodes, each followed by that of the next ones which shares least with it.

    `pods` counts by node, and there by budget, the pods that leave; `allowed` is how many of a
    budget may be gone at once; `neighbours` is how many nodes drain side by side. Of nodes that
    share equally little the first goes: where nothing is shared, or one drains at a time, the order
    stays.
    """
    if neighbours < 2:
        return tuple(nodes)
    left = dict.fromkeys(nodes)
    recent: deque[str] = deque()
    load: Counter[str] = Counter()

    def shared(name: str) -> float:
        return sum(
            count * load[budget] / max(allowed.get(budget, 0), 1) ** 2
            for budget, count in pods.get(name, _NONE).items()
            if load[budget]
        )

    ordered: list[str] = []
    while left:
        chosen = min(islice(left, _LOOK_AHEAD), key=shared)
        del left[chosen]
        ordered.append(chosen)
        recent.append(chosen)
        load.update(pods.get(chosen, _NONE))
        if len(recent) >= neighbours:
            load.subtract(pods.get(recent.popleft(), _NONE))
    return tuple(ordered)
