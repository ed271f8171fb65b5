"""Reading a backup: its kinds, the names in it, and the objects themselves."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from shipkeeper.backup.contents import Contents, KindContents, decode_contents, decode_name
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.manifest import Manifest
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.record import SECTION, VolumeRecord, decode_record
from shipkeeper.backup.volumes.writing import Source
from shipkeeper.errors import ShipkeeperError
from shipkeeper.store.repository import Repository
from shipkeeper.store.snapshot import Snapshot
from shipkeeper.store.values import Backup, ObjectId

_MANIFESTS = msgspec.json.Decoder(dict[str, Any])
# Objects that are read, and decoded, at once: about a megabyte of JSON.
_BATCH = 500


class ObjectNotInBackupError(ShipkeeperError):
    """The backup holds no object of that kind and name."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """One object of a backup; `id` finds its bytes, and tells whether two are the same."""

    kind: Kind
    namespace: str
    name: str
    id: ObjectId
    size: int


class Archive:
    """One backup, opened to read."""

    def __init__(self, repository: Repository, backup: Backup, snapshot: Snapshot) -> None:
        self.backup = backup
        self.contents: Contents = decode_contents(backup.summary, backup.name)
        self._repository = repository
        self._snapshot = snapshot

    @property
    def source(self) -> Source:
        """Where the files of its volumes are."""
        return Source(self._repository, self._snapshot)

    async def volumes(self) -> tuple[VolumeRecord, ...]:
        """Its volumes, and what became of each when it was made."""
        if not self.contents.volumes.listed:
            return ()
        entries = self._snapshot.entries(SECTION)
        return tuple([decode_record(each.meta) async for some in entries for each in some])

    def kinds(self, selection: Selection) -> tuple[KindContents, ...]:
        """The kinds of which anything can be meant."""
        return tuple(each for each in self.contents.kinds if selection.has_kind(each.kind))

    async def names(self, of: KindContents, selection: Selection) -> AsyncGenerator[list[Stored]]:
        """The objects of a kind that are meant as far as their names tell, in order, in batches."""
        kind = of.kind
        if not of.objects:
            return
        async for entries in self._snapshot.entries(of.section):
            yield [
                Stored(kind, namespace, name, entry.parts[0], entry.size)
                for entry in entries
                for namespace, name in (decode_name(entry.meta),)
                if selection.has_key(kind, namespace, name)
            ]

    async def read(self, stored: Sequence[Stored]) -> list[Manifest]:
        """The objects, whole, in the order of `stored`; ask for some hundreds at a time."""
        return await self.read_contents([(each.kind, each.id) for each in stored])

    async def read_contents(self, contents: Sequence[tuple[Kind, ObjectId]]) -> list[Manifest]:
        """The same by kind and content id."""
        bodies = await self._repository.read([id_ for _, id_ in contents])
        return [_manifest(kind, body) for (kind, _), body in zip(contents, bodies, strict=True)]

    async def objects(
        self, of: KindContents, selection: Selection
    ) -> AsyncGenerator[list[tuple[Stored, Manifest]]]:
        """The objects of a kind that are meant, labels included, some hundreds at a time."""
        async for named in self.names(of, selection):
            for start in range(0, len(named), _BATCH):
                batch = named[start : start + _BATCH]
                manifests = await self.read(batch)
                yield [
                    (each, manifest)
                    for each, manifest in zip(batch, manifests, strict=True)
                    if selection.has_labels(manifest)
                ]

    async def find(self, selection: Selection) -> list[tuple[Stored, Manifest]]:
        """Everything that is meant, at once; for selections that name objects."""
        found: list[tuple[Stored, Manifest]] = []
        for kind in self.kinds(selection):
            async for batch in self.objects(kind, selection):
                found += batch
        return found


async def open_archive(repository: Repository, name: str) -> Archive:
    """Open the backup of a name, a prefix of a name, or `latest`."""
    backup = await repository.find(name)
    return Archive(repository, backup, await repository.snapshot(backup))


def _manifest(kind: Kind, body: bytes) -> Manifest:
    """The whole object: lists leave apiVersion and kind of built-in objects out."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        **_MANIFESTS.decode(body),
    }
