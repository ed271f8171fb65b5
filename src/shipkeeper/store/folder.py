"""Blobs in a local folder: complete and durable or not there at all; for the owner's eyes only."""

import asyncio
import contextlib
import datetime as dt
import errno
import os
import secrets
import stat
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

from shipkeeper.store.blobs import PARTIAL, BlobInfo
from shipkeeper.store.errors import (
    AccessDeniedError,
    BlobExistsError,
    BlobMissingError,
    ReadOnlyStoreError,
    StoreError,
    StoreFullError,
)

_BATCH = 1000
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK)


class Folder:
    """A folder of blobs; sub-folders come into being as names need them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.url = str(root)

    async def create(self, name: str, content: bytes) -> None:
        """Write beside, fsync, then link to the name: a link never replaces a file."""
        await asyncio.to_thread(self._create, name, content)

    async def read(self, name: str) -> bytes:
        """The whole file."""
        return await asyncio.to_thread(self._read, name, 0, None)

    async def read_range(self, name: str, start: int, end: int) -> bytes:
        """A part of the file; shorter when the file is."""
        return await asyncio.to_thread(self._read, name, start, end)

    async def info(self, name: str) -> BlobInfo:
        """Size and modification time."""
        with self._explained(name):
            return _info(name, (self._root / name).stat())

    async def list(self, prefix: str) -> AsyncIterator[list[BlobInfo]]:
        """Every regular file below the prefix."""
        with self._explained(prefix):
            found = await asyncio.to_thread(lambda: list(self._walk(self._root / prefix)))
        for start in range(0, len(found), _BATCH):
            yield found[start : start + _BATCH]

    async def remove(self, name: str) -> None:
        """Unlink."""
        with self._explained(name), contextlib.suppress(FileNotFoundError):
            (self._root / name).unlink()

    def _create(self, name: str, content: bytes) -> None:
        target = self._root / name
        with self._explained(name):
            _make_folder(target.parent)
            partial = self._root / PARTIAL / secrets.token_hex(8)
            _make_folder(partial.parent)
            try:
                _write(partial, content)
                _publish(partial, target)
            finally:
                partial.unlink(missing_ok=True)
            _sync_folder(target.parent)

    def _read(self, name: str, start: int, end: int | None) -> bytes:
        with self._explained(name), (self._root / name).open("rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else end - start)

    def _walk(self, folder: Path) -> Iterator[BlobInfo]:
        if not folder.is_dir():
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(Path(entry.path))
                    continue
                # A file may go between the listing and the question.
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    yield _info(Path(entry.path).relative_to(self._root).as_posix(), found)

    @contextlib.contextmanager
    def _explained(self, name: str) -> Generator[None]:
        try:
            yield
        except FileExistsError as error:
            raise BlobExistsError(f"{self.url}/{name} exists already") from error
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise BlobMissingError(f"there is no {name} in {self.url}") from error
        except OSError as error:
            raise _explain(error, f"{self.url}/{name}") from error


def _explain(error: OSError, where: str) -> StoreError:
    said = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreFullError(f"no space is left to write {where} ({said})")
    if error.errno == errno.EROFS:
        return ReadOnlyStoreError(f"{where} lies on a read-only file system")
    if error.errno in (errno.EACCES, errno.EPERM):
        return AccessDeniedError(f"{where} is refused ({said})", hint="Check owner and mode.")
    return StoreError(f"{where}: {said}")


def _info(name: str, found: os.stat_result) -> BlobInfo:
    size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    return BlobInfo(name, size, dt.datetime.fromtimestamp(found.st_mtime, dt.UTC))


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        _sync_folder(folder.parent)


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _publish(partial: Path, target: Path) -> None:
    try:
        target.hardlink_to(partial)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # File systems without links (FAT, some network mounts): the names are random or hashes
        # of the content, so what a rename could replace in the gap is the same bytes.
        if target.exists():
            raise FileExistsError(errno.EEXIST, str(target)) from error
        partial.rename(target)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
