"""A repository's cryptography: age towards the readers, AES-256-GCM and keyed hashes inside."""

import secrets
from collections.abc import Sequence

import pyrage
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shipkeeper.store.errors import DamagedError, KeyFileError, WrongKeyError

KEY_BYTES = 32
NONCE_BYTES = 12

_IDS = "shipkeeper 2026-11 repository: object ids"
_INDEX = "shipkeeper 2026-11 repository: index and summaries"


def id_key(secret: bytes) -> bytes:
    """The key of the object ids, out of the repository's secret."""
    return blake3(secret, derive_key_context=_IDS).digest()


def index_key(secret: bytes) -> bytes:
    """The key of the index and the summaries, out of the repository's secret."""
    return blake3(secret, derive_key_context=_INDEX).digest()


def content_hash(content: bytes) -> bytes:
    """The plain BLAKE3 hash that names stored blobs: anybody can check it."""
    return blake3(content, max_threads=1).digest()


def seal(secret: bytes, recipients: Sequence[str]) -> bytes:
    """An age file that holds `secret`; KeyFileError for a recipient that is none."""
    try:
        keys = [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
    except pyrage.RecipientError as error:
        raise KeyFileError(
            f"not an age recipient: {error}", hint="Recipients look like age1… ."
        ) from error
    return pyrage.encrypt(secret, keys)


def unseal(sealed: bytes, identity: str) -> bytes:
    """What `seal` sealed; WrongKeyError when the identity is not among the recipients."""
    try:
        return pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
    except pyrage.DecryptError as error:
        raise WrongKeyError(f"the age identity does not open it: {error}") from error


def lock(key: bytes, content: bytes, purpose: bytes) -> bytes:
    """A random nonce and the AES-256-GCM ciphertext of `content`, bound to `purpose`."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, purpose)


def unlock(key: bytes, locked: bytes, purpose: bytes) -> bytes:
    """What `lock` locked; DamagedError when a byte of it, the key or the purpose differs."""
    try:
        return AESGCM(key).decrypt(locked[:NONCE_BYTES], locked[NONCE_BYTES:], purpose)
    except (InvalidTag, ValueError) as error:
        raise DamagedError(f"{purpose.decode()} cannot be decrypted") from error
