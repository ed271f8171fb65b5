"""Files that hold a cluster's secrets: made for their owner's eyes alone, and on disk when done."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path


@contextmanager
def new_private_file(path: Path) -> Generator[FileIO]:
    """A new file with mode 0600, synced to disk at the end; FileExistsError if it is there."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with FileIO(descriptor, "r+") as file:
        yield file
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring to disk which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
