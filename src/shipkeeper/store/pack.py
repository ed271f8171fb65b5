"""Packs: many objects in one blob, compressed and encrypted in segments.

    magic · segments · locked table of contents · its length (4 bytes, little-endian) · magic

A segment is `AES-256-GCM(zstd(objects one after the other))` under its pack's own random key, which
is in the table of contents as an age file. The nonce is the segment's number. A segment keeps the
name of the pack it was born in, and its number there, when a prune copies it into another pack.
"""

import secrets
import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shipkeeper.store.errors import DamagedError
from shipkeeper.store.sealing import KEY_BYTES, NONCE_BYTES, content_hash, lock, seal, unlock
from shipkeeper.store.values import ObjectId

MAGIC = b"SKPACK1\n"
TARGET_BYTES = 8 * 1024 * 1024
ID_BYTES = 32

_SEGMENT = b"shipkeeper segment 1"
_CONTENTS = b"shipkeeper table of contents 1"
_LEVEL = 3
_LENGTH = struct.Struct("<I")


class SegmentRow(msgspec.Struct, frozen=True, array_like=True):
    """A segment in a table of contents: its origin's place in `origins`, its number there, its
    stored bytes, its bytes before compression, and how many objects it holds."""

    origin: int
    number: int
    stored: int
    raw: int
    objects: int


class Contents(msgspec.Struct, frozen=True, array_like=True):
    """A pack's table of contents.

    `origins` are pairs of a pack's name (32 bytes; empty for this very pack) and its sealed key;
    `ids` all object ids one after the other, `lengths` their lengths as 4-byte little-endian.
    """

    origins: tuple[tuple[bytes, bytes], ...]
    segments: tuple[SegmentRow, ...]
    ids: bytes
    lengths: bytes


class Segment(msgspec.Struct, kw_only=True, eq=False):
    """Where some objects are. `pack` and `origin` are empty while their pack is being written."""

    pack: bytes = b""
    origin: bytes = b""
    number: int = 0
    sealed_key: bytes = b""
    offset: int = 0
    stored: int = 0
    raw: int = 0
    ids: list[ObjectId]
    lengths: list[int]


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """A finished pack: its name (the hash of its bytes), its bytes, and what is where in them."""

    name: bytes
    content: bytes
    contents: Contents


class Packer:
    """Fills one pack after the other; pure computation, one call at a time."""

    def __init__(
        self, recipients: Sequence[str], index_key: bytes, dictionary: bytes, target: int
    ) -> None:
        self._recipients = recipients
        self._index_key = index_key
        self._target = target
        self._compressor = zstandard.ZstdCompressor(
            level=_LEVEL,
            dict_data=zstandard.ZstdCompressionDict(dictionary) if dictionary else None,
            write_checksum=False,
        )
        self._start()

    def add(self, segment: Segment, bodies: Sequence[bytes]) -> Pack | None:
        """Compress and encrypt one segment; the pack when that filled it."""
        raw = b"".join(bodies)
        number = len(self._segments)
        sealed = encrypt(self._key, number, self._compressor.compress(raw))
        segment.number, segment.offset = number, self._size
        segment.stored, segment.raw = len(sealed), len(raw)
        segment.sealed_key = self._sealed_key
        self._segments.append(segment)
        self._chunks.append(sealed)
        self._size += len(sealed)
        return self.finish() if self._size >= self._target else None

    def finish(self) -> Pack | None:
        """The pack so far; None when nothing was added."""
        if not self._segments:
            return None
        segments = self._segments
        contents = Contents(
            origins=((b"", self._sealed_key),),
            segments=tuple(SegmentRow(0, s.number, s.stored, s.raw, len(s.ids)) for s in segments),
            ids=b"".join(i for s in segments for i in s.ids),
            lengths=_pack_lengths([length for s in segments for length in s.lengths]),
        )
        pack = assemble(self._chunks, contents, self._index_key)
        for segment in segments:
            segment.pack = segment.origin = pack.name
        self._start()
        return pack

    def _start(self) -> None:
        self._key = secrets.token_bytes(KEY_BYTES)
        self._sealed_key = seal(self._key, self._recipients)
        self._segments: list[Segment] = []
        self._chunks: list[bytes] = [MAGIC]
        self._size = len(MAGIC)


def assemble(chunks: Sequence[bytes], contents: Contents, index_key: bytes) -> Pack:
    """A pack out of its magic and its segments."""
    table = lock(index_key, msgspec.msgpack.encode(contents), _CONTENTS)
    content = b"".join((*chunks, table, _LENGTH.pack(len(table)), MAGIC))
    return Pack(name=content_hash(content), content=content, contents=contents)


def encrypt(key: bytes, number: int, plain: bytes) -> bytes:
    """A segment's stored bytes."""
    return AESGCM(key).encrypt(number.to_bytes(NONCE_BYTES, "big"), plain, _SEGMENT)


def decrypt(key: bytes, number: int, stored: bytes) -> bytes:
    """A segment's compressed bytes; cryptography's InvalidTag when anything differs."""
    return AESGCM(key).decrypt(number.to_bytes(NONCE_BYTES, "big"), stored, _SEGMENT)


def read_contents(content: bytes, index_key: bytes) -> Contents:
    """The table of contents at the end of a whole pack; DamagedError."""
    tail = len(MAGIC) + _LENGTH.size
    if len(content) < len(MAGIC) + tail or not content.endswith(MAGIC):
        raise DamagedError("a pack is cut short")
    (length,) = _LENGTH.unpack(content[-tail : -len(MAGIC)])
    table = unlock(index_key, content[-tail - length : -tail], _CONTENTS)
    return decode_contents(table)


def decode_contents(table: bytes) -> Contents:
    """A table of contents; DamagedError when its parts do not fit together."""
    try:
        contents = msgspec.msgpack.decode(table, type=Contents)
    except msgspec.MsgspecError as error:
        raise DamagedError("a table of contents is malformed") from error
    objects = sum(row.objects for row in contents.segments)
    if (len(contents.ids), len(contents.lengths)) != (objects * ID_BYTES, objects * _LENGTH.size):
        raise DamagedError("a table of contents contradicts itself")
    return contents


def segments_of(pack: bytes, contents: Contents) -> Iterator[Segment]:
    """The segments of a stored pack."""
    lengths = struct.unpack(f"<{len(contents.lengths) // _LENGTH.size}I", contents.lengths)
    ids = contents.ids
    offsets = accumulate((row.stored for row in contents.segments), initial=len(MAGIC))
    ends = accumulate(row.objects for row in contents.segments)
    for row, offset, end in zip(contents.segments, offsets, ends, strict=False):
        start = end - row.objects
        origin, sealed_key = contents.origins[row.origin]
        yield Segment(
            pack=pack,
            origin=origin or pack,
            number=row.number,
            sealed_key=sealed_key,
            offset=offset,
            stored=row.stored,
            raw=row.raw,
            ids=[ids[i * ID_BYTES : (i + 1) * ID_BYTES] for i in range(start, end)],
            lengths=list(lengths[start:end]),
        )


def _pack_lengths(lengths: list[int]) -> bytes:
    return struct.pack(f"<{len(lengths)}I", *lengths)


def contents_of(segments: Sequence[Segment]) -> Contents:
    """The table of contents of a pack that copies `segments` from others."""
    origins = {s.origin: s.sealed_key for s in segments}
    places = {name: place for place, name in enumerate(origins)}
    return Contents(
        origins=tuple(origins.items()),
        segments=tuple(
            SegmentRow(places[s.origin], s.number, s.stored, s.raw, len(s.ids)) for s in segments
        ),
        ids=b"".join(i for s in segments for i in s.ids),
        lengths=_pack_lengths([length for s in segments for length in s.lengths]),
    )
