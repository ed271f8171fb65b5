"""Changes to a database as pages that are added behind its end, and a new meta page. Pure.

Nothing that is there is overwritten but the older of the two meta pages, so that a database is the
old one until the very last write. Pages that are no longer used are found again by etcd, which
keeps no list of free pages in the file.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from shipkeeper.etcd.bolt.database import Bucket, Database
from shipkeeper.etcd.bolt.layout import (
    BRANCH,
    BRANCH_ELEMENT,
    BUCKET_ELEMENT,
    BUCKET_HEADER,
    LEAF,
    LEAF_ELEMENT,
    NO_FREELIST,
    PAGE_HEADER,
    Meta,
)
from shipkeeper.etcd.errors import DamagedError

Entries = Sequence[tuple[bytes, bytes]]

_INLINE_SHARE: Final = 4  # bbolt keeps a bucket inline up to this part of a page


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """Pages to write, each at its place in bytes, and the meta page that makes them count."""

    pages: tuple[tuple[int, bytes], ...]
    meta: Meta


def add(
    database: Database, replaced: Mapping[bytes, Entries], appended: Mapping[bytes, Entries]
) -> Addition:
    """Give some buckets new contents, and append entries behind the last ones of others.

    Entries are in the order of their keys. A replaced bucket is made if it is not there.
    """
    press = _Press(database)
    buckets = {bucket.name: bucket for bucket in database.buckets()}
    values = {name: _value(bucket) for name, bucket in buckets.items()}
    for name, entries in replaced.items():
        sequence = buckets[name].sequence if name in buckets else 0
        values[name] = press.bucket(sorted(entries), sequence)
    for name, entries in appended.items():
        values[name] = press.appended(buckets[name], entries)
    root = press.leaf(sorted(values.items()), BUCKET_ELEMENT)
    meta = msgspec.structs.replace(
        database.meta,
        root=root,
        freelist=NO_FREELIST,
        high_water=press.high_water,
        transaction=database.meta.transaction + 1,
    )
    return Addition(pages=tuple(press.pages), meta=meta)


def _value(bucket: Bucket) -> bytes:
    return BUCKET_HEADER.pack(bucket.root, bucket.sequence) + bucket.inline


class _Press:
    """Makes pages and gives them numbers from the high water on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._page_size = database.meta.page_size
        self.high_water = database.meta.high_water
        self.pages: list[tuple[int, bytes]] = []

    def bucket(self, entries: Entries, sequence: int) -> bytes:
        """A bucket of these entries, as its parent holds it."""
        page = _leaf_page(0, entries, 0, 0)
        if BUCKET_HEADER.size + len(page) <= self._page_size // _INLINE_SHARE:
            return BUCKET_HEADER.pack(0, sequence) + page
        return BUCKET_HEADER.pack(self.leaf(entries, 0), sequence)

    def appended(self, bucket: Bucket, entries: Entries) -> bytes:
        """The bucket with more entries at its end: the pages on the way there are written anew."""
        if not bucket.root:
            held = [*self._database.items(bucket), *entries]
            return self.bucket(held, bucket.sequence)
        path, last = self._database.last(bucket)
        child = self.leaf([*zip(last.keys, last.values(), strict=True), *entries], 0)
        for keys, children in reversed(path):
            child = self._branch(keys, [*children[:-1], child])
        return BUCKET_HEADER.pack(child, bucket.sequence)

    def leaf(self, entries: Entries, flags: int) -> int:
        """A leaf page; its number."""
        size = PAGE_HEADER.size + sum(LEAF_ELEMENT.size + len(k) + len(v) for k, v in entries)
        overflow = self._overflow(size)
        return self._put(_leaf_page(self.high_water, entries, flags, overflow), overflow)

    def _branch(self, keys: Sequence[bytes], children: Sequence[int]) -> int:
        count = len(keys)
        size = PAGE_HEADER.size + sum(BRANCH_ELEMENT.size + len(key) for key in keys)
        overflow = self._overflow(size)
        out = bytearray(PAGE_HEADER.pack(self.high_water, BRANCH, count, overflow))
        place = BRANCH_ELEMENT.size * count
        for key, child in zip(keys, children, strict=True):
            out += BRANCH_ELEMENT.pack(place, len(key), child)
            place += len(key) - BRANCH_ELEMENT.size
        return self._put(bytes(out) + b"".join(keys), overflow)

    def _overflow(self, size: int) -> int:
        return (size - 1) // self._page_size

    def _put(self, page: bytes, overflow: int) -> int:
        number = self.high_water
        self.high_water += overflow + 1
        whole = page.ljust((overflow + 1) * self._page_size, b"\0")
        self.pages.append((number * self._page_size, whole))
        return number


def _leaf_page(number: int, entries: Entries, flags: int, overflow: int) -> bytes:
    count = len(entries)
    if count > 0xFFFF:
        raise DamagedError(f"a page cannot hold {count} entries")
    out = bytearray(PAGE_HEADER.pack(number, LEAF, count, overflow))
    place = LEAF_ELEMENT.size * count
    for key, value in entries:
        out += LEAF_ELEMENT.pack(flags, place, len(key), len(value))
        place += len(key) + len(value) - LEAF_ELEMENT.size
    for key, value in entries:
        out += key
        out += value
    return bytes(out)
