"""Snapshots of etcd in the repository, looked into as backups are.

What is read lies in a file without a name, and its index in memory alone: both are gone with the
console, however that ends.
"""

import asyncio
import hashlib
import secrets
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from shipkeeper.backup.catalog import Names
from shipkeeper.backup.comparing import (
    BATCH,
    DECISIVE,
    Name,
    Read,
    Seen,
    Side,
    compare,
    read_around,
)
from shipkeeper.backup.convert.chain import modern_kind
from shipkeeper.backup.difference import Comparison
from shipkeeper.backup.kinds import GroupKind, Kind
from shipkeeper.backup.manifest import Manifest, is_map
from shipkeeper.backup.masking import is_secret
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.skip import NOTHING_AROUND
from shipkeeper.etcd.archive import fetch, summary_of
from shipkeeper.etcd.browse import Browser
from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.files import unwritable
from shipkeeper.etcd.index import Row, make_index
from shipkeeper.etcd.objects import ObjectError, type_of
from shipkeeper.etcd.snapshot import Snapshot, map_snapshot
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Backup, ObjectId

PREFIX = "etcd:"
_SECRETS = "secrets"
# What clusters encrypt, which then does not tell of which kind it is.
_ENCRYPTED = {_SECRETS: ("", "v1", "Secret"), "configmaps": ("", "v1", "ConfigMap")}
# Nobody but who may list the resource in every group may list this.
_ANY_GROUP = "*"


class ListedSnapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A snapshot in the list; what only its key tells is None without one."""

    name: str
    created: datetime
    size: int | None = None
    added_bytes: int | None = None
    version: str | None = None
    endpoint: str | None = None
    is_damaged: bool = False


class Kept(msgspec.Struct, frozen=True, gc=False):
    """One object of a snapshot; `id` is the digest of its stored bytes, empty until it is asked."""

    kind: Kind
    namespace: str
    name: str
    row: Row
    id: ObjectId = b""

    @property
    def size(self) -> int:
        """Bytes in etcd."""
        return self.row.size


class SnapshotCatalog(Names[Kept]):
    """The names of one snapshot, and what reads its objects."""

    def __init__(self, title: str, browser: Browser) -> None:
        super().__init__(title, _names(browser))
        self._browser = browser

    async def read(self, kind: str, namespace: str, name: str) -> Manifest:
        """One object as the API server shows it; ObjectNotInBackupError if it is not there."""
        return await asyncio.to_thread(self.manifest, self.stored(kind, namespace, name))

    async def compare(self, new: Side, selection: Selection, *, everything: bool) -> Comparison:
        """What changed since, until the other side."""
        return await compare(self.side(), new, selection, everything=everything)

    def manifest(self, stored: Kept) -> Manifest:
        """The same of what was found already; EtcdError if it is encrypted, or no object."""
        manifest = self._browser.manifest(stored.row)
        metadata = manifest.get("metadata")
        if not is_map(metadata) or not {"kind", "apiVersion"} <= manifest.keys():
            raise _no_object(stored)
        # Whatever lies where Secrets are kept is treated as one, or is not shown.
        if (stored.kind.name == _SECRETS) != is_secret(manifest):
            raise _no_object(stored)
        metadata.setdefault("name", stored.name)
        return manifest

    def side(self) -> "SnapshotSide":
        """The snapshot to be compared."""
        return SnapshotSide(self)

    def read_all(self, stored: Sequence[Kept]) -> list[Read]:
        """The same of some, and of those that are none why."""
        return [self._manifest_or_error(each) for each in stored]

    def _manifest_or_error(self, stored: Kept) -> Read:
        try:
            return self.manifest(stored)
        except EtcdError as error:
            return error

    def chosen(self, kind: Kind, selection: Selection) -> dict[Name, Kept]:
        """The objects of a kind that are chosen, with the digests of their bytes."""
        return {
            (each.namespace, each.name): msgspec.structs.replace(each, id=self._digest(each.row))
            for each in self._stored
            if each.kind == kind and selection.has_key(kind, each.namespace, each.name)
        }

    def _digest(self, row: Row) -> ObjectId:
        try:
            return hashlib.sha256(self._browser.value(row)).digest()
        except EtcdError:
            # It is the same as nothing: what is wrong with it is told when it is read.
            return secrets.token_bytes()


class SnapshotSide:
    """A snapshot, side by side with another one, a backup or the cluster."""

    def __init__(self, catalog: SnapshotCatalog) -> None:
        self.name = catalog.title
        self.around = NOTHING_AROUND
        self.unreadable: dict[str, str] = {}
        self._catalog = catalog

    async def prepare(self) -> None:
        """Read what decides on other objects."""
        await read_around(self, self.kinds(DECISIVE).values())

    def kinds(self, selection: Selection) -> dict[GroupKind, Kind]:
        """The kinds that are chosen, by what they are called today."""
        chosen = selection.chosen_kinds(self._catalog.kinds.values())
        return {modern_kind(kind.api_version, kind.kind): kind for kind in chosen}

    async def stored(self, kind: Kind, selection: Selection) -> dict[Name, Kept]:
        """The objects of a kind by their names."""
        return await asyncio.to_thread(self._catalog.chosen, kind, selection)

    async def read(self, stored: Sequence[Kept]) -> list[Read]:
        """The objects, whole, in the order of `stored`."""
        return await asyncio.to_thread(self._catalog.read_all, stored)

    async def objects(
        self, kind: Kind, selection: Selection, known: Mapping[Name, ObjectId]
    ) -> AsyncGenerator[list[Seen]]:
        """The objects of a kind that are chosen; `known` are contents that need not be read."""
        found = await self.stored(kind, selection)
        yield [(name, None) for name, each in found.items() if known.get(name) == each.id]
        unknown = [(name, each) for name, each in found.items() if known.get(name) != each.id]
        for start in range(0, len(unknown), BATCH):
            batch = unknown[start : start + BATCH]
            read = await self.read([each for _, each in batch])
            yield [(name, each) for (name, _), each in zip(batch, read, strict=True)]


def listed_snapshot(backup: Backup) -> ListedSnapshot:
    """A snapshot of a repository in the list."""
    known = ListedSnapshot(
        name=backup.name,
        created=backup.created,
        added_bytes=backup.figures.added_bytes if backup.figures else None,
        is_damaged=backup.damaged,
    )
    try:
        told = summary_of(backup)
    except EtcdError:
        return known
    return msgspec.structs.replace(
        known, size=told.size, version=told.version, endpoint=told.endpoint
    )


async def open_catalog(repository: Repository, backup: Backup) -> SnapshotCatalog:
    """Fetch a snapshot, and read its names; EtcdError if it is damaged, or there is no room."""
    with _file() as file:

        def write(data: bytes) -> None:
            with _on_disk():
                file.write(data)

        await fetch(repository, backup.name, write)
        with _on_disk():
            file.flush()
            snapshot = map_snapshot(Path(f"/dev/fd/{file.fileno()}"), is_verified=True)
    return await asyncio.to_thread(_catalog, f"snapshot {backup.name}", snapshot)


@contextmanager
def _file() -> Generator[IO[bytes]]:
    """A file without a name; what could not be written is told at the end at the latest."""
    with _on_disk():
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    try:
        yield file
    finally:
        with _on_disk():
            file.close()


@contextmanager
def _on_disk() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(Path(tempfile.gettempdir(), "snapshot"), error) from error


def _catalog(title: str, snapshot: Snapshot) -> SnapshotCatalog:
    return SnapshotCatalog(title, Browser(snapshot, Keys(), index=make_index(snapshot)))


def _names(browser: Browser) -> list[Kept]:
    found = list(browser.living())
    namespaced = {place.resource for place, _ in found if place.namespace}
    told: dict[str, bytes] = {}
    for place, row in found:
        if not told.get(place.resource):
            told[place.resource] = _value(browser, row)
    kinds = {name: _kind(name, value, name in namespaced) for name, value in told.items()}
    return [Kept(kinds[place.resource], place.namespace, place.name, row) for place, row in found]


def _value(browser: Browser, row: Row) -> bytes:
    """The bytes of an object; none if they are damaged, which is told when it is read."""
    try:
        return browser.value(row)
    except EtcdError:
        return b""


def _kind(resource: str, value: bytes, namespaced: bool) -> Kind:
    """The kind of a resource, told by the first of its objects that can be read."""
    plural, _, group = resource.partition(".")
    told = type_of(value)
    if resource in _ENCRYPTED:
        group, version, kind = _ENCRYPTED[resource]
    elif told.kind:
        group, _, version = told.api_version.rpartition("/")
        kind = told.kind
    else:
        group, version, kind = group or _ANY_GROUP, "", plural
    return Kind(group=group, version=version, plural=plural, kind=kind, namespaced=namespaced)


def _no_object(stored: Kept) -> ObjectError:
    return ObjectError(
        f"what is stored as {stored.kind.name} {stored.name} is none",
        reason="NoObject",
        hint="the snapshot may be of an etcd that others than an API server write to",
    )
