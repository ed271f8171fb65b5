"""A workshop: the private directory in which one way prepares the engines of one version."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets.engines import CONTROL_PLANE, Kit, NotServedError, Say

_TAIL_LINES = 12
_HEARTBEAT = 30.0


class Workshop(msgspec.Struct, frozen=True, kw_only=True):
    """Where a way puts the engines (`directory`) and works (`scratch`), and whom it tells."""

    version: str
    directory: Path
    log: Path
    lock: int
    say: Say
    kit: Kit

    @classmethod
    def open(
        cls,
        version: str,
        directory: Path,
        source: str,
        lock: int,
        say: Say,
        kit: Kit = CONTROL_PLANE,
    ) -> "Workshop":
        """Make the directories and an empty log for one attempt at `version`."""
        log = cache_dir() / "logs" / f"{kit.folder}-{version}-{source}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        workshop = cls(version=version, directory=directory, log=log, lock=lock, say=say, kit=kit)
        workshop.scratch.mkdir(parents=True)
        return workshop

    @property
    def scratch(self) -> Path:
        """A directory for everything that is thrown away before publishing."""
        return self.directory / ".scratch"

    def tell(self, progress: str) -> None:
        """Say one line of progress."""
        self.say(f"{self.version}: {progress}")

    def run(
        self,
        title: str,
        *command: str | Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run a command with its output in the log; NotServedError with the log's tail if it fails.

        `environment` is added to this process's own.
        """
        self.tell(title)
        with self.log.open("ab") as log:
            log.write(f"\n$ {' '.join(map(str, command))}\n".encode())
            log.flush()
            start = log.tell()
            with subprocess.Popen(
                command,
                cwd=cwd or self.scratch,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Children hold the lock too: when this process is killed, the next attempt waits
                # until none of them writes into the workshop any more.
                pass_fds=(self.lock,),
            ) as process:
                try:
                    code = self._wait(process, title)
                except BaseException:
                    process.kill()
                    raise
        if code:
            raise NotServedError(
                f"{Path(command[0]).name} failed (exit code {code}) while {title}; log: {self.log}"
                f"\n{self._tail(start)}"
            )

    def _wait(self, process: subprocess.Popen[bytes], title: str) -> int:
        began = time.monotonic()
        while True:
            try:
                return process.wait(_HEARTBEAT)
            except subprocess.TimeoutExpired:
                self.tell(f"still {title} ({time.monotonic() - began:.0f} s)")

    def _tail(self, start: int) -> str:
        with self.log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").rstrip().splitlines()
        return "\n".join(lines[-_TAIL_LINES:])
