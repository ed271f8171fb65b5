"""The keys of a snapshot in their order, with every revision of each: made once, kept in the cache.

etcd orders its database by revision; to find a key, all of it has to be read. The index is bound to
the snapshot by its size, its time, and its sha256 trailer. It holds keys and places, no values.
"""

import contextlib
import hashlib
import mmap
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from shipkeeper.etcd.bolt.database import Database
from shipkeeper.etcd.errors import DamagedError
from shipkeeper.etcd.revisions import (
    KEY_BUCKET,
    KeyValue,
    decode_key_value,
    decode_revision,
    key_of,
)
from shipkeeper.etcd.snapshot import Snapshot
from shipkeeper.paths import cache_dir

_FORMAT: Final = b"shipkeeper etcd index 1\n"
_WORD: Final = 8


class Row(msgspec.Struct, frozen=True):
    """One revision of a key: where its KeyValue lies in the file; a deletion if `is_gone`."""

    key: bytes
    main: int
    begin: int
    size: int
    is_gone: bool


class Index:
    """All revisions of all keys, ordered by key and then by revision."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        view = memoryview(data)
        at = len(_FORMAT)
        self._count = int.from_bytes(view[at : at + _WORD], "little")
        at += _WORD
        words = _WORD * self._count
        columns: list[memoryview] = []
        for _ in range(4):
            columns.append(view[at : at + words].cast("Q"))
            at += words
        self._ends, self._mains, self._begins, self._sizes = columns
        self._keys = view[at:]

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

    def following(self, key: bytes) -> Row | None:
        """The first row whose key is not below, if there is one."""
        number = self._first(key)
        return self.row(number) if number < self._count else None

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

    def live_keys(self) -> Iterator[tuple[bytes, int]]:
        """Every key that is not deleted, and the number of its newest row."""
        keys, ends, sizes = self._keys, self._ends, self._sizes
        last = self._count - 1
        current = bytes(keys[: ends[0]]) if self._count else b""
        for number in range(self._count):
            end = ends[number]
            following = bytes(keys[end : ends[number + 1]]) if number < last else None
            if following != current and not sizes[number] & 1:
                yield current, number
            current = following or b""


def open_index(snapshot: Snapshot) -> Index:
    """The index of a snapshot, out of the cache or made; DamagedError for a damaged snapshot."""
    path = cache_dir() / "etcd-index" / f"{_fingerprint(snapshot)}.index"
    # Not there yet, unreadable, or empty (which mmap refuses): it is made anew.
    with contextlib.suppress(OSError, ValueError):
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if mapped[: len(_FORMAT)] == _FORMAT:
            os.utime(path)
            return Index(mapped)
    parts = build_index(snapshot.database())
    mapped = _keep(path, parts)
    return Index(mapped if mapped is not None else b"".join(parts))


def build_index(database: Database) -> list[bytes]:
    """Read all revisions of a database and order them by key: the index, in pieces."""
    bucket = database.bucket(KEY_BUCKET)
    if bucket is None:
        raise DamagedError("the database has no bucket of keys", reason="NoDatabase")
    keys: list[bytes] = []
    mains, begins, sizes = array("Q"), array("Q"), array("Q")
    for leaf in database.leaves(bucket):
        page, offset = leaf.page, leaf.offset
        for key, (begin, end) in zip(leaf.keys, leaf.spans, strict=True):
            user = key_of(page, begin, end) if end > begin else b""
            keys.append(user)
            mains.append(int.from_bytes(key[:8], "big"))
            begins.append(offset + begin)
            sizes.append((end - begin) << 1 | (len(key) == 18))
        if leaf.keys:
            decode_revision(leaf.keys[-1])
    order = sorted(range(len(keys)), key=keys.__getitem__)
    ends, total = array("Q"), 0
    for number in order:
        total += len(keys[number])
        ends.append(total)
    parts = [_FORMAT, len(keys).to_bytes(_WORD, "little"), ends.tobytes()]
    columns = (mains, begins, sizes)
    parts += [array("Q", (each[number] for number in order)).tobytes() for each in columns]
    parts += [keys[number] for number in order]
    return parts


def read_row(snapshot: Snapshot, row: Row) -> KeyValue:
    """What a row stands for."""
    return decode_key_value(snapshot.mapped[row.begin : row.begin + row.size])


def _fingerprint(snapshot: Snapshot) -> str:
    stat = snapshot.stat
    about = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino} {stat.st_dev} ".encode()
    return hashlib.sha256(about + snapshot.trailer).hexdigest()[:32]


def _keep(path: Path, parts: list[bytes]) -> mmap.mmap | None:
    """Keep an index for the next time and map it; None if it cannot be kept, which is no harm."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb+") as file:
            file.writelines(parts)
            file.flush()
            mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        return None
    return mapped
