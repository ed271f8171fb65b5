"""A database as a tree of buckets, read page by page out of a buffer that nobody trusts.

Every page number, count and length is checked before it is used, and no page is read twice in one
walk: a hostile file costs no more than its size.
"""

import mmap
import struct
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import msgspec

from shipkeeper.etcd.bolt.layout import (
    BRANCH,
    BRANCH_ELEMENT,
    BUCKET_ELEMENT,
    BUCKET_HEADER,
    LEAF,
    NO_FREELIST,
    PAGE_HEADER,
    PAGE_SIZES,
    Meta,
    decode_meta,
)
from shipkeeper.etcd.errors import DamagedError

_HEADER = PAGE_HEADER.size
_STEP = 16  # bytes of an element, in leaves and in branches
_MAX_DEPTH = 64  # A tree of 2^64 pages with two children each is no deeper.
MAX_PAGE: Final = 64 << 20
"""Bytes of a page with all that belongs to it; etcd takes requests of 1.5 MB as a rule."""
_RELEASE_EVERY = 32 << 20  # bytes


Buffer = bytes | mmap.mmap
"""What bytes are read from."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket: the number of its root page, or the page itself when that is inline.

    `place` is where an inline page begins in the file.
    """

    name: bytes
    root: int
    sequence: int = 0
    inline: bytes = b""
    place: int = 0


class Leaf(msgspec.Struct, frozen=True, gc=False):
    """A leaf page: its bytes, where they begin in the file, and what lies where in it.

    `spans` are the begin and end of each value; `packed` tells that keys and values follow one
    another without a gap, so that all of them are the bytes from `first` to the last value's end.
    """

    page: bytes
    offset: int
    keys: list[bytes]
    spans: list[tuple[int, int]]
    flags: int
    first: int
    packed: bool

    def values(self) -> Iterator[bytes]:
        """The value of each key."""
        return (self.page[begin:end] for begin, end in self.spans)


def _nothing() -> None:
    return None


class Database:
    """A database in the first `size` bytes of a buffer, which are its `limit`.

    `release` is called now and then in long walks.

    DamagedError when neither of the two meta pages is valid.
    """

    def __init__(self, buffer: Buffer, size: int, release: Callable[[], None] = _nothing) -> None:
        self.buffer: Final = buffer
        self.limit: Final = size
        self.release: Final = release
        self._seen = bytearray()
        self._unreleased = 0
        self.meta = _choose_meta(buffer)
        self._require_size()
        self.root = Bucket(name=b"", root=self.meta.root, sequence=self.meta.sequence)

    @property
    def size(self) -> int:
        """The bytes that the database takes, as etcd's own tools tell it."""
        return self.meta.high_water * self.meta.page_size

    def _require_size(self) -> None:
        meta = self.meta
        # A file may be shorter than its high water when its last pages are free and were never
        # written, but the pages in use are all within it: those are checked one by one.
        if meta.high_water < 3 or meta.root < 2 or meta.root >= meta.high_water:
            raise DamagedError(f"the meta page names page {meta.root} of {meta.high_water} as root")
        if meta.high_water > 4 * (self.limit // meta.page_size + 1024):
            raise DamagedError(
                f"the meta page tells of {meta.high_water} pages, the file has "
                f"{self.limit // meta.page_size}",
                reason="TruncatedDatabase",
            )

    def begin_walk(self) -> None:
        """Forget which pages were read: until the next call, none may be read twice."""
        self._seen = bytearray(self.meta.high_water)

    def buckets(self) -> list[Bucket]:
        """The buckets at the top, in the order of their names, whose pages are then seen."""
        self.begin_walk()
        found: list[Bucket] = []
        for leaf in self._walk(self.root.root, b"", b"", 0, BUCKET_ELEMENT):
            for key, (begin, end) in zip(leaf.keys, leaf.spans, strict=True):
                found.append(_bucket(key, leaf.page[begin:end], leaf.offset + begin))
        return found

    def bucket(self, name: bytes) -> Bucket | None:
        """The bucket of one name, if there is one; begins a walk."""
        return next((bucket for bucket in self.buckets() if bucket.name == name), None)

    def items(self, bucket: Bucket) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a bucket in order; for small buckets."""
        for leaf in self.leaves(bucket):
            yield from zip(leaf.keys, leaf.values(), strict=True)

    def leaves(self, bucket: Bucket) -> Iterator[Leaf]:
        """The leaf pages of a bucket in key order, each checked.

        What is checked: kinds and numbers of pages, that each is reached once, that all lies
        within its page, and that keys rise within pages, across them, and as branches promise.
        """
        if bucket.root == 0:
            yield _inline(bucket)
            return
        yield from self._walk(bucket.root, b"", b"", 0, 0)

    def _walk(self, number: int, low: bytes, high: bytes, depth: int, flags: int) -> Iterator[Leaf]:
        """The leaves under a page, their keys from `low` up to but not `high` (if not empty)."""
        page, kind, count = self.read(number)
        if kind == LEAF:
            leaf = _leaf(page, number * self.meta.page_size, count, number, flags)
            _require_within(leaf.keys, low, high, number)
            yield leaf
            return
        if kind != BRANCH:
            raise DamagedError(f"page {number} has kind {kind:#x}, neither branch nor leaf")
        if depth > _MAX_DEPTH:
            raise DamagedError(f"page {number} lies more than {_MAX_DEPTH} pages deep")
        keys, children = _children(page, count, number)
        _require_within(keys, low, high, number)
        for child, key, following in zip(children, keys, [*keys[1:], high], strict=True):
            yield from self._walk(child, key, following, depth + 1, flags)

    def leaf_pages(self, bucket: Bucket) -> tuple[list[int], list[bytes]] | None:
        """The numbers of the leaf pages of a bucket in order, and the least key each may have.

        Only branches are read for that, so all leaves have to be equally deep, as bbolt has them.
        None where they are not, or the bucket is inline; DamagedError for a damaged branch.
        """
        numbers, lows = [bucket.root], [b""]
        for _ in range(_MAX_DEPTH):
            kind = self._kind(numbers[0])
            if kind != BRANCH:
                return (numbers, lows) if kind == LEAF else None
            below: list[int] = []
            promised: list[bytes] = []
            for number, low, high in zip(numbers, lows, [*lows[1:], b""], strict=True):
                page, kind, count = self.read(number)
                if kind != BRANCH:
                    return None
                keys, children = _children(page, count, number)
                _require_within(keys, low, high, number)
                promised += keys
                below += children
            numbers, lows = below, promised
        return None

    def _kind(self, number: int) -> int:
        """The flags of a page, 0 if there is none."""
        begin = number * self.meta.page_size
        header = self.buffer[begin : begin + _HEADER]
        return PAGE_HEADER.unpack(header)[1] if len(header) == _HEADER else 0

    def last(self, bucket: Bucket) -> tuple[list[tuple[list[bytes], list[int]]], Leaf]:
        """The last leaf of a bucket that is not inline, and the branches (keys, children) to it."""
        self.begin_walk()
        path: list[tuple[list[bytes], list[int]]] = []
        number = bucket.root
        while True:
            page, kind, count = self.read(number)
            if kind == LEAF:
                return path, _leaf(page, number * self.meta.page_size, count, number, 0)
            if kind != BRANCH:
                raise DamagedError(f"page {number} has kind {kind:#x}, neither branch nor leaf")
            path.append(_children(page, count, number))
            number = path[-1][1][-1]

    def read(self, number: int) -> tuple[bytes, int, int]:
        """The bytes of a page with all that belongs to it, its flags, and its count of elements."""
        meta = self.meta
        if not 2 <= number < meta.high_water:
            raise DamagedError(f"page {number} is named, but there are {meta.high_water} pages")
        begin = number * meta.page_size
        page = self.buffer[begin : begin + meta.page_size]
        if begin + meta.page_size > self.limit or len(page) < meta.page_size:
            raise DamagedError(
                f"page {number} lies behind the end of the file", reason="TruncatedDatabase"
            )
        told, flags, count, overflow = PAGE_HEADER.unpack_from(page)
        if told != number:
            raise DamagedError(f"page {number} says that it is page {told}")
        end = begin + (overflow + 1) * meta.page_size
        if end - begin > MAX_PAGE:
            raise DamagedError(f"page {number} goes on for {overflow} pages, more than etcd writes")
        if overflow and (number + overflow >= meta.high_water or end > self.limit):
            raise DamagedError(
                f"page {number} goes on for {overflow} pages, behind the end of the file",
                reason="TruncatedDatabase",
            )
        self._mark(number, overflow)
        if overflow:
            page = self.buffer[begin:end]
        self._unreleased += end - begin
        if self._unreleased > _RELEASE_EVERY:
            self._unreleased = 0
            self.release()
        return page, flags, count

    def _mark(self, number: int, overflow: int) -> None:
        seen = self._seen
        if seen[number] or (overflow and any(seen[number : number + overflow + 1])):
            raise DamagedError(f"page {number} is reached twice")
        seen[number] = 1
        if overflow:
            seen[number : number + overflow + 1] = b"\1" * (overflow + 1)

    @property
    def keeps_freelist(self) -> bool:
        """Whether free pages are listed in the file; etcd leaves that out."""
        return self.meta.freelist != NO_FREELIST


def _choose_meta(buffer: Buffer) -> Meta:
    first = decode_meta(buffer[0:4096])
    sizes = (first.page_size,) if first else PAGE_SIZES
    metas = [first, *(decode_meta(buffer[size : size + 4096]) for size in sizes)]
    valid = [meta for meta in metas if meta]
    if not valid:
        raise DamagedError(
            "neither meta page is valid",
            reason="NoDatabase",
            hint="name a file that `etcdctl snapshot save` or `shipkeeper etcd save` wrote",
        )
    return max(valid, key=lambda meta: meta.transaction)


@cache
def _numbers(count: int) -> struct.Struct:
    return struct.Struct(f"<{4 * count}I")


def leaf_elements(page: Buffer, at: int, count: int) -> Iterator[tuple[int, int, int, int]]:
    """The elements of a leaf page from a place on: flags, place of the key, both sizes."""
    numbers = iter(_numbers(count).unpack_from(page, at))
    return zip(numbers, numbers, numbers, numbers, strict=True)


def _bucket(name: bytes, value: bytes, place: int) -> Bucket:
    if len(value) < BUCKET_HEADER.size:
        raise DamagedError(f"bucket {name!r} has no header")
    root, sequence = BUCKET_HEADER.unpack_from(value)
    inline = value[BUCKET_HEADER.size :] if root == 0 else b""
    if root == 0 and len(inline) < _HEADER:
        raise DamagedError(f"bucket {name!r} has an inline page of {len(inline)} bytes")
    return Bucket(
        name=name,
        root=root,
        sequence=sequence,
        inline=inline,
        place=place + BUCKET_HEADER.size,
    )


def _inline(bucket: Bucket) -> Leaf:
    _, kind, count, overflow = PAGE_HEADER.unpack_from(bucket.inline)
    if kind != LEAF or overflow:
        raise DamagedError(f"the inline page of bucket {bucket.name!r} is no leaf")
    return _leaf(bucket.inline, bucket.place, count, f"of bucket {bucket.name!r}", 0)


def _leaf(page: bytes, offset: int, count: int, which: object, wanted: int) -> Leaf:
    """Take a leaf page apart; all its elements must have the wanted flags."""
    least, limit = _HEADER + _STEP * count, len(page)
    if least > limit:
        raise DamagedError(f"page {which} tells of {count} elements, which do not fit")
    keys: list[bytes] = []
    spans: list[tuple[int, int]] = []
    at, expected, packed, previous = _HEADER, 0, True, None
    for flags, place, key_size, value_size in leaf_elements(page, _HEADER, count):
        begin = at + place
        middle = begin + key_size
        end = middle + value_size
        # Elements that overlap would make a small file cost as much as a giant one.
        if begin < least or begin < expected or end > limit or flags != wanted:
            raise DamagedError(f"page {which} holds an element that is not as it should be")
        key = page[begin:middle]
        if previous is not None and key <= previous:
            raise DamagedError(f"the keys of page {which} do not rise")
        if begin != expected and expected:
            packed = False
        keys.append(key)
        spans.append((middle, end))
        at, expected, previous = at + _STEP, end, key
    first = spans[0][0] - len(keys[0]) if keys else 0
    return Leaf(page, offset, keys, spans, wanted, first, packed)


def _children(page: bytes, count: int, number: int) -> tuple[list[bytes], list[int]]:
    """Keys and children of a branch page."""
    if not count or _HEADER + _STEP * count > len(page):
        raise DamagedError(f"page {number} tells of {count} elements, which do not fit")
    keys: list[bytes] = []
    children: list[int] = []
    expected = _HEADER + _STEP * count
    for at in range(_HEADER, expected, _STEP):
        place, size, child = BRANCH_ELEMENT.unpack_from(page, at)
        begin, end = at + place, at + place + size
        if begin < expected or end > len(page) or (keys and page[begin:end] <= keys[-1]):
            raise DamagedError(f"page {number} holds an element that is not as it should be")
        key, expected = page[begin:end], end
        keys.append(key)
        children.append(child)
    return keys, children


def _require_within(keys: list[bytes], low: bytes, high: bytes, number: int) -> None:
    if keys and (keys[0] < low or (high and keys[-1] >= high)):
        raise DamagedError(f"page {number} holds keys that its branch does not promise")
