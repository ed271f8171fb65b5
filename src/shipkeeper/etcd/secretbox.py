"""NaCl's secretbox, for opening: XSalsa20 and Poly1305.

Sources: cr.yp.to/snuffle (Salsa20, HSalsa20), nacl.cr.yp.to (crypto_secretbox). Pure. The
`cryptography` library has Poly1305 but no Salsa20, and values are small.
"""

import struct
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

_NONCE: Final = 24
_TAG: Final = 16
_KEY: Final = 32
_WORD: Final = 0xFFFF_FFFF
_SIGMA: Final = struct.unpack("<4I", b"expand 32-byte k")
_ROUNDS: Final = (
    *((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)),
    *((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)),
)


class NotSealedError(ValueError):
    """Bytes were not sealed with this key."""


def open_secretbox(sealed: bytes, key: bytes) -> bytes:
    """Open what begins with its nonce; NotSealedError if it was not sealed with this key."""
    if len(sealed) < _NONCE + _TAG or len(key) != _KEY:
        raise NotSealedError("too short")
    nonce, tag, data = sealed[:_NONCE], sealed[_NONCE : _NONCE + _TAG], sealed[_NONCE + _TAG :]
    inner = _hsalsa20(key, nonce[:16])
    stream = _stream(inner, nonce[16:], _KEY + len(data))
    try:
        Poly1305.verify_tag(stream[:_KEY], data, tag)
    except InvalidSignature as error:
        raise NotSealedError("the tag does not fit") from error
    mask = int.from_bytes(stream[_KEY : _KEY + len(data)], "big")
    return (int.from_bytes(data, "big") ^ mask).to_bytes(len(data), "big")


def _state(key: bytes, place: bytes) -> list[int]:
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", place)
    s = _SIGMA
    return [s[0], *k[:4], s[1], *n, s[2], *k[4:], s[3]]


def _mix(state: list[int]) -> list[int]:
    x = list(state)
    for _ in range(10):
        for a, b, c, d in _ROUNDS:
            for to, one, other, turn in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
                total = (x[one] + x[other]) & _WORD
                x[to] ^= (total << turn | total >> (32 - turn)) & _WORD
    return x


def _hsalsa20(key: bytes, place: bytes) -> bytes:
    x = _mix(_state(key, place))
    return struct.pack("<8I", x[0], x[5], x[10], x[15], x[6], x[7], x[8], x[9])


def _stream(key: bytes, nonce: bytes, length: int) -> bytes:
    out = bytearray()
    for block in range((length + 63) // 64):
        state = _state(key, nonce + struct.pack("<Q", block))
        mixed = _mix(state)
        out += struct.pack("<16I", *((a + b) & _WORD for a, b in zip(state, mixed, strict=True)))
    return bytes(out[:length])
