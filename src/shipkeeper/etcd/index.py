"""The keys of a snapshot in their order, with every revision of each: made once, kept in the cache.

etcd orders its database by revision; to find a key, all of it has to be read. The index is bound to
the snapshot by its size, its time, and its sha256 trailer. It holds keys and places, no values. An
index whose own checksum does not fit is made anew.
"""

import contextlib
import hashlib
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from shipkeeper.etcd.crc import extend
from shipkeeper.etcd.errors import DamagedError
from shipkeeper.etcd.revisions import KeyValue, decode_key_value
from shipkeeper.etcd.snapshot import Snapshot
from shipkeeper.paths import cache_dir

FORMAT: Final = b"shipkeeper etcd index 2\n"
HEAD: Final = struct.Struct("<QQQQ")
"""Rows, bytes of all keys, bytes of the table of folders, CRC-32C of what follows."""
_WORD: Final = 8
_COLUMNS: Final = 4
_CHUNK: Final = 1 << 20
_KEPT: Final = 20  # indexes; each has some 80 bytes for a revision


class Folder(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Rows that follow one another, whose keys are `name/` and no further slash; `begin` to `end`.

    `living` counts the keys among them that are not deleted. A key without a slash has the folder
    of an empty name. A folder that another lies in may come twice.
    """

    name: bytes
    begin: int
    end: int
    living: int


class Row(msgspec.Struct, frozen=True):
    """One revision of a key: where its KeyValue lies in the file; a deletion if `is_gone`."""

    key: bytes
    main: int
    begin: int
    size: int
    is_gone: bool


class Index:
    """All revisions of all keys, ordered by key and then by revision.

    ValueError for bytes that are no index, or are not as they were written.
    """

    def __init__(self, data: bytes | mmap.mmap) -> None:
        view = memoryview(data)
        at = len(FORMAT) + HEAD.size
        if len(view) < at or data[: len(FORMAT)] != FORMAT:
            raise ValueError("this is no index")
        self._count, keys, folders, checksum = HEAD.unpack_from(view, len(FORMAT))
        words = _WORD * self._count
        is_whole = len(view) == at + _COLUMNS * words + keys + folders
        if not is_whole or _checksum(data, at) != checksum:
            raise ValueError("the index is not as it was written")
        columns: list[memoryview] = []
        for _ in range(_COLUMNS):
            columns.append(view[at : at + words].cast("Q"))
            at += words
        self._ends, self._mains, self._begins, self._sizes = columns
        self._keys = view[at : at + keys]
        self.folders = msgspec.msgpack.decode(view[at + keys :], type=list[Folder])

    def __len__(self) -> int:
        """How many revisions there are."""
        return self._count

    def _key(self, number: int) -> bytes:
        begin = self._ends[number - 1] if number else 0
        return bytes(self._keys[begin : self._ends[number]])

    def row(self, number: int) -> Row:
        """The row of one number."""
        size = self._sizes[number]
        return Row(
            key=self._key(number),
            main=self._mains[number],
            begin=self._begins[number],
            size=size >> 1,
            is_gone=bool(size & 1),
        )

    def _first(self, key: bytes) -> int:
        """The number of the first row whose key is not below."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._key(middle) < key:
                low = middle + 1
            else:
                high = middle
        return low

    def history(self, key: bytes) -> list[Row]:
        """Every revision of one key, oldest first."""
        rows: list[Row] = []
        for number in range(self._first(key), self._count):
            if self._key(number) != key:
                break
            rows.append(self.row(number))
        return rows

    def latest(self, prefix: bytes = b"") -> Iterator[Row]:
        """The newest revision of each key that begins so, in their order; deletions too."""
        number = self._first(prefix)
        pending: Row | None = None
        while number < self._count:
            row = self.row(number)
            if not row.key.startswith(prefix):
                break
            if pending and pending.key != row.key:
                yield pending
            pending = row
            number += 1
        if pending:
            yield pending

    def living(self, folder: Folder) -> Iterator[Row]:
        """The newest revision of each key of a folder that is not deleted."""
        keys, ends, sizes = self._keys, self._ends, self._sizes
        for number in range(folder.begin, folder.end):
            if sizes[number] & 1:
                continue
            # The newest row of a key is the one that another key follows, or none at all.
            end = ends[number]
            key = keys[ends[number - 1] if number else 0 : end]
            if number + 1 == self._count or keys[end : ends[number + 1]] != key:
                yield self.row(number)


def _checksum(data: bytes | mmap.mmap, begin: int) -> int:
    """The CRC-32C of what follows a place."""
    found = 0
    for at in range(begin, len(data), _CHUNK):
        found = extend(found, data[at : at + _CHUNK])
    return found


def open_index(snapshot: Snapshot) -> Index:
    """The index of a snapshot, out of the cache or made; DamagedError for a damaged snapshot."""
    path = cache_dir() / "etcd-index" / f"{_fingerprint(snapshot)}.index"
    # Not there yet, unreadable, or not as it was written: it is made anew.
    with contextlib.suppress(OSError, ValueError):
        with path.open("rb") as file:
            found = Index(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        os.utime(path)
        return found
    parts = _parts(snapshot)
    _keep(path, parts)
    return Index(b"".join(parts))


def make_index(snapshot: Snapshot) -> Index:
    """The same, made, and kept nowhere: the names in it are not to outlive who looks."""
    return Index(b"".join(_parts(snapshot)))


def _parts(snapshot: Snapshot) -> list[bytes]:
    # Here and not above: as a rule the index is there.
    from shipkeeper.etcd.indexing import build_index

    return build_index(snapshot.database())


def read_row(snapshot: Snapshot, row: Row) -> KeyValue:
    """What a row stands for; DamagedError if that is not what lies in its place."""
    found = decode_key_value(snapshot.mapped[row.begin : row.begin + row.size])
    if found.key != row.key:
        raise DamagedError(f"{row.key!r} is not in its place in {snapshot.path}")
    return found


def _fingerprint(snapshot: Snapshot) -> str:
    stat = snapshot.stat
    about = f"{stat.st_size} ".encode()
    if not snapshot.is_verified:
        about += f"{stat.st_mtime_ns} {stat.st_ino} {stat.st_dev} ".encode()
    return hashlib.sha256(about + snapshot.trailer).hexdigest()[:32]


def _keep(path: Path, parts: list[bytes]) -> None:
    """Keep an index for the next time, and of all the newest alone; that it cannot is no harm."""
    part = path.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(
                os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as file:
                file.writelines(parts)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        kept = sorted(path.parent.glob("*.index"), key=lambda each: each.stat().st_mtime)
        for old in kept[:-_KEPT]:
            old.unlink(missing_ok=True)
