"""What every reconciler works with: the cluster, as whom, and on which footing."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from shipkeeper.engine.tenure import LeaseTimes
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.steady import Footing, SteadyConnection
from shipkeeper.kube.writer import Writer
from shipkeeper.operator.backups.unsealing import Identities
from shipkeeper.operator.measures import Measures
from shipkeeper.operator.sight import Sight
from shipkeeper.operator.told import explained

_HOLDER = re.compile(r"^run (\S+) of the operator in (\S+)$")

# A check, or a prune, of a large repository takes hours: there is a slot for backups beside it.
_HEAVY = 2


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One leader's surroundings; `footing` is its leadership, on which all changes stand.

    It `follows_setback` if the API server had gone back to an older state right before it began.
    `namespace` is where the operator lives, `node` where this process runs, and `image` what it
    runs from (empty if unknown). `directory` is what its runs keep on this machine: nothing of that
    is needed by the next leader.
    `is_job` tells that it is a Job's, which leads only what concerns its object.
    `driven` are runs that this process carries out now, and whose lock is theirs. `heavy` has the
    slots for pieces of work each of which may take long and much memory; `sight` gives turns to
    those that have all pods of the cluster in it for some seconds.
    """

    connection: Connection
    footing: Footing
    namespace: str
    node: str
    directory: Path
    follows_setback: bool = False
    image: str = ""
    is_job: bool = False
    times: LeaseTimes
    measures: Measures
    say: Callable[[str], None]
    driven: set[str] = msgspec.field(default_factory=set[str])
    identities: Identities = msgspec.field(default_factory=Identities)
    sight: Sight = msgspec.field(default_factory=Sight)
    heavy: asyncio.Semaphore = msgspec.field(default_factory=lambda: asyncio.Semaphore(_HEAVY))

    @property
    def steady(self) -> SteadyConnection:
        """Requests that outlast the API server's absence, and change nothing unless we lead."""
        return SteadyConnection(self.connection, self.footing)

    @property
    def reader(self) -> Reader:
        """Reads."""
        return Reader(self.steady)

    @property
    def writer(self) -> Writer:
        """Writes while we lead."""
        return Writer(self.steady)

    def holder(self, run: str) -> str:
        """Who holds the cluster's lock for a run, in words for the others."""
        whose = "a Job of the operator" if self.is_job else "the operator"
        return f"run {run} of {whose} in {self.namespace}"

    def is_gone(self, holder: str) -> bool:
        """Whether a holder of the lock is a run of a leader before us.

        That one began its last change before its leadership ran out, and we lead only since then.
        A Job knows that of its own run only, by whose name it holds the lock.
        """
        found = _HOLDER.match(holder)
        if self.is_job or found is None or found[2] != self.namespace:
            return False
        return found[1] not in self.driven

    def complain(self, what: str, error: ShipkeeperError) -> None:
        """Say what went wrong with an object."""
        self.say(f"{what}: {explained(error)}")
