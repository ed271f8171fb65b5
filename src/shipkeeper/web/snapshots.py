"""Snapshots of etcd in the repository, looked into as backups are.

What is read lies in a file without a name, and its index in memory alone: both are gone with the
console, however that ends.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from shipkeeper.backup.catalog import Names
from shipkeeper.backup.comparing import Name, Seen, Side, compare
from shipkeeper.backup.convert.chain import modern_kind
from shipkeeper.backup.difference import Comparison
from shipkeeper.backup.kinds import GroupKind, Kind
from shipkeeper.backup.manifest import Manifest, is_map
from shipkeeper.backup.masking import is_secret
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.skip import DECISIVE_KINDS, NOTHING_AROUND, surroundings
from shipkeeper.etcd.archive import fetch, summary_of
from shipkeeper.etcd.browse import Browser
from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.errors import EtcdError
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

    def chosen(self, kind: Kind, selection: Selection) -> dict[Name, Kept]:
        """The objects of a kind that are chosen, with the digests of their bytes."""
        return {
            (each.namespace, each.name): msgspec.structs.replace(each, id=self._digest(each.row))
            for each in self._stored
            if each.kind == kind and selection.has_key(kind, each.namespace, each.name)
        }

    def _digest(self, row: Row) -> ObjectId:
        return hashlib.sha256(self._browser.value(row)).digest()


class SnapshotSide:
    """A snapshot, side by side with another one, a backup or the cluster."""

    def __init__(self, catalog: SnapshotCatalog) -> None:
        self.name = catalog.title
        self.around = NOTHING_AROUND
        self.unreadable: dict[str, str] = {}
        self._catalog = catalog

    async def prepare(self) -> None:
        """Read what decides on other objects."""
        chosen = self.kinds(Selection(kinds=DECISIVE_KINDS, cluster_scoped=True)).values()
        manifests: list[Manifest] = []
        for kind in chosen:
            found = await self.stored(kind, Selection())
            manifests += await self.read(list(found.values()))
        self.around = surroundings(manifests)

    def kinds(self, selection: Selection) -> dict[GroupKind, Kind]:
        """The kinds that are chosen, by what they are called today."""
        chosen = selection.chosen_kinds(self._catalog.kinds.values())
        return {modern_kind(kind.api_version, kind.kind): kind for kind in chosen}

    async def stored(self, kind: Kind, selection: Selection) -> dict[Name, Kept]:
        """The objects of a kind by their names."""
        return await asyncio.to_thread(self._catalog.chosen, kind, selection)

    async def read(self, stored: Sequence[Kept]) -> list[Manifest]:
        """The objects, whole, in the order of `stored`."""
        return await asyncio.to_thread(lambda: [self._catalog.manifest(each) for each in stored])

    async def objects(
        self, kind: Kind, selection: Selection, known: Mapping[Name, ObjectId]
    ) -> AsyncGenerator[list[Seen]]:
        """The objects of a kind that are chosen; `known` are contents that need not be read."""
        found = await self.stored(kind, selection)
        yield [(name, None) for name, each in found.items() if known.get(name) == each.id]
        unknown = [(name, each) for name, each in found.items() if known.get(name) != each.id]
        manifests = await self.read([each for _, each in unknown])
        yield [(name, manifest) for (name, _), manifest in zip(unknown, manifests, strict=True)]


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
    """Fetch a snapshot, and read its names; EtcdError if it is damaged."""
    with tempfile.TemporaryFile() as file:
        await fetch(repository, backup.name, file.write)
        file.flush()
        snapshot = map_snapshot(Path(f"/dev/fd/{file.fileno()}"), is_verified=True)
    return await asyncio.to_thread(_catalog, f"snapshot {backup.name}", snapshot)


def _catalog(title: str, snapshot: Snapshot) -> SnapshotCatalog:
    return SnapshotCatalog(title, Browser(snapshot, Keys(), index=make_index(snapshot)))


def _names(browser: Browser) -> list[Kept]:
    found = list(browser.living())
    namespaced = {place.resource for place, _ in found if place.namespace}
    kinds: dict[str, Kind] = {}
    for place, row in found:
        if place.resource not in kinds:
            value = browser.value(row)
            kinds[place.resource] = _kind(place.resource, value, place.resource in namespaced)
    return [Kept(kinds[place.resource], place.namespace, place.name, row) for place, row in found]


def _kind(resource: str, value: bytes, namespaced: bool) -> Kind:
    """The kind of a resource, told by the first of its objects."""
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
