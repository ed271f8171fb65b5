"""A backup repository: created once, then opened to write, to read, or to check."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from shipkeeper.store import config as configs
from shipkeeper.store import records
from shipkeeper.store.access import Access, open_access
from shipkeeper.store.blobs import Blobs, create_same, listed
from shipkeeper.store.dictionary import kubernetes_dictionary
from shipkeeper.store.documents import DICTIONARIES, INDEX
from shipkeeper.store.errors import (
    BlobExistsError,
    BlobMissingError,
    KeyFileError,
    NoSuchBackupError,
    RepositoryExistsError,
)
from shipkeeper.store.index import load_index
from shipkeeper.store.keys import ReaderKey, WriterKey
from shipkeeper.store.reading import ObjectReader
from shipkeeper.store.sealing import content_hash
from shipkeeper.store.snapshot import Snapshot, open_snapshot
from shipkeeper.store.values import Backup, ObjectId
from shipkeeper.store.writer import BackupWriter

LATEST = "latest"
_KINDS = {"": "a cluster's objects", "etcd": "a snapshot of etcd"}


class Repository:
    """An open repository; what it can do depends on the keys it was opened with."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._reader: ObjectReader | None = None
        self._indexed: frozenset[str] = frozenset()

    @classmethod
    async def create(
        cls, blobs: Blobs, writer: WriterKey, recipients: Sequence[str]
    ) -> "Repository":
        """Make a new repository readable by the age `recipients`; RepositoryExistsError if any."""
        if not recipients:
            raise KeyFileError("a repository needs at least one age recipient")
        dictionary = kubernetes_dictionary()
        name = content_hash(dictionary).hex()
        config = configs.new_config(writer, tuple(recipients), name)
        await create_same(blobs, f"{DICTIONARIES}/{name}", dictionary)
        try:
            await create_same(blobs, configs.NAME, configs.encode(config))
        except BlobExistsError as error:
            raise RepositoryExistsError(f"{blobs.url} holds a repository already") from error
        return await cls.open(blobs, writer=writer)

    @classmethod
    async def open(
        cls, blobs: Blobs, *, writer: WriterKey | None = None, reader: ReaderKey | None = None
    ) -> "Repository":
        """Open with either key, both, or none (then only `backups` without summaries and verify).

        NoRepositoryError, NewerFormatError, WrongRepositoryError, WrongKeyError, DamagedError.
        """
        return cls(await open_access(blobs, writer, reader))

    @property
    def id(self) -> str:
        """32 hex digits that no other repository has."""
        return self.access.config.repository

    async def backups(self) -> list[Backup]:
        """Every visible backup, oldest first; damaged ones are in it and say so."""
        return [record.backup(self.access) for record in await self._records()]

    async def find(self, name: str, kind: str = "") -> Backup:
        """The backup of that name, unambiguous prefix of a name, or `latest`; NoSuchBackupError.

        Only backups of that kind are meant; a damaged one may be of any.
        """
        found = await self.backups()
        meant = [backup for backup in found if backup.damaged or backup.kind == kind]
        if name == LATEST and meant:
            return meant[-1]
        fitting = [backup for backup in found if name and backup.name.startswith(name)]
        if len(fitting) != 1:
            count = "no" if not fitting else "more than one"
            raise NoSuchBackupError(f"{count} backup {name!r} in {self.access.blobs.url}")
        if fitting[0] not in meant:
            raise NoSuchBackupError(
                f"backup {fitting[0].name} in {self.access.blobs.url} holds "
                f"{_KINDS.get(fitting[0].kind, 'something else')}"
            )
        return fitting[0]

    @asynccontextmanager
    async def writing(self, name: str = "") -> AsyncGenerator[BackupWriter]:
        """Start a backup; it becomes visible by `commit` alone. Needs the writer's key.

        Who gives it a name (`documents.new_name`) finds out later whether it became visible: of two
        writers with one name the second `commit` meets BlobExistsError. ForgottenError, here or at
        the `commit`, if that name was forgotten.
        """
        self.access.writing  # noqa: B018 - asked for before anything is read
        if name:
            await records.require_not_forgotten(self.access, name)
        # Marks before the index: what is doomed later is still there for a whole grace.
        marks = await records.read_marks(self.access)
        doomed = {blob for mark in marks for blob in mark.document.blobs}
        writer = BackupWriter(self.access, await load_index(self.access, doomed), name)
        try:
            yield writer
        finally:
            await writer.abandon()

    async def snapshot(self, backup: Backup) -> Snapshot:
        """Open a backup's manifest. Needs the reader's key; DamagedError."""
        found = {record.name: record for record in await self._records()}
        if backup.name not in found:
            raise NoSuchBackupError(f"no backup {backup.name!r} in {self.access.blobs.url}")
        body = found[backup.name].body(self.access)
        return await open_snapshot(backup, body.root, await self._objects())

    async def read(self, ids: Sequence[ObjectId]) -> list[bytes]:
        """The bytes of these objects, in this order, all in memory: ask for some MB at a time."""
        reader = self._reader or await self._objects()
        try:
            return await reader.read(ids)
        except BlobMissingError:
            # Since the index was read, a prune may have moved the objects.
            self._reader = None
            return await (await self._objects()).read(ids)

    async def forget(self, names: Sequence[str]) -> None:
        """Hide backups for good; their bytes go with the next prunes. Needs the writer's key."""
        found = await records.visible(self.access)
        for name in names:
            if name not in found:
                raise NoSuchBackupError(f"no backup {name!r} in {self.access.blobs.url}")
        for name in names:
            await records.forget(self.access, name)

    async def renounce(self, name: str) -> None:
        """Let no backup of that name be visible: neither one that is there nor one on its way.

        Needs the writer's key.
        """
        await records.forget(self.access, name)

    async def require_not_forgotten(self, name: str) -> None:
        """ForgottenError if no backup of that name will ever be visible."""
        await records.require_not_forgotten(self.access, name)

    async def _records(self) -> list[records.Record]:
        found = await records.visible(self.access)
        return await records.read_records(self.access, found.values())

    async def _objects(self) -> ObjectReader:
        self.access.reading  # noqa: B018 - asked for before anything is read
        names = frozenset(await listed(self.access.blobs, INDEX))
        # Backups and prunes of others write new index blobs and remove old ones.
        if self._reader is None or names != self._indexed:
            self._reader = ObjectReader(self.access, await load_index(self.access))
            self._indexed = names
        return self._reader
