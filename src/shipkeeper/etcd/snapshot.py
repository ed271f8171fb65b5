"""A snapshot file, opened for reading: mapped, and its sha256 trailer if it has one.

`etcdctl snapshot save` ends the file with the SHA-256 of all before it, which no whole number of
sectors leaves room for: that is how such a file is told from a bare database.
"""

import hashlib
import mmap
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shipkeeper.etcd.bolt.database import Database
from shipkeeper.etcd.errors import DamagedError, EtcdError

SHA_SIZE: Final = hashlib.sha256().digest_size
_SECTOR: Final = 512
_CHUNK: Final = 1 << 20


class Snapshot:
    """An open snapshot; `database_size` is the file's without the trailer, in bytes.

    `is_verified` tells that the trailer was compared before.
    """

    def __init__(
        self, path: Path, mapped: mmap.mmap, stat: os.stat_result, *, is_verified: bool
    ) -> None:
        self.path = path
        self.stat = stat
        self.is_verified = is_verified
        self.mapped = mapped
        self.has_trailer = stat.st_size % _SECTOR == SHA_SIZE
        self.database_size = stat.st_size - (SHA_SIZE if self.has_trailer else 0)
        self.trailer = mapped[self.database_size :] if self.has_trailer else b""

    def database(self) -> Database:
        """The database in it; DamagedError if it is none."""
        return Database(self.mapped, self.database_size, self._release)

    def _release(self) -> None:
        # Pages that were read count as this process's memory until they are given back.
        self.mapped.madvise(mmap.MADV_DONTNEED)

    def sha256(self) -> bytes:
        """The SHA-256 of the database, which the trailer should be."""
        digest = hashlib.sha256()
        with self.path.open("rb", buffering=0) as file:
            left, buffer = self.database_size, memoryview(bytearray(_CHUNK))
            while left and (got := file.readinto(buffer[: min(left, _CHUNK)])):
                digest.update(buffer[:got])
                left -= got
        return digest.digest()

    def require_sha256(self) -> None:
        """DamagedError unless the file is, byte for byte, what the member of etcd sent."""
        if not self.has_trailer:
            raise DamagedError(
                f"{self.path} has no sha256 at its end",
                reason="NoChecksum",
                hint="it is cut short, or was copied from a data directory: --skip-hash-check",
            )
        if self.sha256() != self.trailer:
            raise DamagedError(
                f"{self.path} is not what was saved: its sha256 does not fit",
                reason="ChecksumMismatch",
            )


@contextmanager
def open_snapshot(path: Path, *, is_verified: bool = False) -> Generator[Snapshot]:
    """Open a snapshot file; EtcdError when it cannot be read, DamagedError when it is empty."""
    found = map_snapshot(path, is_verified=is_verified)
    with found.mapped:
        yield found


def map_snapshot(path: Path, *, is_verified: bool = False) -> Snapshot:
    """The same for as long as it is held; the file may lose its name meanwhile."""
    mapped, stat = _map(path)
    return Snapshot(path, mapped, stat, is_verified=is_verified)


def _map(path: Path) -> tuple[mmap.mmap, os.stat_result]:
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if not stat.st_size:
                raise DamagedError(f"{path} is empty", reason="NoDatabase")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), stat
    except OSError as error:
        raise EtcdError(
            f"cannot read {path}: {error.strerror}",
            reason="SnapshotUnreadable",
            hint="name a snapshot file that you may read",
        ) from error
