"""A repository and its keys, by the places where they lie."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.store.keys import (
    ReaderKey,
    WriterKey,
    load_reader_key,
    load_writer_key,
    new_reader_key,
    new_writer_key,
    save_reader_key,
    save_writer_key,
)
from shipkeeper.store.location import open_location
from shipkeeper.store.repository import Repository


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a repository is, and the files of its keys; an empty path is a key one has not.

    `key` is the writer's: who has it adds backups and cannot read them. `identity` is the
    reader's, an age identity file.
    """

    url: str
    endpoint: str = ""
    key: str = ""
    identity: str = ""
    passphrase: str = ""


@asynccontextmanager
async def open_repository(place: Place, *, reads: bool = False) -> AsyncGenerator[Repository]:
    """Open it with the keys that there are; UsageError if one `reads` and has no identity."""
    if reads and not place.identity:
        raise UsageError(
            "reading a backup needs the repository's identity",
            reason="NoIdentity",
            hint="name its file with --identity or $SHIPKEEPER_IDENTITY",
        )
    yield await Repository.open(
        open_location(place.url, endpoint=place.endpoint),
        writer=_writer(place),
        reader=_reader(place),
    )


def _writer(place: Place) -> WriterKey | None:
    return load_writer_key(Path(place.key)) if place.key else None


def _reader(place: Place) -> ReaderKey | None:
    if not place.identity:
        return None
    return load_reader_key(Path(place.identity), place.passphrase)


async def create_repository(place: Place, recipients: tuple[str, ...]) -> str:
    """Make a repository and the key files that are not there yet; returns its id.

    Without recipients it is sealed to the identity, which is made if its file is not there. Keys
    are on disk before the repository is: what nobody could read is never written.
    """
    blobs = open_location(place.url, endpoint=place.endpoint)
    writer = new_writer_key()
    sealed_to = recipients or (_identity(place).recipient,)
    save_writer_key(Path(place.key), writer)
    try:
        repository = await Repository.create(blobs, writer, sealed_to)
    except BaseException:
        # A key of a repository that does not exist opens nothing, and would be in the way.
        _remove(place.key)
        raise
    return repository.id


def _remove(path: str) -> None:
    Path(path).unlink()


def _identity(place: Place) -> ReaderKey:
    path = Path(place.identity)
    if path.exists():
        return load_reader_key(path, place.passphrase)
    key = new_reader_key()
    save_reader_key(path, key, place.passphrase)
    return key
