"""TLS greetings by hand: what a server takes that no TLS library offers any more. Pure.

RFC 5246 (TLS 1.2), section 7.4: up to that version a server's certificates come in the clear.
"""

import secrets
import struct
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import msgspec

VERSIONS = {0x0301: "TLSv1.0", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
TLS_1_1, TLS_1_2 = 0x0302, 0x0303

# By their IANA numbers: no encryption, no certificate, or one that is broken.
WEAK = {
    0x0001: "RSA_WITH_NULL_MD5",
    0x0002: "RSA_WITH_NULL_SHA",
    0x003B: "RSA_WITH_NULL_SHA256",
    0xC006: "ECDHE_ECDSA_WITH_NULL_SHA",
    0xC010: "ECDHE_RSA_WITH_NULL_SHA",
    0xC015: "ECDH_anon_WITH_NULL_SHA",
    0x0018: "DH_anon_WITH_RC4_128_MD5",
    0x001B: "DH_anon_WITH_3DES_EDE_CBC_SHA",
    0x0034: "DH_anon_WITH_AES_128_CBC_SHA",
    0x003A: "DH_anon_WITH_AES_256_CBC_SHA",
    0x00A6: "DH_anon_WITH_AES_128_GCM_SHA256",
    0x00A7: "DH_anon_WITH_AES_256_GCM_SHA384",
    0xC016: "ECDH_anon_WITH_RC4_128_SHA",
    0xC017: "ECDH_anon_WITH_3DES_EDE_CBC_SHA",
    0xC018: "ECDH_anon_WITH_AES_128_CBC_SHA",
    0xC019: "ECDH_anon_WITH_AES_256_CBC_SHA",
    0x0004: "RSA_WITH_RC4_128_MD5",
    0x0005: "RSA_WITH_RC4_128_SHA",
    0xC007: "ECDHE_ECDSA_WITH_RC4_128_SHA",
    0xC011: "ECDHE_RSA_WITH_RC4_128_SHA",
    0x000A: "RSA_WITH_3DES_EDE_CBC_SHA",
    0x0016: "DHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0xC008: "ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA",
    0xC012: "ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0x0009: "RSA_WITH_DES_CBC_SHA",
    0x0015: "DHE_RSA_WITH_DES_CBC_SHA",
    0x0003: "RSA_EXPORT_WITH_RC4_40_MD5",
    0x0006: "RSA_EXPORT_WITH_RC2_CBC_40_MD5",
    0x0008: "RSA_EXPORT_WITH_DES40_CBC_SHA",
}
# What servers of every age take one of, in TLS 1.1 as in 1.2.
COMMON = (
    *(0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014),
    *(0x009C, 0x009D, 0x002F, 0x0035, 0x0033, 0x0039, 0x009E, 0x009F, 0x003C, 0x003D),
)

_RENEGOTIATION = 0x00FF
_GROUPS = (0x001D, 0x0017, 0x0018, 0x0019)
_SIGNATURES = (
    *(0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806),
    *(0x0401, 0x0501, 0x0601, 0x0203, 0x0201),
)
_ALERT, _HANDSHAKE = 21, 22
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE, _CERTIFICATE_REQUEST, _DONE = 1, 2, 11, 13, 14


class ServerFlight(msgspec.Struct, frozen=True, kw_only=True):
    """What a server answered: its choice, its certificates (DER) as far as they came, or an alert.

    `wants_certificate` if it asks for a client's; `is_foreign` if it does not speak TLS at all;
    `is_complete` if nothing more is to be read.
    """

    version: int = 0
    cipher: int = 0
    chain: tuple[bytes, ...] = ()
    alert: int | None = None
    wants_certificate: bool = False
    is_foreign: bool = False
    is_complete: bool = False


def client_hello(version: int, ciphers: Iterable[int], name: str = "") -> bytes:
    """A greeting that offers at most a version and these ciphers; `name` is the server's."""
    suites = b"".join(struct.pack(">H", each) for each in (*ciphers, _RENEGOTIATION))
    extensions = b"".join(_extensions(name))
    body = b"".join(
        (
            struct.pack(">H", version),
            secrets.token_bytes(32),
            b"\x00",
            _sized(suites),
            b"\x01\x00",
            _sized(extensions),
        )
    )
    message = bytes([_CLIENT_HELLO]) + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", _HANDSHAKE, 0x0301, len(message)) + message


def _extensions(name: str) -> Iterator[bytes]:
    if name and not _is_address(name):
        host = b"\x00" + _sized(name.encode("idna"))
        yield _extension(0, _sized(host))
    yield _extension(10, _sized(b"".join(struct.pack(">H", each) for each in _GROUPS)))
    yield _extension(11, b"\x01\x00")
    yield _extension(13, _sized(b"".join(struct.pack(">H", each) for each in _SIGNATURES)))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack(">H", number) + _sized(content)


def _sized(content: bytes) -> bytes:
    return struct.pack(">H", len(content)) + content


def read_flight(received: bytes) -> ServerFlight:
    """What a server has answered so far; whatever it sends, this does not fail."""
    messages, alert, is_foreign = _records(received)
    if is_foreign:
        return ServerFlight(is_foreign=True, is_complete=True)
    version, cipher, chain = 0, 0, ()
    kinds: set[int] = set()
    for kind, body in _messages(messages):
        if kind == _SERVER_HELLO and len(body) > 34 and len(body) >= 37 + body[34]:
            version = int.from_bytes(body[:2], "big")
            at = 35 + body[34]
            cipher = int.from_bytes(body[at : at + 2], "big")
        elif kind == _CERTIFICATE:
            chain = tuple(_certificates(body))
        kinds.add(kind)
    return ServerFlight(
        version=version,
        cipher=cipher,
        chain=chain,
        alert=alert,
        wants_certificate=_CERTIFICATE_REQUEST in kinds,
        is_complete=_DONE in kinds or alert is not None,
    )


def _records(received: bytes) -> tuple[bytes, int | None, bool]:
    """The handshake's bytes, an alert if there is one, and whether it is no TLS at all."""
    content = b""
    at = 0
    while at + 5 <= len(received):
        kind, major, _, size = struct.unpack(">BBBH", received[at : at + 5])
        if kind not in range(20, 24) or major != 3:
            return b"", None, at == 0
        body = received[at + 5 : at + 5 + size]
        if len(body) < size:
            break
        if kind == _ALERT and size >= 2:
            return content, body[1], False
        if kind == _HANDSHAKE:
            content += body
        at += 5 + size
    return content, None, False


def _messages(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(content):
        size = int.from_bytes(content[at + 1 : at + 4], "big")
        body = content[at + 4 : at + 4 + size]
        if len(body) < size:
            return
        yield content[at], body
        at += 4 + size


def _certificates(body: bytes) -> Iterator[bytes]:
    at = 3
    while at + 3 <= len(body):
        size = int.from_bytes(body[at : at + 3], "big")
        yield body[at + 3 : at + 3 + size]
        at += 3 + size
