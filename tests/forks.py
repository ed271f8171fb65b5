"""Processes that tests start often: forked off one that has imported what they need."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from threading import Lock
from typing import Any

from shipkeeper.cli.main import main

_PRELOADED = ["tests.preloaded"]


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_PRELOADED)
# Whoever starts a process asks what became of all others: an exit code can be read but once.
_one_at_a_time = Lock()


class Fork:
    """A process of its own; it is handled as those of `subprocess` are.

    It writes into files, if some are named.
    """

    def __init__(
        self,
        what: Callable[[], int | None],
        out: Path | None = None,
        errors: Path | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        words = (what, out, errors, dict(environment), Path.cwd())
        self._process = _context.Process(target=_do, args=words, daemon=True)
        with _one_at_a_time:
            self._process.start()

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        with _one_at_a_time:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it ended."""
        wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise TimeoutError(f"it did not end within {timeout} s")
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill it at once."""
        self.send_signal(signal.SIGKILL)


def _do(
    what: Callable[[], int | None],
    out: Path | None,
    errors: Path | None,
    environment: Mapping[str, str],
    folder: Path,
) -> None:
    for stream, path in ((1, out), (2, errors)):
        if path is not None:
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), stream)
    signal.signal(signal.SIGUSR1, _tell_tasks)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    raise SystemExit(what())


def _tell_tasks(*_signal: object) -> None:
    """Tell on stderr where each task waits: of a process that stands still one wants to know."""
    for task in asyncio.all_tasks(asyncio.get_running_loop()):
        sys.stderr.write(f"task {task.get_name()}\n")
        waiting: Any = task.get_coro()
        while (frame := getattr(waiting, "cr_frame", None)) is not None:
            sys.stderr.write(f"  {frame.f_code.co_filename}:{frame.f_lineno}\n")
            waiting = waiting.cr_await
        sys.stderr.write(f"  {waiting!r}\n")
    sys.stderr.flush()


class Command:
    """A command line, to be given to a `Fork`."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)

    def __call__(self) -> int:
        """Run it as the installed program does."""
        sys.argv = self.words
        return main()


def run_forked(
    words: Sequence[str], environment: Mapping[str, str], *, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command line of ours to its end."""
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder) / "out", Path(folder) / "errors"
        fork = Fork(Command(words), out, errors, environment)
        try:
            code = fork.wait(timeout)
        finally:
            fork.kill()
        return subprocess.CompletedProcess(list(words), code, out.read_text(), errors.read_text())
