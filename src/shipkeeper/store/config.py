"""The repository's own description: format, recipients, pinned key; written once."""

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shipkeeper.store.envelope import Seal
from shipkeeper.store.errors import (
    DamagedError,
    NewerFormatError,
    WrongKeyError,
    WrongRepositoryError,
)
from shipkeeper.store.keys import ReaderKey, WriterKey
from shipkeeper.store.sealing import KEY_BYTES, seal, unseal

NAME = "config"
FORMAT = 1

_PURPOSE = b"shipkeeper config 1\0"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What `config` holds, as JSON.

    `sealed_secret` is the repository's secret in an age file for the recipients; `dictionary` the
    hash of the zstd dictionary in `dictionaries/`; `signature` covers the encoding of all else.
    """

    format: int
    repository: str
    recipients: tuple[str, ...]
    verify_key: bytes
    sealed_secret: bytes
    dictionary: str = ""
    signature: bytes = b""

    @property
    def checker(self) -> Seal:
        """Checks this repository's signed documents."""
        return Seal(self.repository, self.verify_key)


class _FormatOnly(msgspec.Struct, frozen=True):
    format: int


def new_config(writer: WriterKey, recipients: tuple[str, ...], dictionary: str) -> Config:
    """A signed config for a new repository."""
    unsigned = Config(
        format=FORMAT,
        repository=writer.repository,
        recipients=recipients,
        verify_key=writer.verify_key,
        sealed_secret=seal(writer.secret, recipients),
        dictionary=dictionary,
    )
    return msgspec.structs.replace(unsigned, signature=writer.signing.sign(_signed(unsigned)))


def encode(config: Config) -> bytes:
    """The blob."""
    return msgspec.json.format(msgspec.json.encode(config)) + b"\n"


def decode(content: bytes, url: str) -> Config:
    """The config in a blob; NewerFormatError, or DamagedError when a byte of it differs."""
    try:
        found = msgspec.json.decode(content, type=_FormatOnly).format
        if found > FORMAT:
            raise NewerFormatError(f"{url} has format {found}; this shipkeeper reads {FORMAT}")
        config = msgspec.json.decode(content, type=Config)
        public = Ed25519PublicKey.from_public_bytes(config.verify_key)
        public.verify(config.signature, _signed(config))
    except (msgspec.MsgspecError, InvalidSignature, ValueError) as error:
        raise DamagedError(f"{url}: config is not what was written") from error
    # Spaces and order are outside of the signature; a byte is a byte.
    if encode(config) != content:
        raise DamagedError(f"{url}: config is not what was written")
    return config


def secret_of(
    config: Config, url: str, writer: WriterKey | None, reader: ReaderKey | None
) -> bytes | None:
    """The repository's secret by whichever key there is; WrongRepositoryError, WrongKeyError."""
    if writer and (writer.repository, writer.verify_key) != (config.repository, config.verify_key):
        raise WrongRepositoryError(
            f"{url} is repository {config.repository}, the writer's key is for {writer.repository}"
        )
    if reader is None:
        return writer.secret if writer else None
    secret = unseal(config.sealed_secret, reader.identity)
    if len(secret) != KEY_BYTES or (writer and secret != writer.secret):
        raise WrongKeyError(f"the keys of {url} do not belong together")
    return secret


def _signed(config: Config) -> bytes:
    return _PURPOSE + msgspec.json.encode(msgspec.structs.replace(config, signature=b""))
