"""Plans that were shown: nothing is begun but one of them, and what changed since is told."""

from collections import OrderedDict

from shipkeeper.engine.agreement import Gist, PlanChangedError, what_changed

_KEPT = 64
_LONGEST = 2_000  # lines of a plan that is kept


class ShownPlans:
    """The plans of a page that were shown lately; of others it is told that they are others."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def keep(self, shown: Gist) -> str:
        """The digest that a start has to bring along."""
        if len(shown.lines) <= _LONGEST:
            self._lines[shown.digest] = shown.lines
            self._lines.move_to_end(shown.digest)
            while len(self._lines) > _KEPT:
                self._lines.popitem(last=False)
        return shown.digest

    def require(self, digest: str, now: Gist) -> None:
        """PlanChangedError, with what changed, unless the plan that was shown is that of now."""
        if digest == now.digest:
            return
        before = self._lines.get(digest)
        raise PlanChangedError(what_changed(before, now.lines) if before is not None else "")
