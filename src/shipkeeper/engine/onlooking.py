"""What a run tells, written down beside its lock, for those who look on from another process.

The journal has what must not be lost; this has the rest: what a pod waits for, what hosts print. It
is lost with the machine, and a run does not mind if it cannot be written.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.engine.progress import (
    Event,
    ItemChanged,
    Note,
    PlanRevised,
    RunStarted,
    Sink,
    StepDone,
    StepFailed,
    StepStarted,
    StepUndone,
)

_FILE = "progress.jsonl"
_LARGEST = 64 * 2**20


def overheard(directory: Path, tell: Sink) -> Sink:
    """A sink that tells, and writes down what it told."""
    path = directory / _FILE

    def both(event: Event) -> None:
        tell(event)
        with suppress(OSError):
            _append(path, {"time": datetime.now(UTC), **as_line(event)})

    return both


def _append(path: Path, line: dict[str, Any]) -> None:
    with open(path, "ab", opener=_private) as file:
        # One write for each line: whoever reads meanwhile sees whole lines, or a part of the last.
        if file.tell() < _LARGEST:
            file.write(msgspec.json.encode(line) + b"\n")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class Onlooker:
    """Reads what a run tells, from its beginning on and further as it goes on."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _FILE
        self._read = 0

    @property
    def size(self) -> int:
        """How much there is, in bytes; 0 for a run that told nothing yet."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def read(self) -> Iterator[dict[str, Any]]:
        """What was told since the last call; what is no line of ours is passed over."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                found = file.read()
        except OSError:
            return
        whole = found.rpartition(b"\n")[0]
        if not whole:
            return
        self._read += len(whole) + 1
        for line in whole.split(b"\n"):
            with suppress(msgspec.DecodeError):
                yield msgspec.json.decode(line, type=dict[str, Any])


def as_line(event: Event) -> dict[str, Any]:
    """What a line tells of an event: steps by their id, plans not at all."""
    match event:
        case RunStarted(run, plan, resumed):
            return {"type": "run", "run": run, "resumed": resumed, "steps": len(plan.steps)}
        case PlanRevised(_, changes):
            return {"type": "revised", "changes": changes}
        case StepStarted(step):
            return {"type": "started", "step": step.id, "effect": step.effect}
        case StepDone(step, already):
            return {"type": "done", "step": step.id, "already": already}
        case StepFailed(step, verdict):
            return {"type": "failed", "step": step.id, "verdict": verdict}
        case StepUndone(step):
            return {"type": "undone", "step": step.id}
        case ItemChanged() | Note():
            return msgspec.to_builtins(event)
