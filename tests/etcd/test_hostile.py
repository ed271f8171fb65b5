"""Snapshot files that are cut, flipped or made to harm: a clear refusal, soon, in little memory."""

import hashlib
import random
import struct
import time
import tracemalloc
from pathlib import Path

import pytest

from shipkeeper.etcd.bolt.database import Database
from shipkeeper.etcd.bolt.layout import BRANCH, LEAF, NO_FREELIST, PAGE_HEADER, Meta, decode_meta
from shipkeeper.etcd.errors import DamagedError
from shipkeeper.etcd.indexing import build_index
from shipkeeper.etcd.status import read_status
from tests.etcd import databases
from tests.etcd.databases import SIZE, empty, written
from tests.etcd.world import run

SECONDS = 5.0
SAMPLE = databases.of(
    *(
        written(number, f"/registry/pods/ns/pod-{number % 40}", b"x" * (number * 3))
        for number in range(2, 90)
    )
)


def branch(number: int, children: list[int], overflow: int = 0, count: int | None = None) -> bytes:
    """A branch page with one-byte keys."""
    told = len(children) if count is None else count
    out = bytearray(PAGE_HEADER.pack(number, BRANCH, told, overflow))
    place = 16 * len(children)
    for child in children:
        out += struct.pack("<IIQ", place, 1, child)
        place += 1 - 16
    return bytes(out + bytes(range(1, 1 + len(children)))).ljust(SIZE, b"\0")


def rooted(*pages: bytes) -> bytes:
    """A database whose root is the first of these pages, which have the numbers from 3 on."""
    meta = Meta(
        page_size=SIZE,
        root=3,
        sequence=0,
        freelist=NO_FREELIST,
        high_water=3 + len(pages),
        transaction=3,
    ).page()
    return b"".join((empty()[:SIZE], meta, empty()[2 * SIZE :], *pages))


def giant_leaf() -> bytes:
    """A leaf of many elements that all claim the whole page."""
    count = 200
    out = bytearray(PAGE_HEADER.pack(3, LEAF, count, 0))
    for index in range(count):
        out += struct.pack("<IIII", 1, 16 * (count - index), 1, SIZE - 16 * count - 32)
    return bytes(out).ljust(SIZE, b"\0")


HOSTILE = {
    "its own child": rooted(branch(3, [3])),
    "its grandchild": rooted(branch(3, [4]), branch(4, [3])),
    "twice the same child": rooted(branch(3, [4, 4]), branch(4, [])),
    "a child beyond the end": rooted(branch(3, [1 << 60])),
    "giant count": rooted(branch(3, [4], count=0xFFFF)),
    "giant overflow": rooted(branch(3, [4], overflow=0xFFFF_FFFF)),
    "overlapping elements": rooted(giant_leaf()),
    "a meta as child": rooted(branch(3, [0])),
    "a free page as child": rooted(branch(3, [4]), PAGE_HEADER.pack(4, 0x10, 0, 0).ljust(SIZE)),
    "no database": b"kind: Secret\n" * 1000,
    "zeroes": bytes(10 * SIZE),
    "one byte": b"x",
}


def read_all(data: bytes) -> None:
    database = Database(data, len(data))
    read_status(database)
    build_index(database)


def refusal(data: bytes) -> Exception | None:
    try:
        read_all(data)
    except DamagedError as error:
        return error
    return None


def within_bounds(data: bytes) -> Exception | None:
    # Of this process, whatever else the machine has to do.
    began = time.process_time()
    tracemalloc.start()
    try:
        error = refusal(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < SECONDS
    assert peak < 64 << 20
    return error


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str) -> None:
    assert within_bounds(HOSTILE[name]), name


def test_a_high_water_beyond_reason_is_refused() -> None:
    meta = decode_meta(SAMPLE[:SIZE])
    assert meta
    for high_water in (1 << 62, 1 << 32, 2):
        page = Meta(
            page_size=SIZE,
            root=meta.root,
            sequence=0,
            freelist=NO_FREELIST,
            high_water=high_water,
            transaction=9,
        ).page()
        assert within_bounds(
            page + SAMPLE[SIZE:] if high_water % 2 else page + page + SAMPLE[2 * SIZE :]
        )


def test_flipped_bits_never_crash_the_reader() -> None:
    chance = random.Random(5)
    read_all(SAMPLE)
    refused = 0
    for _ in range(400):
        data = bytearray(SAMPLE)
        page = chance.randrange(len(data) // SIZE) * SIZE
        for _ in range(chance.randrange(1, 4)):
            # Structure stands at the beginning of pages; values are the checksum's business.
            data[page + chance.randrange(600)] ^= 1 << chance.randrange(8)
        refused += refusal(bytes(data)) is not None
    assert refused > 40


def test_truncated_files_are_refused() -> None:
    for size in range(0, len(SAMPLE) - SIZE, 3001):
        assert refusal(SAMPLE[:size]), size


def test_a_single_flipped_bit_of_a_value_fails_the_checksum(tmp_path: Path) -> None:
    file = tmp_path / "snapshot.db"
    file.write_bytes(SAMPLE + hashlib.sha256(SAMPLE).digest())
    assert run("verify", str(file)).returncode == 0
    data = bytearray(file.read_bytes())
    data[len(SAMPLE) - SIZE - 1] ^= 1
    file.write_bytes(bytes(data))
    done = run("verify", str(file))
    assert (done.returncode, done.stdout) == (4, "")
    assert "sha256 does not fit" in done.stderr
    restored = run("restore", str(file), f"--data-dir={tmp_path / 'data'}")
    assert restored.returncode == 4
    assert sorted(each.name for each in tmp_path.iterdir()) == ["snapshot.db"]
