"""What all pages share: the observer, the journal, who is logged in, and how runs are started."""

import asyncio
import shlex
from pathlib import Path

import msgspec

from shipkeeper.backup.opening import Place
from shipkeeper.engine.journal import Journal
from shipkeeper.kube.connection import Connection
from shipkeeper.web.observer import Observer
from shipkeeper.web.sessions import Sessions

_PLANNED_AT_ONCE = 2


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the console was started.

    `is_local`: on this machine alone, for who started it; else everybody logs in, with a token or,
    if it `takes_certificates`, with a client certificate.
    `flags` are the connection flags to give to commands on behalf of who started it. One that
    `is_alone` shows all runs and backups that there are, of several each those of its own cluster.
    """

    is_local: bool
    takes_certificates: bool = False
    cluster: str
    context: str = ""
    is_alone: bool = True
    flags: tuple[str, ...] = ()

    def command_line(self, *words: str) -> str:
        """What somebody would type to have the same done in this very cluster.

        Files of this machine, and whom to stand in for, mean something to who started it alone.
        """
        shared = (f"--context={self.context}",) if self.context else ()
        where = self.flags if self.is_local else shared
        return shlex.join(("shipkeeper", *words, *where))


def a_few() -> asyncio.Semaphore:
    """Lets few plans be made at a time."""
    return asyncio.Semaphore(_PLANNED_AT_ONCE)


class Console(msgspec.Struct, frozen=True, kw_only=True):
    """One console; `connection` is its own, `directory` keeps what commands that it starts say.

    `place` is the repository whose backups are shown, if there is one. Plans are made in threads
    that others need, too: `planning` lets few be made at a time.
    """

    settings: Settings
    connection: Connection
    observer: Observer
    journal: Journal
    sessions: Sessions
    directory: Path
    place: Place | None = None
    planning: asyncio.Semaphore = msgspec.field(default_factory=a_few)

    def shows(self, cluster: str) -> bool:
        """Whether what is of a cluster is shown here."""
        return self.settings.is_alone or self.is_here(cluster)

    def is_here(self, cluster: str) -> bool:
        """Whether it is this cluster, known by its kube-system or, if that is closed, its URL."""
        return cluster in self.observer.identities or cluster == self.settings.cluster != ""

    @property
    def knows_all(self) -> bool:
        """Whether what is shown is all that there is: not while nothing tells the cluster apart."""
        return self.settings.is_alone or bool(self.observer.identities)
