"""Having the watchman at one's side for the length of a context."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shipkeeper.sandbox.errors import SandboxError


class Violation(msgspec.Struct, frozen=True):
    """A moment at which fewer pods were healthy than a budget wants; `pod` was the last to go."""

    budget: str
    healthy: int
    wanted: int
    pod: str


class BudgetReport(msgspec.Struct, frozen=True):
    """What the watchman saw; `deleted` counts pods whose deletion was asked for."""

    violations: int
    details: tuple[Violation, ...]
    deleted: int


class BudgetWatch:
    """A running watchman; `report` is there when the context has ended."""

    report: BudgetReport | None = None


@contextmanager
def watch_budgets(kubeconfig: Path) -> Generator[BudgetWatch]:
    """Count violations of budgets while the body runs, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shipkeeper.sandbox.watchman", str(kubeconfig)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for the one who is watched; the watchman goes by the end of its input.
        start_new_session=True,
    )
    watch = BudgetWatch()
    try:
        _wait_until_ready(process)
        yield watch
        printed, _ = process.communicate()
        watch.report = msgspec.json.decode(printed, type=BudgetReport)
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    line = process.stdout.readline() if process.stdout else ""
    if line.strip() != "ready":
        raise SandboxError(
            "the observer of budgets did not start",
            reason="WatchmanFailed",
            hint="what it says stands above; is the API server reachable?",
        )
