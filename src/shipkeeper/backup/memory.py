"""What is remembered of a schedule, in a file; and that one process alone follows it."""

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shipkeeper.backup.schedule import Remembered, Step
from shipkeeper.errors import LockHeldError, ShipkeeperError


class MemoryFileError(ShipkeeperError):
    """What is to be remembered of a schedule cannot be written or read."""


class Memory:
    """The file of one schedule, and what stands in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen = _read(path)

    def keep(self, **changes: object) -> None:
        """Remember changes, also if they cannot be written; MemoryFileError in that case."""
        self.seen = msgspec.structs.replace(self.seen, **changes)
        self._write()

    def fail(self, step: Step) -> None:
        """Count a failure."""
        self.keep(failures=self.seen.with_failure(step).failures)

    def _write(self) -> None:
        content = msgspec.json.encode(self.seen)
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _unusable(self.path, error) from error


@contextmanager
def remembering(path: Path) -> Generator[Memory]:
    """Hold a schedule's file; LockHeldError if another process of this machine does.

    The lock ends with the process that holds it, however that ends.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.with_suffix(".lock").open("w")
    except OSError as error:
        raise _unusable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeldError(
                "another process on this machine follows this schedule",
                reason="ScheduleFollowed",
                hint="stop it with Ctrl-C there, or let it do the work",
            ) from error
        yield Memory(path)


def _read(path: Path) -> Remembered:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Remembered)
    except (FileNotFoundError, msgspec.DecodeError):
        # Nothing of it is needed: a schedule that remembers nothing has missed nothing.
        return Remembered()
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> MemoryFileError:
    return MemoryFileError(
        f"cannot keep what is known of the schedule in {path}: {error.strerror}",
        reason="StateFile",
        hint="let $XDG_STATE_HOME name a directory that you may write to",
    )
