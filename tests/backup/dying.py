"""A restore in a process of its own that kills itself at one of its requests that write."""

import asyncio
import os
import signal
import traceback
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.opening import Place, open_repository
from shipkeeper.backup.restore import execute, prepare
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.restore_plan import has_work
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.engine.progress import quiet
from shipkeeper.kube.config import ConnectionOptions, load_credentials
from shipkeeper.kube.connection import NO_TIME, Connection

_REQUEST_TIMEOUT = timedelta(seconds=60)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to restore, and when to die: at the n-th write (0 for never), before or after it."""

    kubeconfig: str
    journal: str
    place: Place
    options: RestoreOptions
    outcome: str
    """A file for what became of it, if it lived to tell."""
    dies_at: int = 0
    is_sent: bool = True


class DyingConnection(Connection):
    """A connection that kills its process with SIGKILL around its n-th request that writes."""

    dies_at = 0
    is_sent = True

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: timedelta = _REQUEST_TIMEOUT,
        last_wait: timedelta = NO_TIME,
    ) -> bytes:
        """Send a request, or die."""
        is_write = method != "GET" and "dryRun" not in (query or {}) and "review" not in path
        if is_write:
            self.dies_at -= 1
        is_last = is_write and self.dies_at == 0
        if is_last and not self.is_sent:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await super().send(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            timeout=timeout,
            last_wait=last_wait,
        )
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def restore(encoded: bytes) -> None:
    """Plan and run a restore to its end, or to this process's; exit code 1 if it fails."""
    request = msgspec.json.decode(encoded, type=Request)
    try:
        failure = asyncio.run(_restore(request))
    except BaseException:
        failure = traceback.format_exc()
    Path(request.outcome).write_text(failure)
    raise SystemExit(1 if failure else 0)


async def _restore(request: Request) -> str:
    options = ConnectionOptions(kubeconfig=request.kubeconfig)
    connection = DyingConnection(await load_credentials(options))
    connection.dies_at, connection.is_sent = request.dies_at, request.is_sent
    try:
        return await _restore_with(connection, request)
    finally:
        await connection.close()


async def _restore_with(connection: Connection, request: Request) -> str:
    """Why it failed; nothing if it did not."""
    journal = Journal(Path(request.journal))
    async with open_repository(request.place) as repository:
        archive = await open_archive(repository, "latest")
        prepared = await prepare(connection, archive, repository.id, request.options)
        if not has_work(prepared.plan):
            return ""
        result = await execute(connection, archive, journal, prepared, quiet, lambda _: None)
    if result.outcome is Outcome.SUCCEEDED:
        return ""
    return f"{result.outcome}: {result.failures}; {prepared.plan.verdicts}"
