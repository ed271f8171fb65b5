"""An open repository's place, description and keys, shared by everything that works on it."""

from functools import cached_property

import msgspec

from shipkeeper.store import config as configs
from shipkeeper.store.blobs import Blobs
from shipkeeper.store.config import Config
from shipkeeper.store.dictionary import kubernetes_dictionary
from shipkeeper.store.documents import DICTIONARIES
from shipkeeper.store.envelope import Seal, sign
from shipkeeper.store.errors import (
    BlobMissingError,
    DamagedError,
    KeyNeededError,
    NoRepositoryError,
)
from shipkeeper.store.keys import ReaderKey, WriterKey
from shipkeeper.store.sealing import content_hash, id_key, index_key


class Access(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Who opened the repository, and what that allows. `secret` is None without any key."""

    blobs: Blobs
    config: Config
    writer: WriterKey | None
    reader: ReaderKey | None
    secret: bytes | None
    dictionary: bytes

    @property
    def seal(self) -> Seal:
        """Checks signed documents."""
        return self.config.checker

    @cached_property
    def id_key(self) -> bytes:
        """The key of object ids; KeyNeededError without any key."""
        return id_key(self._secret)

    @cached_property
    def index_key(self) -> bytes:
        """The key of the index; KeyNeededError without any key."""
        return index_key(self._secret)

    @property
    def _secret(self) -> bytes:
        if self.secret is None:
            raise KeyNeededError(f"{self.blobs.url} was opened without a key")
        return self.secret

    @property
    def writing(self) -> WriterKey:
        """The writer's key; KeyNeededError without."""
        if self.writer is None:
            raise KeyNeededError(f"writing to {self.blobs.url} needs the writer's key")
        return self.writer

    @property
    def reading(self) -> ReaderKey:
        """The reader's key; KeyNeededError without."""
        if self.reader is None:
            raise KeyNeededError(f"reading from {self.blobs.url} needs the reader's key")
        return self.reader

    def sign(self, kind: str, name: str, document: msgspec.Struct) -> bytes:
        """A signed document's blob."""
        return sign(self.writing.signing, self.config.repository, kind, name, document)


async def open_access(blobs: Blobs, writer: WriterKey | None, reader: ReaderKey | None) -> Access:
    """Read the config and try the keys on it."""
    try:
        config = configs.decode(await blobs.read(configs.NAME), blobs.url)
    except BlobMissingError as error:
        raise NoRepositoryError(f"there is no repository in {blobs.url}") from error
    return Access(
        blobs=blobs,
        config=config,
        writer=writer,
        reader=reader,
        secret=configs.secret_of(config, blobs.url, writer, reader),
        dictionary=await _dictionary(blobs, config),
    )


async def _dictionary(blobs: Blobs, config: Config) -> bytes:
    if not config.dictionary:
        return b""
    shipped = kubernetes_dictionary()
    if content_hash(shipped).hex() == config.dictionary:
        return shipped
    name = f"{DICTIONARIES}/{config.dictionary}"
    content = await blobs.read(name)
    if content_hash(content).hex() != config.dictionary:
        raise DamagedError(f"{name} is not what was written")
    return content
