"""The Basic Encoding Rules as LDAP uses them (RFC 4511, 5.1). Pure."""

from collections.abc import Iterator

BOOLEAN, INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
# Octets of the longest length that is read: 4 GiB are more than anybody waits for.
_LONGEST = 4


class BerError(ValueError):
    """What came is no BER, or not the element that must be there."""


def element(tag: int, content: bytes) -> bytes:
    """One element."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """An INTEGER, or with its tag an ENUMERATED."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value: bytes, tag: int = OCTETS) -> bytes:
    """An OCTET STRING."""
    return element(tag, value)


def boolean(value: bool, tag: int = BOOLEAN) -> bytes:
    """A BOOLEAN."""
    return element(tag, b"\xff" if value else b"\x00")


def sequence(*elements: bytes, tag: int = SEQUENCE) -> bytes:
    """A SEQUENCE of elements that are encoded already, or another constructed type."""
    return element(tag, b"".join(elements))


def head(data: bytes | bytearray, at: int = 0) -> tuple[int, int, int] | None:
    """Tag, start and end of the element at an offset; None while its head is not there whole."""
    if len(data) < at + 2:
        return None
    tag, first = data[at], data[at + 1]
    if first < 0x80:
        return tag, at + 2, at + 2 + first
    count = first & 0x7F
    if not 1 <= count <= _LONGEST:
        raise BerError(f"a length of {count} octets")
    if len(data) < at + 2 + count:
        return None
    start = at + 2 + count
    return tag, start, start + int.from_bytes(data[at + 2 : start], "big")


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element in turn; BerError where one is cut off."""
    at = 0
    while at < len(data):
        found = head(data, at)
        if found is None or found[2] > len(data):
            raise BerError("an element is cut off")
        tag, start, end = found
        yield tag, data[start:end]
        at = end


def number(content: bytes) -> int:
    """The value of an INTEGER or ENUMERATED."""
    return int.from_bytes(content, "big", signed=True)
