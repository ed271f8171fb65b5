"""The messages of LDAP (RFC 4511) that logging in takes. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from shipkeeper.ldap import ber
from shipkeeper.ldap.filter import Filter, Values, encode_filter

BIND, SEARCH, EXTENDED = 0x60, 0x63, 0x77
BOUND, ENTRY, DONE, REFERENCE, EXTENDED_DONE = 0x61, 0x64, 0x65, 0x73, 0x78
SUCCESS, SIZE_LIMIT_EXCEEDED = 0, 4
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_PAGED_RESULTS = b"1.2.840.113556.1.4.319"
_CONTROLS = 0xA0
_SCOPES = {"base": 0, "one": 1, "subtree": 2}

Scope = Literal["base", "one", "subtree"]


class Entry(msgspec.Struct, frozen=True):
    """What a search found: its name, and values by attribute in lower case."""

    dn: str
    attributes: dict[str, tuple[bytes, ...]]

    def values(self, attribute: str) -> tuple[bytes, ...]:
        """The values of an attribute; none if it has none, or they may not be read."""
        return self.attributes.get(attribute.lower(), ())


class Result(msgspec.Struct, frozen=True):
    """How an operation ended: 0 is success; with the cookie of the next page, if there is one."""

    code: int
    message: str
    cookie: bytes = b""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for. At most `limit` entries, 0 for all of them."""

    base: str
    filter: Filter
    attributes: tuple[str, ...]
    scope: Scope = "subtree"
    values: Values = {}
    limit: int = 0


class Message(msgspec.Struct, frozen=True):
    """A message from the server."""

    id: int
    tag: int
    content: bytes
    controls: bytes = b""


def bind_request(number: int, dn: str, password: str) -> bytes:
    """A simple bind; ValueError without a name or password: that would be anonymous and succeed."""
    if not dn or not password:
        raise ValueError("a bind needs a name and a password")
    credentials = ber.octets(password.encode(), 0x80)
    return _message(
        number, ber.sequence(ber.integer(3), ber.octets(dn.encode()), credentials, tag=BIND)
    )


def start_tls_request(number: int) -> bytes:
    """The wish to speak TLS from here on."""
    return _message(number, ber.sequence(ber.octets(_START_TLS, 0x80), tag=EXTENDED))


def unbind_request(number: int) -> bytes:
    """The end of a connection."""
    return _message(number, ber.octets(b"", 0x42))


def abandon_request(number: int, abandoned: int) -> bytes:
    """The wish that an operation be given up."""
    return _message(number, ber.integer(abandoned, 0x50))


def search_request(number: int, search: Search, seconds: int, page: int, cookie: bytes) -> bytes:
    """A search; in pages of so many entries if `page` is not 0."""
    body = ber.sequence(
        ber.octets(search.base.encode()),
        ber.integer(_SCOPES[search.scope], ber.ENUMERATED),
        ber.integer(0, ber.ENUMERATED),
        ber.integer(search.limit),
        ber.integer(seconds),
        ber.boolean(False),
        encode_filter(search.filter, search.values),
        ber.sequence(*(ber.octets(each.encode()) for each in search.attributes)),
        tag=SEARCH,
    )
    if not page:
        return _message(number, body)
    asked = ber.sequence(ber.integer(page), ber.octets(cookie))
    control = ber.sequence(ber.octets(_PAGED_RESULTS), ber.boolean(True), ber.octets(asked))
    return _message(number, body, ber.sequence(control, tag=_CONTROLS))


def _message(number: int, *elements: bytes) -> bytes:
    return ber.sequence(ber.integer(number), *elements)


def read_message(content: bytes) -> Message:
    """The message in the content of its SEQUENCE; BerError if it is none."""
    found = list(ber.elements(content))
    if len(found) < 2 or found[0][0] != ber.INTEGER:
        raise ber.BerError("a message without a number or an operation")
    controls = next((each for tag, each in found[2:] if tag == _CONTROLS), b"")
    return Message(ber.number(found[0][1]), found[1][0], found[1][1], controls)


def read_result(message: Message) -> Result:
    """The LDAPResult that a message ends an operation with."""
    found = list(ber.elements(message.content))
    if len(found) < 3 or found[0][0] != ber.ENUMERATED:
        raise ber.BerError("a result without a code or a message")
    cookie = _cookie(message.controls) if message.controls else b""
    return Result(ber.number(found[0][1]), found[2][1].decode(errors="replace"), cookie)


def read_entry(message: Message) -> Entry:
    """The entry in a message of a search."""
    (_, dn), (_, listed) = _pair(message.content)
    attributes: dict[str, tuple[bytes, ...]] = {}
    for _, each in ber.elements(listed):
        (_, name), (_, values) = _pair(each)
        attributes[name.decode(errors="replace").lower()] = tuple(
            value for _, value in ber.elements(values)
        )
    # A name that is no text is nobody's: it matches nothing that is asked about afterwards.
    return Entry(dn.decode(errors="replace"), attributes)


def _pair(content: bytes) -> Sequence[tuple[int, bytes]]:
    found = list(ber.elements(content))
    if len(found) != 2:
        raise ber.BerError(f"{len(found)} elements where two must be")
    return found


def _cookie(controls: bytes) -> bytes:
    for _, control in ber.elements(controls):
        parts = list(ber.elements(control))
        if parts and parts[0][1] == _PAGED_RESULTS:
            for _, value in ber.elements(parts[-1][1]):
                _, (_, cookie) = _pair(value)
                return cookie
    return b""
