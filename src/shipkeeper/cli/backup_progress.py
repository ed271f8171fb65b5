"""How far a backup or a restore is, on stderr: a line that changes, or JSON lines elsewhere."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.backup.take import Progress, Tell
from shipkeeper.backup.volumes.report import size
from shipkeeper.backup.volumes.saving import VolumeProgress
from shipkeeper.cli.output import say
from shipkeeper.model.duration import format_duration
from shipkeeper.model.words import counted

_DRAW_EVERY = 0.2  # seconds
_WRITE_EVERY = 5.0
_WORTH_TELLING = 1.0


@contextmanager
def progress_line(verb: str = "backed up") -> Generator[Tell]:
    """Yield what takes the progress; the line is wiped at the end."""
    telling = _Line(verb) if sys.stderr.isatty() else _Log()
    try:
        yield telling
    finally:
        telling.close()


class _Pace:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self._told = self._began

    def is_due(self, every: float) -> bool:
        now = time.monotonic()
        if now - self._told < every:
            return False
        self._told = now
        return True

    def rate(self, done: int) -> float:
        """Objects a second since the beginning."""
        return done / max(time.monotonic() - self._began, 1e-3)

    def left(self, progress: Progress) -> timedelta:
        """How long the rest takes at that rate."""
        missing = progress.of_objects - progress.objects
        return timedelta(seconds=missing / max(self.rate(progress.objects), 1e-3))


class _Line:
    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._pace = _Pace()

    def __call__(self, progress: Progress | VolumeProgress) -> None:
        if not self._pace.is_due(_DRAW_EVERY):
            return
        sys.stderr.write(f"\r\x1b[K{self._text(progress)}")
        sys.stderr.flush()

    def _text(self, progress: Progress | VolumeProgress) -> str:
        if isinstance(progress, VolumeProgress):
            what = f"{counted(progress.files, 'file')}, {size(progress.content_bytes)}"
            return f"{self._verb} {progress.volume}: {what}"
        rate = self._pace.rate(progress.objects)
        left = format_duration(self._pace.left(progress))
        return (
            f"{self._verb} {progress.objects} of {progress.of_objects} objects, "
            f"{rate:,.0f} a second, {left} left"
        )

    def close(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


class _Log:
    def __init__(self) -> None:
        self._pace = _Pace()

    def __call__(self, progress: Progress | VolumeProgress) -> None:
        if not self._pace.is_due(_WRITE_EVERY):
            return
        if isinstance(progress, VolumeProgress):
            line = {"time": datetime.now(UTC), "type": "progress", **msgspec.to_builtins(progress)}
            say(msgspec.json.encode(line).decode())
            return
        line = {
            "time": datetime.now(UTC),
            "type": "progress",
            "objects": progress.objects,
            "ofObjects": progress.of_objects,
            "objectsPerSecond": round(self._pace.rate(progress.objects)),
            "secondsLeft": round(self._pace.left(progress).total_seconds()),
        }
        say(msgspec.json.encode(line).decode())

    def close(self) -> None:
        """Nothing is left on the terminal."""
