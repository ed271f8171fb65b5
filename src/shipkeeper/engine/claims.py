"""Claims: what steps hold of things that there is only so much of, such as nodes that may be down.

Pure bookkeeping: a run asks it before it begins a step, a rehearsal asks it in virtual time.
"""

from collections import Counter
from collections.abc import Mapping


class Claims:
    """Who holds how much of what; things without a limit are not counted."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._held: dict[str, Mapping[str, int]] = {}
        self._total: Counter[str] = Counter()

    def fit(self, wanted: Mapping[str, int]) -> bool:
        """Whether so much can be held besides what is held already.

        Who wants more than there is at all may have it when nobody else holds any.
        """
        return all(
            self._total[thing] == 0 or self._total[thing] + amount <= limit
            for thing, amount in wanted.items()
            if (limit := self._limits.get(thing)) is not None
        )

    def hold(self, holder: str, wanted: Mapping[str, int]) -> None:
        """Note what a holder holds from now on."""
        self._held[holder] = wanted
        self._total.update(wanted)

    def release(self, holder: str) -> None:
        """Give back all that a holder holds; nothing if it holds nothing."""
        self._total.subtract(self._held.pop(holder, {}))

    def holders_of(self, things: Mapping[str, int]) -> tuple[str, ...]:
        """Who holds any of these things, in the order in which they took them."""
        return tuple(
            holder for holder, held in self._held.items() if not things.keys().isdisjoint(held)
        )
