"""A private key and what vouches for it, in memory and on disk."""

import msgspec

from shipkeeper.sandbox.files import write_private
from shipkeeper.sandbox.layout import Layout


class KeyPair(msgspec.Struct, frozen=True, kw_only=True):
    """A PEM private key and its PEM certificate (of a signing key: its public half)."""

    certificate: bytes
    key: bytes


def read_pair(layout: Layout, name: str) -> KeyPair:
    """A key pair of a sandbox."""
    return KeyPair(
        certificate=layout.certificate(name).read_bytes(), key=layout.key(name).read_bytes()
    )


def write_pair(layout: Layout, name: str, pair: KeyPair) -> None:
    """Keep a key pair in a sandbox."""
    write_private(layout.certificate(name), pair.certificate)
    write_private(layout.key(name), pair.key)
