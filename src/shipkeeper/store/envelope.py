"""Signed documents: a line that tells the kind, a msgpack body, an Ed25519 signature."""

from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shipkeeper.store.errors import DamagedError

SIGNATURE_BYTES = 64

_Document = TypeVar("_Document")


class Seal(msgspec.Struct, frozen=True):
    """Checks documents of one repository against its pinned public key."""

    repository: str
    verify_key: bytes

    def open(self, content: bytes, kind: str, name: str, shape: type[_Document]) -> _Document:
        """The document in a blob; DamagedError when a byte, the kind or the name differs."""
        header = _header(kind)
        body, signature = content[len(header) : -SIGNATURE_BYTES], content[-SIGNATURE_BYTES:]
        try:
            if not content.startswith(header):
                raise InvalidSignature
            public = Ed25519PublicKey.from_public_bytes(self.verify_key)
            public.verify(signature, _signed(self.repository, kind, name, body))
            return msgspec.msgpack.decode(body, type=shape)
        except (InvalidSignature, msgspec.MsgspecError) as error:
            raise DamagedError(f"{name or kind} does not carry this repository's seal") from error


def sign(
    key: Ed25519PrivateKey, repository: str, kind: str, name: str, document: msgspec.Struct
) -> bytes:
    """A document's blob. The signature binds repository, kind and name, so none can be swapped.

    `name` is empty for documents whose blob is named by its own hash.
    """
    body = msgspec.msgpack.encode(document)
    return _header(kind) + body + key.sign(_signed(repository, kind, name, body))


def _header(kind: str) -> bytes:
    return f"shipkeeper {kind} 1\n".encode()


def _signed(repository: str, kind: str, name: str, body: bytes) -> bytes:
    return b"\0".join(
        (b"shipkeeper signature 1", repository.encode(), kind.encode(), name.encode(), body)
    )
