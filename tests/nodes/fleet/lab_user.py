"""A user who sits inside a lab's network, with a journal of their own."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from shipkeeper.sandbox.lab import Lab
from tests.cli.run import SHIPKEEPER

LIMIT = 400.0


class Command:
    """A shipkeeper at work; `lines` are what it said on stderr so far."""

    def __init__(self, words: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr, log.with_suffix(".out").open("wb") as stdout:
            self.process = subprocess.Popen(
                words, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
            )

    @property
    def said(self) -> str:
        """Everything on stderr."""
        return self._log.read_text()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it told of the run, without the line that is still being written."""
        lines = self.said.rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    @property
    def result(self) -> dict[str, Any]:
        """What it printed at its end, with `-o json`."""
        return json.loads(self._log.with_suffix(".out").read_text())

    def hears(self, said: Callable[[dict[str, Any]], bool], limit: float = LIMIT) -> None:
        """Return when an event is told for which `said` holds."""
        eventually(lambda: any(map(said, self.events)), lambda: self.said, self.process, limit)

    def ends(self, limit: float = LIMIT) -> int:
        """Its exit code."""
        return self.process.wait(limit)


class LabUser:
    """Runs shipkeeper as the administrator of a lab."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self._directory = directory
        self._count = 0
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(lab.kubeconfig),
            "XDG_STATE_HOME": str(directory / "state"),
        }

    @contextlib.contextmanager
    def start(self, *arguments: str) -> Generator[Command]:
        """A shipkeeper that works while the context lasts."""
        self._count += 1
        words = self.lab.inside(SHIPKEEPER, *arguments)
        command = Command(words, self._environment, self._directory / f"{self._count}.log")
        try:
            yield command
        finally:
            command.process.kill()
            command.process.wait()

    def run(self, *arguments: str) -> Command:
        """A shipkeeper that has ended."""
        with self.start(*arguments) as command:
            command.ends()
        return command

    def maintain(self, work: str, *nodes: str) -> tuple[str, ...]:
        """The words that maintain nodes over SSH, as an ordinary user of theirs."""
        return (
            *("maintain", "run", *nodes, "--ssh", work, "--ssh-user", Lab.user, "--sudo"),
            *("--ssh-key", str(self.lab.ssh_key), "--ssh-known-hosts", str(self.lab.known_hosts)),
            *("--ignore-daemonsets", "--output", "json"),
        )


def eventually(
    holds: Callable[[], bool],
    why: Callable[[], str] = str,
    process: "subprocess.Popen[bytes] | None" = None,
    limit: float = LIMIT,
) -> None:
    """Return as soon as something holds; fail when it does not, or when a process ended before."""
    deadline = time.monotonic() + limit
    while True:
        began = time.monotonic()
        if holds():
            return
        assert time.monotonic() < deadline, why()
        assert process is None or process.poll() is None or holds(), why()
        # Who looks by a program of its own must not be what the machine is busy with.
        time.sleep(max(0.1, 2 * (time.monotonic() - began)))
