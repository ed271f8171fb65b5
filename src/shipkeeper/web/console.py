"""What all pages share: the observer, the journal, who is logged in, and how runs are started."""

from pathlib import Path

import msgspec

from shipkeeper.engine.journal import Journal
from shipkeeper.kube.connection import Connection
from shipkeeper.web.observer import Observer
from shipkeeper.web.sessions import Sessions


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the console was started.

    `is_local`: on this machine alone, for who started it; else everybody logs in with a token.
    `flags` are the connection flags to give to commands on behalf of who started it.
    """

    is_local: bool
    cluster: str
    context: str = ""
    flags: tuple[str, ...] = ()


class Console(msgspec.Struct, frozen=True, kw_only=True):
    """One console; `connection` is its own, `directory` keeps what commands that it starts say."""

    settings: Settings
    connection: Connection
    observer: Observer
    journal: Journal
    sessions: Sessions
    directory: Path
