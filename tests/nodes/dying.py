"""A maintenance in a process of its own that kills itself at one point."""

import asyncio
import os
import signal
import socket
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.engine import session
from shipkeeper.engine.journal import Entry, Journal, Outcome, RunRecord
from shipkeeper.engine.lock import cluster_lock
from shipkeeper.engine.progress import quiet
from shipkeeper.engine.tenure import LeaseTimes
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.nodes import procedure
from shipkeeper.nodes.options import MaintenanceOptions
from tests.forks import Fork
from tests.nodes.calls import Call, Calls

KILLED = -9


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to maintain, and when to die: at the n-th write of the journal, or at a call.

    The n-th write is 0 for never; `is_written` says whether death comes after it. With
    `gives_up` the newest run is aborted instead. `machine` is the host name that the process takes
    for its own; `renew_every` is how often the lock is renewed, in seconds; every call is noted in
    the file `notes`; `is_gentle` is explained in calls.py.
    """

    kubeconfig: str
    journal: str
    nodes: tuple[str, ...]
    options: MaintenanceOptions
    dies_at: int = 0
    is_written: bool = True
    dies_at_call: Call | None = None
    notes: str = os.devnull
    gives_up: bool = False
    machine: str = ""
    renew_every: float = 5.0
    is_gentle: bool = True


class DyingJournal(Journal):
    """A journal that kills its process with SIGKILL at its n-th write."""

    def __init__(self, path: Path, dies_at: int, *, is_written: bool) -> None:
        super().__init__(path)
        self._left = dies_at
        self._is_written = is_written

    async def write(self, entry: Entry) -> None:
        self._die(is_written=False)
        await super().write(entry)
        self._die(is_written=True)

    def begin(self, run: RunRecord) -> None:
        self._die(is_written=False)
        super().begin(run)
        self._die(is_written=True)

    async def finish(self, run: str, outcome: Outcome) -> None:
        self._die(is_written=False)
        await super().finish(run, outcome)
        self._die(is_written=True)

    def _die(self, *, is_written: bool) -> None:
        if is_written is not self._is_written:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def in_process(request: Request) -> int:
    """Carry a request out in a fresh process and return its exit code."""

    fork = Fork(partial(maintain, request))
    try:
        return await asyncio.to_thread(fork.wait, 300)
    except TimeoutError as error:
        raise AssertionError(f"it did not end: {request}") from error
    finally:
        fork.kill()


def maintain(request: Request) -> None:
    """Do what is asked for to its end, or to this process's; its exit code is the command's."""
    times = LeaseTimes(renew_every=timedelta(seconds=request.renew_every))
    setattr(session, "cluster_lock", partial(cluster_lock, times=times))  # noqa: B010
    if request.machine:
        socket.gethostname = lambda: request.machine
    try:
        outcome = asyncio.run(_maintain(request))
    except ShipkeeperError as error:
        raise SystemExit(error.exit_code) from error
    raise SystemExit(0 if outcome in (Outcome.SUCCEEDED, Outcome.ABORTED) else 1)


async def _maintain(request: Request) -> Any:
    journal = DyingJournal(Path(request.journal), request.dies_at, is_written=request.is_written)
    calls = Calls(Path(request.notes), request.dies_at_call, is_gentle=request.is_gentle)
    calls.follow_hosts()
    async with connect(ConnectionOptions(kubeconfig=request.kubeconfig)) as connection:
        calls.follow(connection)
        if request.gives_up:
            return await _give_up(connection, journal)
        _, plan = await procedure.prepare(connection, request.nodes, "", request.options)
        result = await procedure.execute(connection, journal, plan, quiet)
    return result.outcome


async def _give_up(connection: Connection, journal: Journal) -> Outcome | None:
    run = journal.runs()[0].id
    await procedure.abort(connection, journal, journal.run(run), quiet)
    return journal.run(run).outcome
