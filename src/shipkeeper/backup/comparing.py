"""Two backups, or a backup and the cluster, read side by side.

What cannot be read keeps nothing else from being compared. Objects are compared in a thread, some
hundreds at a time: whoever serves others goes on doing so.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from shipkeeper.backup.archive import Archive, Stored
from shipkeeper.backup.contents import Unreadable
from shipkeeper.backup.convert.chain import modern, modern_kind
from shipkeeper.backup.difference import Comparison, ObjectChange, compare_objects
from shipkeeper.backup.discovery import discover
from shipkeeper.backup.kinds import GroupKind, Kind, Served, kinds_to_take
from shipkeeper.backup.live import are_chosen, live_objects
from shipkeeper.backup.manifest import Manifest, group_of
from shipkeeper.backup.named import Named
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.skip import (
    DECISIVE_KINDS,
    NOTHING_AROUND,
    Surroundings,
    surroundings,
    why_never,
)
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Connection
from shipkeeper.store.errors import BlobMissingError, DamagedError
from shipkeeper.store.values import ObjectId

DECISIVE = Selection(kinds=DECISIVE_KINDS, cluster_scoped=True)
"""Chooses what decides on other objects."""
BATCH = 500
"""Objects that are read, and compared, at a time."""
Name = tuple[str, str]
Read = Manifest | ShipkeeperError
"""An object, or why it cannot be read."""
Seen = tuple[Name, Read | None]
"""An object by its name; without its manifest if it is, byte for byte, the one it is told as."""
_LOST = (DamagedError, BlobMissingError)
_NAMED = 5  # of the objects of a kind that could not be read


class Item(Named, Protocol):
    """An object that is not read yet; of two with one `id` the contents are the same."""

    @property
    def id(self) -> ObjectId:
        """What tells contents apart."""
        ...


ItemT = TypeVar("ItemT", bound=Item)


class Side(Protocol):
    """One of the two that are compared."""

    name: str
    around: Surroundings
    unreadable: dict[str, str]

    async def prepare(self) -> None:
        """Read what decides on other objects."""
        ...

    def kinds(self, selection: Selection) -> dict[GroupKind, Kind]:
        """The kinds that are chosen, by what they are called today."""
        ...

    def objects(
        self, kind: Kind, selection: Selection, known: Mapping[Name, ObjectId]
    ) -> AsyncGenerator[list[Seen]]:
        """The objects of a kind that are chosen; `known` are contents that need not be read."""
        ...


class KeptSide(Side, Protocol[ItemT]):
    """What holds the objects of one moment: it can be the older of the two."""

    async def stored(self, kind: Kind, selection: Selection) -> dict[Name, ItemT]:
        """The objects of a kind by their names."""
        ...

    async def read(self, stored: Sequence[ItemT]) -> Sequence[Read]:
        """The objects, whole, in the order of `stored`."""
        ...


async def read_around(side: KeptSide[ItemT], kinds: Iterable[Kind]) -> None:
    """Read what decides on other objects; that some cannot be read is noted."""
    manifests: list[Manifest] = []
    for kind in kinds:
        read = await _all_of(side, kind)
        manifests += [each for each in read if not isinstance(each, ShipkeeperError)]
        if any(isinstance(each, ShipkeeperError) for each in read):
            # Without their names: whoever looks may not see what has this kind.
            side.unreadable[kind.name] = "some cannot be read, nor what hangs on them told"
    side.around = surroundings(manifests)


async def _all_of(side: KeptSide[ItemT], kind: Kind) -> list[Read]:
    """Every object of a kind; an error alone where the kind itself is lost."""
    read: list[Read] = []
    try:
        found = list((await side.stored(kind, Selection())).values())
        for start in range(0, len(found), BATCH):
            read += await side.read(found[start : start + BATCH])
    except _LOST as error:
        read.append(error)
    return read


class ArchiveSide:
    """A backup."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.name = f"backup {archive.backup.name}"
        self.around = NOTHING_AROUND
        self.unreadable = {each.what: each.message for each in archive.contents.unreadable}

    async def prepare(self) -> None:
        """Read what decides on other objects."""
        await read_around(self, self.kinds(DECISIVE).values())

    def kinds(self, selection: Selection) -> dict[GroupKind, Kind]:
        """The kinds that are chosen, by what they are called today."""
        chosen = (each.kind for each in self.archive.kinds(selection))
        return {modern_kind(kind.api_version, kind.kind): kind for kind in chosen}

    async def stored(self, kind: Kind, selection: Selection) -> dict[Name, Stored]:
        """The objects of a kind by their names."""
        of = self.archive.contents.of(kind.group_kind)
        if of is None:
            return {}
        return {
            (each.namespace, each.name): each
            async for batch in self.archive.names(of, selection)
            for each in batch
        }

    async def objects(
        self, kind: Kind, selection: Selection, known: Mapping[Name, ObjectId]
    ) -> AsyncGenerator[list[Seen]]:
        """The objects of a kind that are chosen; `known` are contents that need not be read."""
        found = list((await self.stored(kind, selection)).items())
        same = [(name, None) for name, each in found if known.get(name) == each.id]
        if same and not selection.selector:
            yield [*same]
            found = [(name, each) for name, each in found if known.get(name) != each.id]
        for start in range(0, len(found), BATCH):
            batch = found[start : start + BATCH]
            read = await self.read([each for _, each in batch])
            yield [
                (name, each)
                for (name, _), each in zip(batch, read, strict=True)
                if isinstance(each, ShipkeeperError) or selection.has_labels(each)
            ]

    async def read(self, stored: Sequence[Stored]) -> Sequence[Read]:
        """The objects, whole, in the order of `stored`."""
        try:
            return await self.archive.read(stored)
        except _LOST:
            return [await self._alone(each) for each in stored]

    async def _alone(self, stored: Stored) -> Read:
        try:
            return (await self.archive.read([stored]))[0]
        except _LOST as error:
            return error


class LiveSide:
    """The cluster as it is now; kinds in the version that the other side has, if it is served."""

    def __init__(self, connection: Connection) -> None:
        self.name = f"cluster {connection.credentials.server}"
        self.around = NOTHING_AROUND
        self.unreadable: dict[str, str] = {}
        self._connection = connection
        self._served = Served(())

    async def prepare(self) -> None:
        """Ask what is served, and read what decides on other objects."""
        found = await discover(self._connection)
        self._served = found.served
        self.unreadable = {each.what: each.message for each in found.unreadable}
        manifests: list[Manifest] = []
        for kind in kinds_to_take(self._served):
            if any(kind.is_called(word) for word in DECISIVE_KINDS):
                async for page in live_objects(self._connection, kind):
                    manifests += [each.manifest for each in page]
        self.around = surroundings(manifests)

    def kinds(self, selection: Selection) -> dict[GroupKind, Kind]:
        """The kinds that are chosen, by what they are called today."""
        chosen = selection.chosen_kinds(kinds_to_take(self._served))
        return {modern_kind(kind.api_version, kind.kind): kind for kind in chosen}

    def in_version_of(self, kind: Kind, other: Kind) -> Kind:
        """The same kind in the version that the other side has, if that is served here."""
        return self._served.find(other.api_version, other.kind) or kind

    async def objects(
        self, kind: Kind, selection: Selection, known: Mapping[Name, ObjectId]
    ) -> AsyncGenerator[list[Seen]]:
        """The objects of a kind that are chosen."""
        pages = live_objects(self._connection, kind, selector=selection.selector)
        async for page in pages:
            yield [
                ((each.namespace, each.name), each.manifest) for each in are_chosen(page, selection)
            ]


async def compare(
    old: KeptSide[ItemT], new: Side, selection: Selection, *, everything: bool = False
) -> Comparison:
    """What changed from a backup to another one, or to the cluster.

    What is never restored (Events, Leases, pods of controllers) is left out unless `everything`.
    """
    await old.prepare()
    await new.prepare()
    before, after = old.kinds(selection), new.kinds(selection)
    not_compared = {**old.unreadable, **new.unreadable}
    unread = _Unread()
    changes: list[ObjectChange] = []
    for group_kind in sorted({*before, *after}):
        comparing = _Kind(old, new, selection, everything, unread)
        try:
            changes += await comparing.changes(before.get(group_kind), after.get(group_kind))
        except ShipkeeperError as error:
            kind = after.get(group_kind) or before[group_kind]
            not_compared[kind.name] = Unreadable.because(kind.name, error).message
    return Comparison(
        old=old.name,
        new=new.name,
        changes=tuple(sorted(changes, key=lambda each: each.key)),
        not_compared={**not_compared, **unread.told()},
    )


class _Unread:
    """Objects that could not be read, and why; of each kind the first are named."""

    def __init__(self) -> None:
        self._found: dict[str, dict[Name, str]] = {}

    def add(self, kind: Kind, name: Name, error: ShipkeeperError) -> None:
        self._found.setdefault(kind.name, {}).setdefault(name, error.message)

    def told(self) -> dict[str, str]:
        told: dict[str, str] = {}
        for kind, found in self._found.items():
            objects = list(found.items())
            for (namespace, name), message in objects[:_NAMED]:
                told[f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"] = message
            if len(objects) > _NAMED:
                told[f"{kind}, {len(objects) - _NAMED} more"] = objects[_NAMED][1]
        return told


class _Kind(Generic[ItemT]):
    """One kind on both sides."""

    def __init__(
        self,
        old: KeptSide[ItemT],
        new: Side,
        selection: Selection,
        everything: bool,
        unread: _Unread,
    ) -> None:
        self._unread = unread
        self._old = old
        self._new = new
        self._selection = selection
        self._everything = everything

    async def changes(self, before: Kind | None, after: Kind | None) -> list[ObjectChange]:
        if before and after and isinstance(self._new, LiveSide):
            after = self._new.in_version_of(after, before)
        left = await self._old.stored(before, self._selection) if before else {}
        is_same_version = (
            before is not None and after is not None and (before.api_version == after.api_version)
        )
        known = {name: each.id for name, each in left.items()} if is_same_version else {}
        found: list[ObjectChange] = []
        if after is not None:
            async for batch in self._new.objects(after, self._selection, known):
                found += await self._batch(after, batch, left)
        rest = list(left.values())
        for start in range(0, len(rest), BATCH):
            gone = await self._readable(rest[start : start + BATCH])
            chosen = [each for each in gone.values() if self._selection.has_labels(each)]
            kind, pairs = rest[start].kind, [(each, None) for each in chosen]
            found += await asyncio.to_thread(self._pairs, kind, pairs)
        return found

    async def _batch(
        self, kind: Kind, batch: list[Seen], left: dict[Name, ItemT]
    ) -> list[ObjectChange]:
        """Compare some objects of the new side, and take their counterparts out of what is left."""
        counterparts = {name: left.pop(name) for name, _ in batch if name in left}
        seen: dict[Name, Manifest] = {}
        for name, each in batch:
            if isinstance(each, ShipkeeperError):
                self._unread.add(kind, name, each)
            elif each is not None:
                seen[name] = each
        old = await self._readable([counterparts[name] for name in seen if name in counterparts])
        pairs = [
            (old.get(name), manifest)
            for name, manifest in seen.items()
            if name in old or name not in counterparts
        ]
        return await asyncio.to_thread(self._pairs, kind, pairs)

    async def _readable(self, stored: Sequence[ItemT]) -> dict[Name, Manifest]:
        """The objects of the old side that can be read; the others are noted."""
        found: dict[Name, Manifest] = {}
        for item, each in zip(stored, await self._old.read(stored), strict=True):
            name = (item.namespace, item.name)
            if isinstance(each, ShipkeeperError):
                self._unread.add(item.kind, name, each)
            else:
                found[name] = each
        return found

    def _pairs(
        self, kind: Kind, pairs: Sequence[tuple[Manifest | None, Manifest | None]]
    ) -> list[ObjectChange]:
        return [change for old, new in pairs for change in self._pair(kind, old, new)]

    def _pair(self, kind: Kind, old: Manifest | None, new: Manifest | None) -> list[ObjectChange]:
        if not self._everything:
            old = old and self._restorable(old, self._old.around)
            new = new and self._restorable(new, self._new.around)
        if old and new and old["apiVersion"] != new["apiVersion"]:
            old, new = modern(old), modern(new)
        change = compare_objects(kind.name, old, new)
        return [change] if change else []

    def _restorable(self, manifest: Manifest, around: Surroundings) -> Manifest | None:
        return None if why_never(manifest, group_of(manifest), around) else manifest
