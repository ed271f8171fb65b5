"""A host on this machine: a shell in namespaces of its own, with its own /etc and /var/lib.

Its network is the machine's, so that the servers of a test are its own.
"""

import asyncio
import re
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from shipkeeper.hosts.host import Answer, Feed, Stream, Take

_ENTER = (
    "mount -t tmpfs none /etc && mkdir /etc/kubernetes && mount --bind {etc} /etc/kubernetes && "
    "mount -t tmpfs none /var/lib && mkdir /var/lib/kubelet && "
    "mount --bind {lib} /var/lib/kubelet && exec sh -s"
)

_KEYS = re.compile(rb"PRIVATE KEY-----\n([^-]+)-----END|client-key-data: \"?([^\"\n]+)")


class LocalSession:
    """Runs programs in the namespaces."""

    def __init__(self, folder: Path, told: list[bytes]) -> None:
        self._folder = folder
        self._told = told

    async def execute(self, program: str, output: Callable[[bytes], None]) -> Answer:
        entering = _ENTER.format(etc=self._folder / "etc", lib=self._folder / "lib")
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", entering),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, errors = await process.communicate(program.encode())
        self._told.append(out)
        output(out)
        return Answer(exit_code=process.returncode or 0, errors=errors.decode())

    async def stream(self, program: str, output: Take, feed: Feed | None = None) -> Answer:
        raise AssertionError("certificates are looked at without streams")

    async def dial(self, address: str, port: int) -> Stream:
        return await asyncio.open_connection(address, port)


class LocalHost:
    """A host whose files are in a folder: etc/ is its /etc/kubernetes, lib/ /var/lib/kubelet.

    `told` is all that ever left it.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self.told: list[bytes] = []
        for each in ("etc", "lib"):
            (folder / each).mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        return self._name

    def write(self, path: str, content: bytes) -> None:
        """Put a file on it: etc/… or lib/…."""
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def secrets(self) -> set[bytes]:
        """A line of each private key that its files hold, as it stands there."""
        return {
            line
            for file in self._folder.rglob("*")
            if file.is_file()
            for found in _KEYS.findall(file.read_bytes())
            for line in b" ".join(found).split()[-1:]
        }

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[LocalSession]:
        yield LocalSession(self._folder, self.told)
