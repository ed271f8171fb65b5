"""A host made of shims: the commands of a distribution, each noting how it was called."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from shipkeeper.hosts.presets import Script

_TOOLS = (
    "sh",
    "cat",
    "sort",
    "grep",
    "awk",
    "sed",
    "sleep",
    "id",
    "mkdir",
    "mv",
    "rm",
    "tr",
    "head",
    "tail",
    "cut",
    "setsid",
    "sync",
    "touch",
)


class FakeHost:
    """Scripts on it find the shims and a few plain tools, and nothing else of this machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root"
        self.state = directory / "state"
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.root.mkdir()
        for tool in _TOOLS:
            self.tool(tool)
        self.shim("uname", "echo 6.1.0-18-amd64")

    def tool(self, name: str) -> None:
        """Have the machine's own command."""
        found = shutil.which(name)
        assert found, name
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).symlink_to(found)

    def shim(self, name: str, body: str = "") -> None:
        """Have a command that notes its call and then does `body`, with D as its directory."""
        path = self.bin / name
        # Never write through a link to the machine's own command.
        path.unlink(missing_ok=True)
        text = f'#!/bin/sh\nD={self.directory}\necho "{name} $*" >> $D/calls\n{body}\n'
        path.write_text(text)
        path.chmod(0o755)

    def file(self, path: str) -> None:
        """Have an empty file."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()

    @property
    def calls(self) -> Sequence[str]:
        """The calls of shims, one a line."""
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    async def run(self, script: Script, **environment: str) -> tuple[int, str]:
        """The exit code and what was printed."""
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", script.text),
            env={
                "PATH": str(self.bin),
                "SHIPKEEPER_HOST_ROOT": str(self.root),
                "SHIPKEEPER_STATE": str(self.state),
                **environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.directory,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()
