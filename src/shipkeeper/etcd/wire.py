"""The wire format of protocol buffers: fields out of bytes and into them.

Source: protobuf.dev, "Encoding". A message is a sequence of fields, each a tag and a value.
"""

import struct
from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

_WORD: Final = (1 << 64) - 1
_SIGN: Final = 1 << 63


class WireError(ValueError):
    """Bytes are no protobuf message."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a number does not end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _WORD, at
        shift += 7


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Field number, wire type and value of each field; fixed numbers come as their bytes."""
    at, size = 0, len(data)
    while at < size:
        tag, at = read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise WireError("a field has number 0")
        if kind == VARINT:
            value, at = read_varint(data, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, at = read_varint(data, at)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise WireError(f"field {number} has wire type {kind}")
        if length > size - at:
            raise WireError(f"field {number} is longer than its message")
        yield number, kind, data[at : at + length]
        at += length


def signed(value: int) -> int:
    """A varint as int64 or int32."""
    return value - (1 << 64) if value & _SIGN else value


def double(data: bytes) -> float:
    """A fixed64 as float64."""
    return struct.unpack("<d", data)[0]


def varint(value: int) -> bytes:
    """A number as varint; negative ones as int64."""
    value &= _WORD
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """A varint field."""
    return varint(number << 3 | VARINT) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of bytes, a string, or a message."""
    return varint(number << 3 | BYTES) + varint(len(value)) + value
