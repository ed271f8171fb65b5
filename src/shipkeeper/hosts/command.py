"""A local command run for a node, whose end is known even if shipkeeper is killed meanwhile.

The command's shell holds a lock on its record for as long as it lives and writes its exit code
there at its end, so that a later shipkeeper can tell "still running", "ended with N" and "never
started" apart, and nothing is started twice. What it prints goes to a file that nobody else can
read; from there it is masked, shown and kept, and the file is removed.
"""

import asyncio
import fcntl
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.masking import Masking
from shipkeeper.hosts.output import OutputLog

_POLL_SECONDS = 0.1
_CHUNK_BYTES = 1 << 16

# The lock comes in as standard input and stays with the outer shell alone: what the command
# leaves running in the background does not count as the command. Whoever ends the process group
# ends the command; the outer shell stays to write the exit code.
_WRAPPER = """
printf '%s' "$$" > "$SHIPKEEPER_RECORD/pid.part" && mv "$SHIPKEEPER_RECORD/pid.part" \
"$SHIPKEEPER_RECORD/pid"
trap : TERM HUP INT
( eval "$SHIPKEEPER_COMMAND" ) < /dev/null
code=$?
printf '%s' "$code" > "$SHIPKEEPER_RECORD/exit.part" && mv "$SHIPKEEPER_RECORD/exit.part" \
"$SHIPKEEPER_RECORD/exit"
"""


class CommandError(ShipkeeperError):
    """A command could not be started, took too long, or its record is lost."""


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended; `tail` is the end of what it printed."""

    exit_code: int
    tail: str

    @property
    def ending(self) -> str:
        """Its end in words: its exit code, or by which signal it was killed."""
        try:
            return f"was killed by {signal.Signals(self.exit_code - 128).name}"
        except ValueError:
            return f"ended with exit code {self.exit_code}"


class LocalCommand:
    """One execution of one command line; `directory` keeps its record and its output."""

    def __init__(
        self,
        directory: Path,
        command: str,
        environment: Mapping[str, str],
        *,
        secrets: Mapping[str, str] | None = None,
        time_limit: float = 0.0,
        end_grace: float = 10.0,
        show: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Prepare it: `secrets` are masked; time_limit in seconds, 0 for none.

        At the limit it gets a SIGTERM, and SIGKILL after end_grace seconds more.
        """
        self.directory = directory
        self.command = command
        self._environment = {**environment, **(secrets or {})}
        self._secrets = (secrets or {}).values()
        self._time_limit = time_limit
        self._end_grace = end_grace
        self._show = show

    @property
    def output(self) -> Path:
        """Where the masked output is kept."""
        return self.directory / "output.log"

    @property
    def _raw(self) -> Path:
        return self.directory / "output.raw"

    @property
    def _exit(self) -> Path:
        return self.directory / "exit"

    @property
    def _pid(self) -> Path:
        return self.directory / "pid"

    @property
    def _timed_out(self) -> Path:
        return self.directory / "timed-out"

    @property
    def is_running(self) -> bool:
        """Whether it was started, by whomever, and has not ended."""
        if not self.directory.exists():
            return False
        lock = self._open_lock()
        try:
            return not _try_lock(lock)
        finally:
            os.close(lock)

    async def run(self) -> CommandResult:
        """Start it, or find out that it was started before, and wait for its end."""
        process: Process | None = None
        lock = self._open_lock()
        try:
            if _try_lock(lock) and not self._exit.exists() and not self._pid.exists():
                process = await self._start(lock)
        finally:
            os.close(lock)
        log = OutputLog(self.output, Masking(self._secrets), self._show)
        await self._follow(log, process)
        self._raw.unlink(missing_ok=True)
        return self._judge(log)

    def _open_lock(self) -> int:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CommandError(
                f"cannot keep the command's record in {self.directory}: {error}",
                reason="RecordUnwritable",
                hint="free space or mend permissions, then run the same command again",
            ) from error

    async def _start(self, lock: int) -> Process:
        environment = {
            **os.environ,
            **self._environment,
            "SHIPKEEPER_COMMAND": self.command,
            "SHIPKEEPER_RECORD": str(self.directory),
        }
        # The monotonic clock is the machine's: whoever comes next counts on from here.
        (self.directory / "started").write_text(str(time.monotonic()))
        output = os.open(self._raw, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                _WRAPPER,
                stdin=lock,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(output)

    async def _follow(self, log: OutputLog, process: Process | None) -> None:
        """Pass the output on until the command has ended, by itself or at its limit."""
        while self.is_running:
            self._pass_on(log)
            if self._time_limit and self._elapsed() > self._time_limit:
                self._end()
            # Another process's lock gives no event to wait for, the end of our own child does.
            ended = asyncio.Event().wait() if process is None else process.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await ended
        self._pass_on(log)
        log.finish()

    def _pass_on(self, log: OutputLog) -> None:
        if not self._raw.exists():
            return
        with self._raw.open("rb") as raw:
            raw.seek(log.taken)
            while chunk := raw.read(_CHUNK_BYTES):
                log.take(chunk)

    def _elapsed(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - float((self.directory / "started").read_text())

    def _end(self) -> None:
        """Ask the command to end; after a while end it without asking."""
        if not self._pid.exists():
            return
        with suppress(ProcessLookupError):
            if not self._timed_out.exists():
                self._timed_out.touch()
                os.killpg(int(self._pid.read_text()), signal.SIGTERM)
            elif self._elapsed() > self._time_limit + self._end_grace:
                os.killpg(int(self._pid.read_text()), signal.SIGKILL)

    def _judge(self, log: OutputLog) -> CommandResult:
        if self._timed_out.exists():
            raise CommandError(
                f"the command took longer than {self._time_limit:g} s; it was ended",
                reason="CommandTimedOut",
                hint=f"give it more time, or find out why it hung; its output is in {self.output}",
            )
        if not self._exit.exists():
            raise CommandError(
                f"the command ended without leaving its exit code in {self.directory}",
                reason="CommandLost",
                hint="it was killed or the machine went down; see output.log there",
            )
        return CommandResult(exit_code=int(self._exit.read_text()), tail=log.tail())


def _try_lock(descriptor: int) -> bool:
    """Take the record's lock unless a running command holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
