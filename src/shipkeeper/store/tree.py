"""Manifests as trees of nodes whose borders lie where the content says, not where it is counted.

A list of entries is cut after every entry whose encoding's CRC-32 ends in zeros, so a change moves
the borders of its own node only: all other nodes of the next backup are the same objects. A node is
msgpack: `[level, [item, …]]`; items are entries on level 0, children above.
"""

from collections.abc import Callable, Iterable, Sequence
from zlib import crc32

import msgspec

from shipkeeper.store.errors import DamagedError
from shipkeeper.store.values import Entry, ObjectId, Section

_BORDER = 0x7F
_FEWEST = 16
_MOST = 1024
_MOST_BYTES = 1024 * 1024

_encode = msgspec.msgpack.Encoder().encode


class Child(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A node in the list of the level above."""

    id: ObjectId
    entries: int
    content_bytes: int


class Leaf(msgspec.Struct, frozen=True, array_like=True):
    """A node of level 0."""

    level: int
    items: tuple[Entry, ...]


class Branch(msgspec.Struct, frozen=True, array_like=True):
    """A node of a higher level."""

    level: int
    items: tuple[Child, ...]


class _Level:
    """The unfinished node of one level."""

    __slots__ = ("content_bytes", "entries", "items", "size")

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.size = self.entries = self.content_bytes = 0


class TreeBuilder:
    """Turns a section's entries into nodes as they come; `store` keeps a node, tells its id."""

    def __init__(self, store: Callable[[bytes], ObjectId]) -> None:
        self._store = store
        self._levels = [_Level()]

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries at the end."""
        self._extend(0, [(_encode(entry), 1, entry.size) for entry in entries])

    def finish(self, name: str) -> Section:
        """Close every node up to the root."""
        level = 0
        while not self._is_root(level):
            if self._levels[level].items or level == len(self._levels) - 1:
                self._close(level)
            level += 1
        root = msgspec.msgpack.decode(self._levels[level].items[0], type=Child)
        return Section(name, root.id, root.entries, root.content_bytes)

    def _is_root(self, level: int) -> bool:
        return 0 < level == len(self._levels) - 1 and len(self._levels[level].items) == 1

    def _extend(self, level: int, items: Sequence[tuple[bytes, int, int]]) -> None:
        """Add encoded items of a level, each with its entries and their bytes."""
        if level == len(self._levels):
            self._levels.append(_Level())
        node = self._levels[level]
        for item, entries, content_bytes in items:
            node.items.append(item)
            node.size += len(item)
            node.entries += entries
            node.content_bytes += content_bytes
            count = len(node.items)
            border = count >= _FEWEST and not crc32(item) & _BORDER
            if border or count >= _MOST or node.size >= _MOST_BYTES:
                self._close(level)
                node = self._levels[level]

    def _close(self, level: int) -> None:
        node = self._levels[level]
        self._levels[level] = _Level()
        # An array of two: the level, and an array with a 32-bit count (0xdd) of encoded items.
        count = b"\xdd" + len(node.items).to_bytes(4, "big")
        encoded = b"".join((b"\x92", _encode(level), count, *node.items))
        child = Child(self._store(encoded), node.entries, node.content_bytes)
        self._extend(level + 1, [(_encode(child), child.entries, child.content_bytes)])


def decode_node(content: bytes) -> Leaf | Branch:
    """A node; DamagedError when it is none."""
    try:
        # Level 0 is encoded as one byte after the array's own.
        kind = Leaf if content[1:2] == b"\0" else Branch
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise DamagedError("a manifest's node is malformed") from error


def encode_sections(sections: Iterable[Section]) -> bytes:
    """The root object of a backup."""
    return _encode(sorted(sections, key=lambda section: section.name))


def decode_sections(content: bytes) -> tuple[Section, ...]:
    """The root object of a backup; DamagedError when it is none."""
    try:
        return msgspec.msgpack.decode(content, type=tuple[Section, ...])
    except msgspec.MsgspecError as error:
        raise DamagedError("a backup's list of sections is malformed") from error
