"""A session of a run: found in the journal or begun, locked on this machine and in the cluster."""

import asyncio
import fcntl
import os
import re
import secrets
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipkeeper.engine.agreement import require_no_older
from shipkeeper.engine.journal import Journal, Outcome, RunRecord
from shipkeeper.engine.lock import cluster_lock
from shipkeeper.engine.origin import origin
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import RunStarted, Sink
from shipkeeper.engine.setback import History
from shipkeeper.errors import BlockedError, LockHeldError, UsageError
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ForbiddenError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NAMESPACES
from shipkeeper.kube.steady import Footing
from shipkeeper.kube.writer import Writer

_LOOKS = 10
_LOOK_EVERY = 1.0  # seconds
_RUN_OF_HOLDER = re.compile(r"^run (\S+) on (\S+)$")


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A run that this process alone drives; `directory` keeps its files.

    `tenure` is its hold of the cluster's lock, on which all its changes stand.
    """

    run: RunRecord
    tenure: Footing
    directory: Path
    is_resumed: bool


async def cluster_identity(reader: Reader) -> str:
    """What tells this cluster from all others: the UID of kube-system, else the server's URL."""
    try:
        return (await reader.get(NAMESPACES, "kube-system")).uid
    except ForbiddenError:
        return reader.connection.credentials.server


async def require_same_cluster(connection: Connection, run: RunRecord) -> None:
    """UsageError in another cluster; ForbiddenError if what told it apart may not be read now.

    An API server that has just started knows no roles for a moment, and is asked again.
    """
    seen = connection.credentials.server
    if run.cluster != seen:
        seen = await _uid(Reader(connection))
    if run.cluster != seen:
        raise UsageError(
            f"run {run.id} began in another cluster: {run.cluster}",
            reason="OtherCluster",
            hint="choose that cluster with --context",
        )


async def _uid(reader: Reader) -> str:
    looks = 1
    while True:
        try:
            return (await reader.get(NAMESPACES, "kube-system")).uid
        except ForbiddenError:
            if looks == _LOOKS:
                raise
        looks += 1
        await asyncio.sleep(_LOOK_EVERY)


@asynccontextmanager
async def open_session(
    connection: Connection, journal: Journal, plan: Plan, tell: Sink
) -> AsyncGenerator[Session]:
    """Go on with the unfinished run of the same request, or begin one with this plan.

    Raises LockHeldError if another process drives that run, or any run in this cluster, and
    BlockedError if that run is half aborted, or another plan was agreed to.
    """
    cluster = await cluster_identity(Reader(connection))
    found = journal.unfinished(cluster, plan.procedure, plan.request)
    if found is not None:
        require_resumable(found)
    run = found or new_run(plan, cluster)
    async with drive(connection, journal, run, tell, is_new=found is None) as session:
        yield session


@asynccontextmanager
async def drive(
    connection: Connection,
    journal: Journal,
    run: RunRecord,
    tell: Sink,
    *,
    is_new: bool = False,
    is_given_up: bool = False,
) -> AsyncGenerator[Session]:
    """Hold a run's locks; a new one is written into the journal once they are held.

    BlockedError, unless it is given up, if another plan was agreed to, or the cluster went back
    behind what the journal holds of it: what is taken back is looked at first.
    """
    root = journal.path.parent / "runs"
    identity = f"run {run.id} on {socket.gethostname()}"
    history = History(journal, run, connection.credentials.server)
    with local_lock(root / run.id, f"run {run.id} is driven"):
        if not is_new and not is_given_up:
            # Only now it is sure that nobody drives it.
            require_no_older(run.id)
        async with cluster_lock(
            Reader(connection),
            Writer(connection),
            identity,
            is_gone=lambda holder: _is_gone(holder, root),
            tell=tell,
            witness=history,
        ) as tenure:
            if not is_given_up:
                history.require_unbroken()
            if is_new:
                journal.begin(run)
            tell(RunStarted(run.id, run.plan, resumed=not is_new))
            yield Session(run=run, tenure=tenure, directory=root / run.id, is_resumed=not is_new)


def require_resumable(run: RunRecord) -> None:
    """BlockedError if a run was given up, but not yet to the end."""
    if run.outcome is Outcome.ABORTING:
        raise BlockedError(
            f"run {run.id} was given up, and stopped before everything was taken back",
            reason="RunHalfAborted",
            hint=f"take back the rest with: shipkeeper abort {run.id}",
        )


def run_directory(journal: Journal, run: str) -> Path:
    """Where the files of a run are."""
    return journal.path.parent / "runs" / run


def is_driven(journal: Journal, run: str) -> bool:
    """Whether a process of this machine drives a run now."""
    path = run_directory(journal, run) / "lock"
    return path.exists() and not _is_free(path)


def new_run(plan: Plan, cluster: str) -> RunRecord:
    """A run of a plan, not yet in the journal, begun by whoever runs this process."""
    began = origin()
    return RunRecord(
        id=f"{plan.procedure}-{secrets.token_hex(4)}",
        procedure=plan.procedure,
        cluster=cluster,
        plan=plan,
        started_at=datetime.now(UTC),
        person=began.person,
        door=began.door,
    )


@contextmanager
def local_lock(directory: Path, what: str) -> Generator[None]:
    """Hold what a directory stands for; LockHeldError if another process of this machine does.

    `what` are the words for that: "run x is driven".
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try_lock(descriptor):
            raise LockHeldError(
                f"{what} by another process on this machine",
                reason="RunInProgress",
                hint="wait for it to end, or stop it with Ctrl-C there",
            )
        yield
    finally:
        os.close(descriptor)


def _is_gone(holder: str, root: Path) -> bool:
    """Whether a lock's holder is a run of this machine that nobody drives any more."""
    found = _RUN_OF_HOLDER.match(holder)
    if found is None or found[2] != socket.gethostname():
        return False
    path = root / found[1] / "lock"
    return path.exists() and _is_free(path)


def _is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        return _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
