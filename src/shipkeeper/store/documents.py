"""The signed documents of a repository, and the names they lie under."""

import re
import secrets
from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.store.values import Figures, ObjectId

PACKS = "packs"
INDEX = "index"
BACKUPS = "backups"
FORGOTTEN = "forgotten"
DOOMED = "doomed"
DICTIONARIES = "dictionaries"

_NAME_BYTES = 6


class Need(msgspec.Struct, frozen=True, array_like=True):
    """Segments that a backup needs: the pack they were born in, and a bitmap of their numbers
    (number n is bit n % 8 of byte n // 8)."""

    pack: bytes
    segments: bytes


class PackRow(msgspec.Struct, frozen=True, array_like=True):
    """A pack in an index: its name, its size in bytes, and which segments it holds."""

    name: bytes
    size: int
    holds: tuple[Need, ...]


class BackupDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A backup's record. `created_us` is the store's clock, in microseconds since 1970.

    `knows` names the backups visible when this one was made, `indexes` the index blobs it wrote;
    `locked` is a BackupBody.
    """

    created_us: int
    indexes: tuple[str, ...]
    knows: tuple[str, ...]
    needs: tuple[Need, ...]
    locked: bytes


class BackupBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a record that takes the index key: `root` is the list of sections.

    `kind` is empty for a cluster's objects, and else tells what the sections hold.
    """

    root: ObjectId
    summary: bytes
    figures: Figures
    kind: str = ""


class IndexDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is in some packs, and (locked) their tables of contents in the same order.

    `announces` is the backup that is about to appear, empty in a prune's index; the backup's record
    is the next thing written after the `last` of its index blobs. `knows` as in a backup's record;
    `replaces` are older index blobs whose packs, as far as needed, are in this one.
    """

    announces: str
    last: bool
    replaces: tuple[str, ...]
    knows: tuple[str, ...]
    packs: tuple[PackRow, ...]
    locked: bytes


class ForgottenDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was taken away on purpose."""

    backup: str


class DoomedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Blobs that no backup needed; swept `grace_s` seconds after this mark was stored."""

    grace_s: float
    blobs: tuple[str, ...]


def needs(segments: Iterable[tuple[bytes, int]]) -> tuple[Need, ...]:
    """Segments given by the pack they were born in and their number, as bitmaps, in order."""
    maps: dict[bytes, int] = {}
    for pack, number in segments:
        maps[pack] = maps.get(pack, 0) | 1 << number
    return tuple(
        Need(pack, bits.to_bytes((bits.bit_length() + 7) // 8, "little"))
        for pack, bits in sorted(maps.items())
    )


def segments_in(rows: Iterable[Need]) -> Iterator[tuple[bytes, int]]:
    """The segments that `needs` wrote down."""
    for row in rows:
        bits = int.from_bytes(row.segments, "little")
        while bits:
            lowest = bits & -bits
            yield row.pack, lowest.bit_length() - 1
            bits ^= lowest


def new_name() -> str:
    """A backup's name: random, so that no clock is trusted and no two writers meet."""
    return secrets.token_hex(_NAME_BYTES)


def is_name(text: str) -> bool:
    """Whether a text could be the name of a backup."""
    return re.fullmatch(f"[0-9a-f]{{{2 * _NAME_BYTES}}}", text) is not None


def pack_path(name: bytes) -> str:
    """Where a pack lies: folders by the first byte keep local folders quick."""
    return f"{PACKS}/{name.hex()[:2]}/{name.hex()}"


def base(path: str) -> str:
    """A path's last part."""
    return path.rpartition("/")[2]
