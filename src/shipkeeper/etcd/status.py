"""What a snapshot holds in figures, as etcd's own tools tell them. Pure.

etcdctl and etcdutl up to 3.5 count every entry of every bucket as a key; those from 3.6 on count
the keys that users have (etcd-io/etcd#19253). The hash is the same for all.
"""

from typing import Final

import msgspec

from shipkeeper.etcd.bolt.database import Bucket, Database, Leaf
from shipkeeper.etcd.crc import extend
from shipkeeper.etcd.revisions import (
    KEY_BUCKET,
    META_BUCKET,
    decode_revision,
    key_of,
)

_STORAGE_VERSION: Final = b"storageVersion"


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The figures of a snapshot.

    `hash` is a CRC-32C over all buckets' names, keys and values; `total_entries` is what tools up
    to 3.5 call the total of keys, `total_keys` what those from 3.6 on do. `version` is the storage
    version that etcd 3.6 or newer wrote, else empty. Sizes are in bytes.
    """

    hash: int
    revision: int
    total_entries: int
    total_keys: int
    total_size: int
    version: str
    page_size: int = 0


def read_status(database: Database) -> Status:
    """Read all of a database, check its structure, sum it up; DamagedError if it is not whole."""
    scan = _Scan()
    for bucket in database.buckets():
        scan.bucket(bucket, database)
    return Status(
        hash=scan.hash,
        revision=decode_revision(scan.last).main if scan.last else 0,
        total_entries=scan.entries,
        total_keys=len(scan.live),
        total_size=database.size,
        version=scan.version,
        page_size=database.meta.page_size,
    )


class _Scan:
    def __init__(self) -> None:
        self.hash = 0
        self.entries = 0
        self.last = b""
        self.version = ""
        # Hashes stand for the keys: a million keys would not fit into the memory we promise.
        self.live: set[int] = set()

    def bucket(self, bucket: Bucket, database: Database) -> None:
        crc, entries = extend(self.hash, bucket.name), 0
        is_key = bucket.name == KEY_BUCKET
        for leaf in database.leaves(bucket):
            crc = _extend(crc, leaf)
            entries += len(leaf.keys)
            if is_key:
                self._revisions(leaf)
            elif bucket.name == META_BUCKET:
                self._meta(leaf)
        self.hash, self.entries = crc, self.entries + entries

    def _meta(self, leaf: Leaf) -> None:
        for key, value in zip(leaf.keys, leaf.values(), strict=True):
            if key == _STORAGE_VERSION:
                self.version = value.decode(errors="replace")

    def _revisions(self, leaf: Leaf) -> None:
        page, live = leaf.page, self.live
        for key, (begin, end) in zip(leaf.keys, leaf.spans, strict=True):
            if len(key) == 17:
                live.add(hash(key_of(page, begin, end)))
            else:
                decode_revision(key)
                live.discard(hash(key_of(page, begin, end)))
        if leaf.keys:
            self.last = leaf.keys[-1]


def _extend(crc: int, leaf: Leaf) -> int:
    if leaf.packed:
        end = leaf.spans[-1][1] if leaf.spans else 0
        return extend(crc, leaf.page[leaf.first : end])
    for key, value in zip(leaf.keys, leaf.values(), strict=True):
        crc = extend(extend(crc, key), value)
    return crc
