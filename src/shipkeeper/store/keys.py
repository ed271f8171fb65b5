"""Key files: the writer's (ids, index, signatures) and the reader's (an age identity)."""

import os
import secrets
from functools import cached_property
from pathlib import Path

import msgspec
import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shipkeeper.store.errors import KeyFileError, WrongKeyError

_KIND = "shipkeeper repository writer key 1"
_AGE_HEADER = b"age-encryption.org/v1"
_IDENTITY_LINE = "AGE-SECRET-KEY-1"
_REPOSITORY_BYTES = 16
_SECRET_BYTES = 32


class WriterKey(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a machine needs to add backups; it cannot read their contents.

    `repository` is the id of the one repository it writes to, 32 hex digits; `secret` gives the
    ids and opens the index; `signing_seed` is an Ed25519 private key.
    """

    repository: str
    secret: bytes
    signing_seed: bytes

    @cached_property
    def signing(self) -> Ed25519PrivateKey:
        """The key that signs."""
        return Ed25519PrivateKey.from_private_bytes(self.signing_seed)

    @property
    def verify_key(self) -> bytes:
        """The public half, 32 bytes."""
        return self.signing.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"WriterKey(repository={self.repository!r})"


class ReaderKey(msgspec.Struct, frozen=True, kw_only=True):
    """An age identity: reads every backup sealed to its recipient."""

    identity: str

    @property
    def recipient(self) -> str:
        """Its public half, `age1…`."""
        return str(pyrage.x25519.Identity.from_str(self.identity).to_public())

    def __repr__(self) -> str:
        return f"ReaderKey(recipient={self.recipient!r})"


class _WriterFile(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    repository: str
    secret: bytes
    signing_seed: bytes


def new_writer_key() -> WriterKey:
    """A fresh key for a new repository."""
    return WriterKey(
        repository=secrets.token_hex(_REPOSITORY_BYTES),
        secret=secrets.token_bytes(_SECRET_BYTES),
        signing_seed=secrets.token_bytes(_SECRET_BYTES),
    )


def new_reader_key() -> ReaderKey:
    """A fresh age identity."""
    return ReaderKey(identity=str(pyrage.x25519.Identity.generate()))


def save_writer_key(path: Path, key: WriterKey) -> None:
    """Write a new file of mode 0600; KeyFileError when there is one already."""
    content = _WriterFile(
        kind=_KIND, repository=key.repository, secret=key.secret, signing_seed=key.signing_seed
    )
    _write_new(path, msgspec.json.format(msgspec.json.encode(content)) + b"\n")


def save_reader_key(path: Path, key: ReaderKey, passphrase: str = "") -> None:
    """Write a new age identity file of mode 0600, encrypted when there is a passphrase."""
    content = f"# public key: {key.recipient}\n{key.identity}\n".encode()
    _write_new(path, pyrage.passphrase.encrypt(content, passphrase) if passphrase else content)


def load_writer_key(path: Path) -> WriterKey:
    """Read a writer's key file; KeyFileError when it is none or others may read it."""
    return read_writer_key(_read_private(path), str(path))


def read_writer_key(content: bytes, source: str) -> WriterKey:
    """A writer's key out of its file's bytes; KeyFileError, which names the source, for others."""
    try:
        found = msgspec.json.decode(content, type=_WriterFile)
    except msgspec.MsgspecError:
        # Without its cause, which may quote the key.
        raise KeyFileError(f"{source} is not a writer's key file") from None
    if found.kind != _KIND or {len(found.secret), len(found.signing_seed)} != {_SECRET_BYTES}:
        raise KeyFileError(f"{source} is not a writer's key file")
    return WriterKey(
        repository=found.repository, secret=found.secret, signing_seed=found.signing_seed
    )


def load_reader_key(path: Path, passphrase: str = "") -> ReaderKey:
    """Read an age identity file (age-keygen's own are fine); KeyFileError when it is none."""
    return read_reader_key(_read_private(path), str(path), passphrase)


def is_sealed(content: bytes) -> bool:
    """Whether an age identity's file is encrypted: it takes a passphrase, time and memory."""
    return content.startswith(_AGE_HEADER)


def read_reader_key(content: bytes, source: str, passphrase: str = "") -> ReaderKey:
    """An age identity out of its file's bytes; KeyFileError, which names the source, for others."""
    if is_sealed(content):
        content = _decrypt(source, content, passphrase)
    lines = content.decode(errors="replace").splitlines()
    identity = next((line.strip() for line in lines if line.startswith(_IDENTITY_LINE)), "")
    try:
        pyrage.x25519.Identity.from_str(identity)
    except pyrage.IdentityError as error:
        raise KeyFileError(f"{source} holds no age identity (AGE-SECRET-KEY-1…)") from error
    return ReaderKey(identity=identity)


def _decrypt(source: str, content: bytes, passphrase: str) -> bytes:
    if not passphrase:
        raise KeyFileError(f"{source} needs its passphrase", hint="Give the passphrase.")
    try:
        return pyrage.passphrase.decrypt(content, passphrase)
    except pyrage.DecryptError as error:
        raise WrongKeyError(f"the passphrase does not open {source}", hint="Try again.") from error


def _write_new(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise KeyFileError(
            f"{path} exists already", hint="Keep it: losing a key loses the backups."
        ) from error
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from error


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            content = file.read()
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from error
    # The kubelet gives a Secret's files to root, and lets the pod's group read them (0440).
    forbidden = 0o077 if found.st_uid == os.geteuid() else 0o037
    if found.st_mode & forbidden:
        raise KeyFileError(
            f"{path} is open to others (mode {found.st_mode & 0o777:o})", hint=f"chmod 600 {path}"
        )
    return content
