"""What the tests of remote commands have in common."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shipkeeper.hosts.errors import HostError
from shipkeeper.hosts.remote import RemoteCommand, RemoteOptions
from shipkeeper.hosts.ssh import SshHost
from tests.hosts.sshd import SshServer

QUICK = RemoteOptions(reconnect_limit=60, reconnect_base=0.05)


class Field:
    """A server, and a directory on it where scripts leave their marks."""

    def __init__(self, server: SshServer, local: Path) -> None:
        self.server = server
        self.marks = server.home / "marks"
        self.marks.mkdir()
        self.marks.chmod(0o777)
        self.local = local
        self.shown: list[str] = []
        self.troubles: list[HostError] = []

    def command(self, script: str, *, login: dict[str, Any] | None = None, **changes: Any):
        settings: dict[str, Any] = {"options": QUICK, **changes}
        return RemoteCommand(
            SshHost("127.0.0.1", self.server.options(**(login or {}))),
            "run-1/node-1",
            script.replace("MARKS", str(self.marks)),
            self.local,
            show=self.shown.append,
            trouble=self.troubles.append,
            **settings,
        )

    async def marked(self, name: str) -> None:
        async with asyncio.timeout(60):
            while not (self.marks / name).exists():
                await asyncio.sleep(0.02)

    def mark(self, name: str) -> None:
        (self.marks / name).touch()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not true():
                await asyncio.sleep(0.02)


# Counts its starts, then waits to be let go.
PATIENT = """
echo x >> MARKS/count
echo first; touch MARKS/begun
until [ -e MARKS/go ]; do sleep 0.05; done
echo second; exit 7
"""


def count(field: Field) -> str:
    return (field.marks / "count").read_text()
