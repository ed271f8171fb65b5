"""The nodes that a provider puts in the place of those that it took away."""

import asyncio
from datetime import timedelta

from shipkeeper.engine.journal import RunRecord
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.model.duration import format_duration
from shipkeeper.nodes.options import MaintenanceOptions

_LOOK_EVERY = 2.0  # seconds
# The API server tells whole seconds.
_ROUNDING = timedelta(seconds=1)


class Replacements:
    """Waits for a Ready node in the place of each that is gone, as long as a node may take.

    Otherwise the next node of a run would be taken while the cluster is smaller already than the
    run's limits let it be.
    """

    def __init__(
        self, reader: Reader, run: RunRecord, options: MaintenanceOptions, tell: Sink
    ) -> None:
        self._reader = reader
        self._tell = tell
        self._limit = options.ready_timeout
        self._since = run.started_at - _ROUNDING
        self._planned = {
            step.target.removeprefix("node/")
            for step in run.began_with.steps
            if step.target.startswith("node/")
        }
        self._given_up = 0

    async def wait(self, node: str) -> None:
        """Return once nothing is missing, or at the end of the time: it may have been one less."""
        if await self._missing() <= self._given_up:
            return
        self._tell(Note(f"waits for another node in the place of {node}"))
        try:
            async with asyncio.timeout(self._limit):
                # Somebody else's work: there is nothing of ours to wait for.
                while await self._missing() > self._given_up:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            self._given_up += 1
            took = format_duration(timedelta(seconds=self._limit))
            self._tell(Note(f"after {took} no node has come in the place of {node}; goes on"))

    async def _missing(self) -> int:
        """How many of the planned nodes are gone without another one that came and is Ready."""
        try:
            nodes = (await self._reader.list(NODES)).items
        except ShipkeeperError:
            return len(self._planned)
        there, young = set[str](), set[str]()
        ready = {each.name for each in nodes if each.is_ready}
        for each in nodes:
            made = each.metadata.creation_timestamp
            (young if made is not None and made >= self._since else there).add(each.name)
        return len(self._planned - there) - len(young & ready)
