"""One console opened: what it shares with others of its server, and what is its cluster's alone."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from shipkeeper.backup.opening import Place
from shipkeeper.engine.journal import Journal
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.identity import Identity, who_am_i
from shipkeeper.web.app import Application
from shipkeeper.web.console import Console, Settings
from shipkeeper.web.files import Files
from shipkeeper.web.observer import observing
from shipkeeper.web.sessions import Sessions
from shipkeeper.web.standing_in import require_standing_in

_PATIENCE = 3.0  # seconds
_UNKNOWN = Identity(username="you")


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What all consoles of a server have in common; `say` is told links and the like."""

    url: str
    is_local: bool
    takes_certificates: bool
    files: Files
    journal: Journal
    directory: Path
    place: Place | None
    planning: asyncio.Semaphore
    say: Callable[[str], None]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster of a console.

    `flags` lead a command to it. `mark` tells it from the others of its server in URLs and
    cookies; empty for the only one.
    """

    connection: ConnectionOptions
    flags: tuple[str, ...]
    mark: str = ""


@asynccontextmanager
async def opened(
    wanted: Wanted, shared: Shared, others: Callable[[], Iterable[Sessions]] = tuple
) -> AsyncGenerator[Application]:
    """A console at work; `others` are the sessions of whoever owns it in consoles of its server."""
    async with (
        connect(wanted.connection) as connection,
        observing(connection) as observer,
    ):
        if shared.takes_certificates:
            await require_standing_in(connection, shared.say)
        console = Console(
            settings=_settings(wanted, shared, connection),
            connection=connection,
            observer=observer,
            journal=shared.journal,
            sessions=_sessions(shared, wanted.mark),
            directory=shared.directory,
            place=shared.place,
            planning=shared.planning,
        )

        def say_link(token: str) -> None:
            shared.say(f"open in a browser (works once): {shared.url}/?link={token}")

        yield Application(console, shared.files, _Owner(connection), say_link, others)


def _settings(wanted: Wanted, shared: Shared, connection: Connection) -> Settings:
    return Settings(
        is_local=shared.is_local,
        takes_certificates=shared.takes_certificates,
        cluster=connection.credentials.server,
        context=wanted.connection.context,
        is_alone=not wanted.mark,
        flags=wanted.flags,
    )


def _sessions(shared: Shared, mark: str) -> Sessions:
    """Sessions whose cookie no other console on this machine takes for its own."""
    port = shared.url.rpartition(":")[2]
    name = f"shipkeeper-{port}" if shared.is_local else "__Host-shipkeeper"
    return Sessions(
        time.monotonic,
        cookie=f"{name}-{mark}" if mark else name,
        is_tls=not shared.is_local,
    )


class _Owner:
    """Who started the console, as far as the cluster tells; asked when somebody wants to know."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: Identity | None = None

    async def __call__(self) -> Identity:
        if self._known is None:
            # A cluster that is away is looked at all the same.
            with suppress(ShipkeeperError, TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    self._known = await who_am_i(self._connection)
        return self._known or _UNKNOWN
