"""Files that hold a cluster's secrets: made for their owner's eyes alone, and on disk when done."""

import contextlib
import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shipkeeper.etcd.errors import EtcdError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PART: Final = ".part"


class WholeFile(FileIO):
    """A file that is written to as a whole, or not: half a write is how a disk fills up."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of it; OSError if there is no room."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            left = left[super().write(left) :]
        return size


@contextmanager
def new_private_file(path: Path) -> Generator[WholeFile]:
    """A new file with mode 0600, synced to disk at the end; FileExistsError if it is there."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with WholeFile(descriptor, "r+") as file:
        yield file
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring to disk which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def appearing(target: Path) -> Generator[WholeFile]:
    """A private file that gets its name when it is whole and on disk; nothing is left otherwise.

    EtcdError when it cannot be written.
    """
    part = target.with_name(target.name + _PART)
    try:
        part.unlink(missing_ok=True)
        with new_private_file(part) as file:
            yield file
        part.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def unwritable(target: Path, error: OSError) -> EtcdError:
    """Why a file cannot be written, and what to do."""
    if error.errno == errno.ENOSPC:
        return EtcdError(
            f"cannot write {target}: the disk is full",
            reason="DiskFull",
            hint="free space there, or name a file on another disk; nothing was left behind",
        )
    return EtcdError(
        f"cannot write {target}: {error.strerror}",
        reason="SnapshotUnwritable",
        hint="name a file in a folder that you may write to",
    )
