"""Commands that the console starts: they go on when it ends, and act as whoever asked for them.

A token never touches the disk: the command reads its kubeconfig from memory that it inherits. For
somebody with a client certificate it stands in as the console does, by impersonation.
"""

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shipkeeper.engine import agreement
from shipkeeper.engine.origin import Origin
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.bearer import token_kubeconfig
from shipkeeper.web.console import Console
from shipkeeper.web.person import Person
from shipkeeper.web.problem import RefusedError

_LOOK_EVERY = 0.1  # seconds
_PATIENCE = 120.0  # seconds that a run may take to begin
# The number that the kubeconfig's file has in the command.
_INHERITED = 9
_FileAction = tuple[int, int, int] | tuple[int, int, str, int, int]
# By the exit code of the command (errors.py).
_CODES = {2: 400, 3: 409, 5: 409, 6: 409}


class _Line(msgspec.Struct, frozen=True):
    type: str = ""
    run: str = ""


class Command:
    """A command that was started; it goes on whatever becomes of this."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self._log = log
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, None while it goes on."""
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code

    async def begun(self) -> str:
        """The run that it drives, once it does; the error that it ended with before."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                is_over = self.poll() is not None
                runs = [run for line in self._lines() if (run := _run_of(line))]
                if runs:
                    return runs[0]
                if is_over:
                    raise self.failure()
                await asyncio.sleep(_LOOK_EVERY)

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        # Waiting in a thread would keep the console from ending before the command does.
        while (code := self.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY)
        return code

    def failure(self) -> ShipkeeperError:
        """The error that it ended with."""
        code, lines = self.poll() or 0, self._lines()
        if _after("error: ", lines).startswith(agreement.CHANGED):
            return agreement.PlanChangedError()
        return RefusedError(
            _CODES.get(code, 500),
            _after("error: ", lines) or f"the command ended with exit code {code}",
            reason="CommandFailed",
            hint=_after("hint: ", lines) or f"what it said is in {self._log}",
        )

    def _lines(self) -> Sequence[str]:
        return self._log.read_text("utf-8", "replace").splitlines()


# Whoever started a process has to take its exit code, or it stays in the system's table.
_started: list[Command] = []


def start(console: Console, person: Person, words: Sequence[str], *, agreed: str = "") -> Command:
    """Start `shipkeeper WORDS` as a person, in a session of its own.

    `agreed` is the digest of the plan that they saw: the command begins that one or none.
    """
    _started[:] = [each for each in _started if each.poll() is None]
    console.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = console.directory / f"{words[0]}-{secrets.token_hex(6)}.log"
    origin = Origin(person=person.identity.username, door="console")
    environment = {**os.environ, **origin.environment(), **agreement.environment(agreed)}
    arguments = [sys.executable, "-m", "shipkeeper.cli.main", *words]
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    files: list[_FileAction] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    with _closing([output]) as opened:
        if person.is_local:
            arguments += console.settings.flags
        elif person.certificate:
            arguments += (*console.settings.flags, *_standing_in(person))
        else:
            opened.append(_kubeconfig(console, person))
            arguments.append(f"--context={_context(console)}")
            files.append((os.POSIX_SPAWN_DUP2, opened[-1], _INHERITED))
            root = "/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd"
            environment["KUBECONFIG"] = f"{root}/{_INHERITED}"
        pid = os.posix_spawn(
            sys.executable, arguments, environment, file_actions=files, setsid=True
        )
    command = Command(pid, log)
    _started.append(command)
    return command


@contextmanager
def _closing(descriptors: list[int]) -> Generator[list[int]]:
    """A list of open files, all closed at the end."""
    try:
        yield descriptors
    finally:
        for each in descriptors:
            os.close(each)


def _standing_in(person: Person) -> list[str]:
    """The flags to act as somebody whom the console knows by their certificate."""
    whom = person.connection.credentials.impersonation
    return [f"--as={whom.user}", *(f"--as-group={each}" for each in whom.groups or ())]


def _kubeconfig(console: Console, person: Person) -> int:
    """A file without a name that holds a person's kubeconfig."""
    descriptor = _memory()
    credentials = console.connection.credentials
    os.write(descriptor, token_kubeconfig(credentials, person.token, _context(console)))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _context(console: Console) -> str:
    """As a person's kubeconfig calls the only cluster that it has."""
    return console.settings.context or "kubernetes"


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
