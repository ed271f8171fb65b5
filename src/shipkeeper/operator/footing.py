"""What the operator's changes stand on: it leads, and its run holds the cluster's lock."""

from shipkeeper.kube.steady import Footing


class Both:
    """A footing that is firm while two others are."""

    def __init__(self, one: Footing, other: Footing) -> None:
        self._both = (one, other)

    async def firm(self) -> None:
        """Return as soon as a change may be begun."""
        # The second may have taken its time: the first is asked again, at no cost if it is firm.
        for each in (*self._both, self._both[0]):
            await each.firm()

    async def proven(self) -> None:
        """Return once the API server has taken a change that was sent after this was called."""
        for each in self._both:
            await each.proven()
