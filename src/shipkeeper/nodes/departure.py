"""One pod on its way from a node: what is known of it, and what it waits for."""

import asyncio
from datetime import datetime, timedelta

from shipkeeper.model.pod import Pod

_IN_TIME = timedelta(seconds=10)


class Departure:
    """What became of one pod so far; those of a lower rank leave before it."""

    def __init__(self, pod: Pod, rank: int) -> None:
        self.pod = pod
        self.rank = rank
        self.gone = asyncio.Event()
        self.is_awaited = False
        # Whether its end is under way: nothing has to be asked of anybody any more.
        self.is_ending = False
        # Once it was ended past its budget: until when it has time for that.
        self.last_call: float | None = None
        self.state = ""
        self.message = ""

    @property
    def description(self) -> str:
        """The pod's key, and what it waits for."""
        return f"{self.pod.key} ({self.state}: {self.message})" if self.message else self.pod.key


def overdue(pod: Pod, now: datetime) -> str:
    """Why a pod whose deletion is long due may still be there; empty while it is in time."""
    due = pod.metadata.deletion_timestamp
    if due is None or now - due < _IN_TIME:
        return ""
    held = f"; it is held by finalizers {', '.join(f)}" if (f := pod.metadata.finalizers) else ""
    return f"its deletion was due at {due:%T}Z{held}"
