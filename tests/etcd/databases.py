"""Databases as etcd lays them out, made page by page."""

from typing import TypeVar

from shipkeeper.etcd.bolt.addition import add
from shipkeeper.etcd.bolt.database import Database
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
from shipkeeper.etcd.revisions import Revision
from shipkeeper.etcd.wire import bytes_field, number_field

SIZE = 4096


def empty() -> bytes:
    """A database without a bucket."""
    root = PAGE_HEADER.pack(2, LEAF, 0, 0).ljust(SIZE, b"\0")
    metas = [
        Meta(
            page_size=SIZE,
            root=2,
            sequence=0,
            freelist=NO_FREELIST,
            high_water=3,
            transaction=number,
        ).page()
        for number in (0, 1)
    ]
    return b"".join((*metas, root))


def with_keys(database: bytes, keys: dict[bytes, list[tuple[bytes, bytes]]]) -> bytes:
    """The database with these buckets."""
    addition = add(Database(database, len(database)), keys, {})
    out = bytearray(database.ljust(addition.meta.high_water * SIZE, b"\0"))
    for place, page in addition.pages:
        out[place : place + len(page)] = page
    at = addition.meta.transaction % 2 * SIZE
    out[at : at + SIZE] = addition.meta.page()
    return bytes(out)


def written(main: int, key: str, value: bytes, sub: int = 0) -> tuple[bytes, bytes]:
    """An entry of the bucket `key`: a key written at a revision."""
    stored = bytes_field(1, key.encode()) + number_field(3, main) + bytes_field(5, value)
    return Revision(main, sub).encode(), stored


def deleted(main: int, key: str, sub: int = 0) -> tuple[bytes, bytes]:
    """An entry of the bucket `key`: a key deleted at a revision."""
    return Revision(main, sub).encode() + b"t", bytes_field(1, key.encode())


def of(*entries: tuple[bytes, bytes]) -> bytes:
    """A database with these revisions, in one leaf."""
    buckets = {b"key": list(entries), b"meta": [(b"term", bytes(8))], b"lease": []}
    return with_keys(empty(), buckets)


def grown(entries: list[tuple[bytes, bytes]], per_leaf: int = 3, per_branch: int = 9) -> bytes:
    """A database with these revisions in a tree of many pages."""
    pages: list[bytes] = []
    below = [
        (batch[0][0], _put(pages, LEAF, [(0, *each) for each in batch]))
        for batch in _batches(entries, per_leaf)
    ]
    while len(below) > 1:
        below = [
            (batch[0][0], _put(pages, BRANCH, [(child, key, b"") for key, child in batch]))
            for batch in _batches(below, per_branch)
        ]
    bucket = BUCKET_HEADER.pack(below[0][1], 0)
    root = _put(pages, LEAF, [(BUCKET_ELEMENT, b"key", bucket)])
    body = b"".join(pages)
    metas = [
        Meta(
            page_size=SIZE,
            root=root,
            sequence=0,
            freelist=NO_FREELIST,
            high_water=2 + len(body) // SIZE,
            transaction=number,
        ).page()
        for number in (0, 1)
    ]
    return b"".join((*metas, body))


T = TypeVar("T")


def _batches(items: list[T], size: int) -> list[list[T]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def _put(pages: list[bytes], kind: int, elements: list[tuple[int, bytes, bytes]]) -> int:
    """Add a page with its elements (flags or a child's number, key, value); its number."""
    table, rest = b"", b""
    for at, (number, key, value) in enumerate(elements):
        place = 16 * (len(elements) - at) + len(rest)
        if kind == LEAF:
            table += LEAF_ELEMENT.pack(number, place, len(key), len(value))
        else:
            table += BRANCH_ELEMENT.pack(place, len(key), number)
        rest += key + value
    overflow = (PAGE_HEADER.size + len(table) + len(rest) - 1) // SIZE
    page_number = 2 + sum(map(len, pages)) // SIZE
    head = PAGE_HEADER.pack(page_number, kind, len(elements), overflow)
    pages.append((head + table + rest).ljust((overflow + 1) * SIZE, b"\0"))
    return page_number
