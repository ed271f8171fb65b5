"""No way to hosts: the operator lists volumes in a backup, and reads none."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from shipkeeper.backup.volumes.saving import Hosts
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import Connection


@asynccontextmanager
async def no_hosts(connection: Connection) -> AsyncGenerator[Hosts]:
    """UsageError: nobody asked for files of volumes."""
    raise UsageError(
        "the operator does not read the files of volumes",
        reason="NoHosts",
        hint="save them with: shipkeeper backup create --volumes all",
    )
    yield
