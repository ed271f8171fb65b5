"""The one observer of a cluster, however many look: it keeps trying, and says how stale it is."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import msgspec

from shipkeeper.engine.session import cluster_identity
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.nodes.current import CurrentInventory

_TRY_AGAIN = 2.0  # seconds


class Trouble(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why what is shown may be older than the cluster, and since when; never seen if None."""

    message: str
    hint: str
    since: datetime | None


class Observer:
    """Follows a cluster for the length of `observing`; `inventory` is None until it was seen.

    `identity` tells the cluster from others, as the journal does; empty until it was seen.
    """

    def __init__(self, connection: Connection) -> None:
        self.inventory: CurrentInventory | None = None
        self.identity = ""
        self._told = ""
        self._connection = connection
        self._error: ShipkeeperError | None = None

    @property
    def identities(self) -> frozenset[str]:
        """What the cluster goes by: its `identity`, and what somebody else was told."""
        return frozenset((self.identity, self._told)) - {""}

    async def ask_as(self, connection: Connection) -> None:
        """Let somebody else's account see what the console's own may not: whose runs are these."""
        if self.identity in ("", connection.credentials.server):
            with suppress(ShipkeeperError):
                self._told = await cluster_identity(Reader(connection))

    @property
    def version(self) -> int:
        """Grows with every change that was seen."""
        return self.inventory.version if self.inventory is not None else -1

    @property
    def trouble(self) -> Trouble | None:
        """What keeps it from seeing the cluster as it is; None if nothing does."""
        if self.inventory is None:
            error = self._error
            message = error.message if error else "the cluster has not been looked at yet"
            return Trouble(message=message, hint=error.hint if error else "", since=None)
        since = self.inventory.stale_since
        if since is None:
            return None
        error = self.inventory.last_error
        return Trouble(
            message=error.message if error else "the API server is silent",
            hint=error.hint if error else "",
            since=since,
        )

    async def run(self) -> None:
        """Follow for good; what goes wrong is kept, and tried again."""
        while True:
            try:
                async with CurrentInventory(Reader(self._connection)) as inventory:
                    self.identity = await cluster_identity(Reader(self._connection))
                    self.inventory, self._error = inventory, None
                    await inventory.ended()
            except ShipkeeperError as error:
                self._error = error
            finally:
                self.inventory = None
            await asyncio.sleep(_TRY_AGAIN)


@asynccontextmanager
async def observing(connection: Connection) -> AsyncGenerator[Observer]:
    """An observer at work."""
    observer = Observer(connection)
    task = asyncio.create_task(observer.run(), name="observe the cluster")
    try:
        yield observer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
