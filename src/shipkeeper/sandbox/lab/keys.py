"""SSH keys of a lab."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from shipkeeper.sandbox.files import write_private


class KeyFile(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 key pair in OpenSSH's formats."""

    private: bytes
    public: bytes


def new_key(comment: str) -> KeyFile:
    """A new key pair."""
    # Here and not above: it is slow to import, and only a new lab needs it.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return KeyFile(private=private, public=public + f" {comment}\n".encode())


def write_key(path: Path, key: KeyFile) -> None:
    """Write a private key, and the public half beside it."""
    write_private(path, key.private)
    write_private(path.with_name(f"{path.name}.pub"), key.public)


def write_known_hosts(path: Path, keys: Mapping[tuple[str, ...], KeyFile]) -> None:
    """Write the hosts' public keys under all their names and addresses."""
    lines = [
        f"{','.join(names)} {' '.join(key.public.decode().split()[:2])}\n"
        for names, key in keys.items()
    ]
    write_private(path, "".join(lines).encode())
