"""Commands that the console starts: they go on when it ends, and act as whoever asked for them.

A token never touches the disk: the command reads its kubeconfig from memory that it inherits.
"""

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shipkeeper.engine.origin import Origin
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.bearer import token_kubeconfig
from shipkeeper.web.console import Console
from shipkeeper.web.person import Person
from shipkeeper.web.problem import RefusedError

_LOOK_EVERY = 0.1  # seconds
_PATIENCE = 120.0  # seconds that a run may take to begin
# By the exit code of the command (errors.py).
_CODES = {2: 400, 3: 409, 5: 409, 6: 409}


class _Line(msgspec.Struct, frozen=True):
    type: str = ""
    run: str = ""


class Command:
    """A command that was started; whoever drops it does not end it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    async def begun(self) -> str:
        """The run that it drives, once it does; the error that it ended with before."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                is_over = self._process.poll() is not None
                lines = self._log.read_text("utf-8", "replace").splitlines()
                runs = [run for line in lines if (run := _run_of(line))]
                if runs:
                    return runs[0]
                if is_over:
                    raise self._failure(lines)
                await asyncio.sleep(_LOOK_EVERY)

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        # Waiting in a thread would keep the console from ending before the command does.
        while (code := self._process.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY)
        return code

    def failure(self) -> ShipkeeperError:
        """The error that it ended with."""
        return self._failure(self._log.read_text("utf-8", "replace").splitlines())

    def _failure(self, lines: Sequence[str]) -> ShipkeeperError:
        code = self._process.returncode
        message = _after("error: ", lines) or f"the command ended with exit code {code}"
        return RefusedError(
            _CODES.get(code, 500),
            message,
            reason="CommandFailed",
            hint=_after("hint: ", lines) or f"what it said is in {self._log}",
        )


def start(console: Console, person: Person, words: Sequence[str]) -> Command:
    """Start `shipkeeper WORDS` as a person, in a session of its own."""
    console.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = console.directory / f"{words[0]}-{secrets.token_hex(6)}.log"
    origin = Origin(person=person.identity.username, door="console")
    environment = {**os.environ, **origin.environment()}
    with _login(console, person) as (flags, descriptors, more):
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "shipkeeper.cli.main", *words, *flags],
                env={**environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=descriptors,
            )
        finally:
            os.close(output)
    return Command(process, log)


_Login = tuple[tuple[str, ...], tuple[int, ...], dict[str, str]]


@contextmanager
def _login(console: Console, person: Person) -> Generator[_Login]:
    """Flags, inherited files and environment with which a command acts as a person."""
    if person.is_local:
        yield console.settings.flags, (), {}
        return
    content = token_kubeconfig(console.connection.credentials, person.token)
    descriptor = _memory()
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        root = "/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd"
        yield (), (descriptor,), {"KUBECONFIG": f"{root}/{descriptor}"}
    finally:
        os.close(descriptor)


def _memory() -> int:
    """A file without a name: in memory where the system can do that, else unlinked."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("kubeconfig")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _run_of(line: str) -> str:
    if not line.startswith("{"):
        return ""
    try:
        found = msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError:
        return ""
    return found.run if found.type == "run" else ""


def _after(prefix: str, lines: Sequence[str]) -> str:
    found = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
    return found[-1] if found else ""
