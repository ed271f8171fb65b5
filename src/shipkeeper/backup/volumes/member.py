"""What the headers of one file in a tar stream say (POSIX pax, as GNU tar writes it). Pure."""

import re
from collections.abc import Iterator

import msgspec

from shipkeeper.errors import ShipkeeperError

BLOCK = 512
NOTHING = bytes(BLOCK)
_EXTENDED, _GLOBAL = b"x", b"g"
_WITH_CONTENT = b"\0" + b"07"
# GNU tar puts its process ID into the names of sparse files, where nobody needs it: what did not
# change must look the same in the next backup.
_SPARSE_NAME = re.compile(rb"GNUSparseFile\.\d+/")


class TarError(ShipkeeperError):
    """A stream is not what GNU tar writes."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message, reason="TarMalformed", hint="see what its tar is: tar --version must say GNU"
        )


class Member(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One file, directory, link or device; `headers` are its blocks in front of its content.

    `size` is how many bytes of content follow; those of a sparse file begin with a map of its data.
    """

    headers: bytes
    name: bytes
    kind: bytes
    size: int
    is_sparse: bool = False


def is_extension(header: bytes) -> bool:
    """Whether a header only tells more of the one that comes after it."""
    return header[156:157] in (_EXTENDED, _GLOBAL)


def extension_bytes(header: bytes) -> int:
    """How many bytes follow such a header, padding included."""
    return padded(_number(header[124:136]))


def padded(size: int) -> int:
    """Bytes up to the next full block."""
    return -(-size // BLOCK) * BLOCK


def read_member(headers: bytes) -> Member:
    """Read the headers of one member, all blocks of them; TarError."""
    extended: dict[bytes, bytes] = {}
    at = 0
    while is_extension(headers[at : at + BLOCK]):
        length = _number(headers[at + 124 : at + 136])
        at += BLOCK
        extended.update(_records(headers[at : at + length]))
        at += padded(length)
    own = headers[at : at + BLOCK]
    if own[257:262] != b"ustar":
        raise TarError("a tar stream has no header where one should be")
    kind = own[156:157]
    size = int(extended.get(b"size", b"") or _number(own[124:136]))
    is_sparse = b"GNU.sparse.major" in extended
    return Member(
        headers=_settled(headers[:at], own) if is_sparse else headers,
        name=extended.get(b"GNU.sparse.name") or extended.get(b"path") or _name(own),
        kind=kind,
        size=size if kind in _WITH_CONTENT else 0,
        is_sparse=is_sparse,
    )


def _name(own: bytes) -> bytes:
    prefix, name = own[345:500].rstrip(b"\0"), own[:100].rstrip(b"\0")
    return prefix + b"/" + name if prefix else name


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError as error:
        raise TarError("a number in a tar header is none") from error


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records `LENGTH KEY=VALUE\\n` of an extended header."""
    at = 0
    while at < len(content):
        length, space, _ = content[at : at + 20].partition(b" ")
        if not space or not length.isdigit() or not int(length):
            raise TarError("an extended header of a tar stream is malformed")
        key, _, value = content[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        yield key, value
        at += int(length)


def _settled(before: bytes, own: bytes) -> bytes:
    """The headers of a sparse file without a process ID in its stand-in's name."""
    if len(before) < 2 * BLOCK:
        return before + own
    header = before[:BLOCK]
    records = [
        (key, _SPARSE_NAME.sub(b"GNUSparseFile.0/", value) if key == b"path" else value)
        for key, value in _records(before[BLOCK : BLOCK + _number(header[124:136])])
    ]
    content = b"".join(_record(key, value) for key, value in records)
    size = b"%011o\0" % len(content)
    name = _SPARSE_NAME.sub(b"GNUSparseFile.0/", own[:100].rstrip(b"\0")).ljust(100, b"\0")
    return b"".join(
        (
            _summed(header[:124] + size + header[136:]),
            content.ljust(padded(len(content)), b"\0"),
            _summed(name + own[100:]),
        )
    )


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def _summed(header: bytes) -> bytes:
    """A header with the right sum of its bytes."""
    total = sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")
    return header[:148] + b"%06o\0 " % total + header[156:]
