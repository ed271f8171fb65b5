"""The key and place of every revision, swept out of a database's pages without their values.

etcd's pages have one shape: elements follow one another without a gap, each of them a revision and
a message that begins with the key. That shape is read with a handful of operations for each page,
by all processors at once. Whatever is different is left to a reader that takes its time and tells
what is wrong.
"""

import contextlib
import os
import signal
import struct
import sys
from array import array
from collections.abc import Generator, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from shipkeeper.etcd.bolt.database import MAX_PAGE, Bucket, Database, leaf_elements
from shipkeeper.etcd.bolt.layout import LEAF, PAGE_HEADER
from shipkeeper.etcd.errors import DamagedError
from shipkeeper.etcd.revisions import key_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_REVISION: Final = 17  # bytes; one more for a deletion
_MAINS: Final = struct.Struct(f">Q{_REVISION - 8}x")
_DELETION: Final = ord("t")
_MARK: Final = b"_"
_SIGN: Final = 0x80
_STEP: Final = 16  # bytes of an element
_RELEASE_PAGES: Final = 2047  # one less than a power of two
_ALONE: Final = 4000  # leaf pages that are not worth another process
_MOST_PROCESSES: Final = 4


class Swept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Revisions in their order, by columns; numbers are arrays of 64 bits, `order` of 32.

    `keys` are users' keys, `mains` the transactions' numbers, `begins` the places of the messages
    in the file, `sizes` twice their bytes, and one more for a deletion. `order` tells which rows
    come first by key. `first` and `last` are the first and the last revision.
    """

    keys: list[bytes]
    mains: bytes
    begins: bytes
    sizes: bytes
    order: bytes
    first: bytes
    last: bytes


class _UnusualError(Exception):
    """The pages do not have the shape that is read here; there is no harm in that yet."""


def sweep(
    database: Database, bucket: Bucket, *, processes: int | None = None
) -> list[Swept] | None:
    """The revisions of the bucket `key`, in shares that follow one another.

    By as many processes as are worth it, unless their number is given: one of its own reads each
    share but the first. None where the pages have another shape, damaged or not.
    """
    pages = database.leaf_pages(bucket)
    if pages is None:
        return None
    # No page is read twice, whichever process reads it.
    if len(set(pages[0])) < len(pages[0]):
        return None
    count = processes or min(_processors(), _MOST_PROCESSES, len(pages[0]) // _ALONE) or 1
    mine, *others = _shares(*pages, count)
    try:
        with contextlib.ExitStack() as stack:
            aside = [stack.enter_context(_aside(database, each)) for each in others]
            found = [_sweep(database, *mine), *map(_received, aside)]
    except (_UnusualError, DamagedError):
        return None
    is_rising = all(one.last < other.first for one, other in pairwise(found))
    return found if is_rising else None


Share = tuple[Sequence[int], Sequence[bytes]]
"""Numbers of leaf pages, and the least key that each of them may have."""


def _shares(numbers: list[int], lows: list[bytes], count: int) -> list[Share]:
    length = -(-len(numbers) // count)
    return [
        (numbers[begin : begin + length], lows[begin : begin + length])
        for begin in range(0, len(numbers), length)
    ]


def _processors() -> int:
    # Elsewhere a process that forks may not use what the system's libraries have begun.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


@contextlib.contextmanager
def _aside(database: Database, share: Share) -> "Generator[Connection]":
    """Have another process read a share; yields where its answer comes from."""
    # Here and not above: most commands have no use for it.
    from multiprocessing import get_context

    # The mapped file and the list of pages are the child's too, without being sent.
    context = get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process: BaseProcess = context.Process(
        target=_answer, args=(sending, database, share), daemon=True
    )
    process.start()
    sending.close()
    try:
        yield receiving
    finally:
        receiving.close()
        process.kill()
        process.join()


def _answer(sending: "Connection", database: Database, share: Share) -> None:
    """What the other process does; nothing is sent when the pages are unusual."""
    # Ctrl-C is for the parent, which ends its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(_UnusualError, DamagedError, OSError):
        sending.send_bytes(msgspec.msgpack.encode(_sweep(database, *share)))


def _received(receiving: "Connection") -> Swept:
    try:
        return msgspec.msgpack.decode(receiving.recv_bytes(), type=Swept)
    except EOFError:
        raise _UnusualError from None


def _sweep(database: Database, numbers: Sequence[int], lows: Sequence[bytes]) -> Swept:
    """Read a share of the leaf pages."""
    buffer = database.buffer
    keys: list[bytes] = []
    begins, sizes, revisions = array("Q"), array("Q"), bytearray()
    previous = b""
    for (begin, end, count), low in zip(_pages(database, numbers), lows, strict=True):
        at, expected = begin, begin + _STEP * count
        if low and not previous < low <= buffer[expected : expected + len(low)]:
            raise _UnusualError
        elements = leaf_elements(buffer, begin, count)
        for flags, place, key_size, size in elements:
            middle = expected + key_size
            revision = buffer[expected : expected + _REVISION]
            is_gone = key_size != _REVISION
            if (
                at + place != expected
                or flags
                or revision <= previous
                or (is_gone and (key_size != _REVISION + 1 or buffer[middle - 1] != _DELETION))
                or middle + size > end
            ):
                raise _UnusualError
            at += _STEP
            previous, expected = revision, middle + size
            revisions += revision
            keys.append(key_of(buffer, middle, expected))
            begins.append(middle)
            sizes.append(size << 1 | is_gone)
    return _swept(keys, revisions, begins, sizes)


def _pages(database: Database, numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Where the elements of each leaf page begin, where the page ends, how many there are."""
    buffer, size, limit = database.buffer, database.meta.page_size, database.limit
    # Pages that go on may not overlap: a small file would cost as much as a giant one.
    seen = bytearray(database.meta.high_water)
    for turn, number in enumerate(numbers):
        begin = number * size
        if not 2 <= number < database.meta.high_water or begin + size > limit:
            raise _UnusualError
        told, kind, count, overflow = PAGE_HEADER.unpack_from(buffer, begin)
        end = begin + (overflow + 1) * size
        first = begin + PAGE_HEADER.size
        if told != number or kind != LEAF or first + _STEP * count > end:
            raise _UnusualError
        if end > limit or end - begin > MAX_PAGE:
            raise _UnusualError
        if seen[number] or (overflow and any(seen[number : number + overflow + 1])):
            raise _UnusualError
        seen[number : number + overflow + 1] = b"\1" * (overflow + 1)
        yield first, end, count
        if not turn & _RELEASE_PAGES:
            database.release()


def _swept(
    keys: list[bytes], revisions: bytearray, begins: "array[int]", sizes: "array[int]"
) -> Swept:
    count = len(keys)
    # All revisions are looked at together: bytes 8 and the first of each number.
    marks, mains, subs = (revisions[each::_REVISION] for each in (8, 0, 9))
    if marks.count(_MARK) < count or max((*mains, *subs), default=0) >= _SIGN:
        raise _UnusualError
    order = sorted(range(count), key=keys.__getitem__)
    return Swept(
        keys=keys,
        mains=array("Q", (main for (main,) in _MAINS.iter_unpack(revisions))).tobytes(),
        begins=begins.tobytes(),
        sizes=sizes.tobytes(),
        order=array("I", order).tobytes(),
        first=bytes(revisions[:_REVISION]),
        last=bytes(revisions[-_REVISION:]),
    )
