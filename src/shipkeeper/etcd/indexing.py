"""Making the index of a snapshot: all its revisions, ordered by key."""

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from operator import itemgetter, ne
from typing import TypeVar

import msgspec

from shipkeeper.etcd.bolt.database import Bucket, Database
from shipkeeper.etcd.crc import extend
from shipkeeper.etcd.errors import DamagedError
from shipkeeper.etcd.index import FORMAT, HEAD, Folder
from shipkeeper.etcd.revisions import KEY_BUCKET, decode_revision, key_of
from shipkeeper.etcd.sweep import Swept, sweep

T = TypeVar("T")


class _Columns:
    """Revisions by columns, and the numbers of the rows in the order of keys."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.mains, self.begins, self.sizes = array("Q"), array("Q"), array("Q")
        self.order: list[int] = []

    def extend(self, share: Swept) -> None:
        before = len(self.keys)
        self.keys += share.keys
        self.mains.frombytes(share.mains)
        self.begins.frombytes(share.begins)
        self.sizes.frombytes(share.sizes)
        self.order += (before + number for number in memoryview(share.order).cast("I"))

    def sort(self) -> None:
        # What was sorted by shares is merely merged, and revisions of a key stay in their order.
        self.order.sort(key=self.keys.__getitem__)


def build_index(
    database: Database, *, processes: int | None = None, carefully: bool = False
) -> list[bytes]:
    """Read all revisions of a database and order them by key: the index, in pieces.

    By so many processes, else by as many as are worth it; `carefully` leaves out the haste.
    """
    bucket = database.bucket(KEY_BUCKET)
    if bucket is None:
        raise DamagedError("the database has no bucket of keys", reason="NoDatabase")
    columns = _Columns()
    swept = None if carefully else sweep(database, bucket, processes=processes)
    for share in swept or ():
        columns.extend(share)
    if not columns.keys:
        database.begin_walk()
        _read(database, bucket, columns)
    columns.sort()
    return _parts(columns)


def _read(database: Database, bucket: Bucket, columns: _Columns) -> None:
    """Read the revisions one by one; DamagedError if anything is not as it should be."""
    for leaf in database.leaves(bucket):
        page, offset = leaf.page, leaf.offset
        for key, (begin, end) in zip(leaf.keys, leaf.spans, strict=True):
            columns.keys.append(key_of(page, begin, end) if end > begin else b"")
            columns.mains.append(decode_revision(key).main)
            columns.begins.append(offset + begin)
            columns.sizes.append((end - begin) << 1 | (len(key) == 18))
    columns.order = list(range(len(columns.keys)))


def _parts(columns: _Columns) -> list[bytes]:
    keys = _pick(columns.order, columns.keys)
    numbers = [
        array("Q", accumulate(map(len, keys))),
        *(
            array("Q", _pick(columns.order, each))
            for each in (columns.mains, columns.begins, columns.sizes)
        ),
    ]
    folders = msgspec.msgpack.encode(_folders(keys, numbers[-1]))
    body = [*(each.tobytes() for each in numbers), b"".join(keys), folders]
    checksum = 0
    for part in body:
        checksum = extend(checksum, part)
    return [FORMAT, HEAD.pack(len(keys), len(body[4]), len(folders), checksum), *body]


def _pick(order: Sequence[int], column: Sequence[T]) -> Sequence[T]:
    if len(order) < 2:
        return tuple(column)
    return itemgetter(*order)(column)


def _folders(keys: Sequence[bytes], sizes: Iterable[int]) -> list[Folder]:
    """Which rows belong together: neighbours whose keys differ after the last slash alone."""
    # The newest of a key's rows is the one that the next key's row follows.
    is_newest = bytes(map(ne, keys, [*keys[1:], None]))
    living = bytes(newest and not size & 1 for newest, size in zip(is_newest, sizes, strict=True))
    folders: list[Folder] = []
    begin = 0
    for name, rows in groupby(key.rpartition(b"/")[0] for key in keys):
        end = begin + sum(1 for _ in rows)
        folders.append(Folder(name, begin, end, living.count(1, begin, end)))
        begin = end
    return folders
