"""What is in a backup by kind and namespace, so that it can be looked through; nothing is opened.

The names of a backup never change: they are read once, and kept with it.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from shipkeeper.backup.archive import Archive, ObjectNotInBackupError, Stored
from shipkeeper.backup.comparing import ArchiveSide, Side, compare
from shipkeeper.backup.difference import Comparison
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.manifest import Manifest
from shipkeeper.backup.named import Named
from shipkeeper.backup.selection import Selection


class Sized(Named, Protocol):
    """An object that lies somewhere; `size` in bytes."""

    @property
    def size(self) -> int:
        """How large it is."""
        ...


T = TypeVar("T", bound=Sized)


class Count(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many objects there are of something."""

    name: str
    objects: int


class Leafing(msgspec.Struct, Generic[T], frozen=True, kw_only=True, rename="camel"):
    """A page of objects that were asked for, and how many there are beside it."""

    total: int
    kinds: tuple[Count, ...]
    namespaces: tuple[Count, ...]
    matching: int
    rows: tuple[T, ...]


class Names(Generic[T]):
    """The names of what holds objects; `title` is how it is called in messages."""

    def __init__(self, title: str, stored: Sequence[T]) -> None:
        self.title = title
        self.kinds: dict[str, Kind] = {each.kind.name: each.kind for each in stored}
        self._stored = stored
        self._by_key = {(each.kind.name, each.namespace, each.name): each for each in stored}

    def places(self) -> frozenset[tuple[Kind, str]]:
        """Every kind with every namespace that it has objects in."""
        return frozenset((each.kind, each.namespace) for each in self._stored)

    def leaf(
        self,
        *,
        kind: str = "",
        namespace: str = "",
        find: str = "",
        hidden: Collection[str] = (),
        elsewhere: Collection[str] | None = None,
        first: int = 0,
        most: int = 100,
    ) -> Leafing[T]:
        """Some objects by kind, namespace and words in their names; empty chooses all.

        Kinds are counted in the namespace, namespaces in the kind. Of hidden kinds nothing is told,
        not even a number; beyond the namespace others may be (`elsewhere`).
        """
        beyond = hidden if elsewhere is None else elsewhere
        words = find.casefold().split()
        seen = [
            each
            for each in self._stored
            if each.kind.name not in (hidden if each.namespace == namespace else beyond)
        ]
        here = [each for each in seen if not namespace or each.namespace == namespace]
        of_kind = [each for each in seen if not kind or each.kind.name == kind]
        matching = [
            each
            for each in here
            if (not kind or each.kind.name == kind)
            and all(word in f"{each.namespace}/{each.name}".casefold() for word in words)
        ]
        return Leafing(
            total=len(seen),
            kinds=_counts(Counter(each.kind.name for each in here)),
            namespaces=_counts(Counter(each.namespace for each in of_kind if each.namespace)),
            matching=len(matching),
            rows=tuple(matching[first : first + most]),
        )

    def kind(self, name: str) -> Kind:
        """The kind of a name; ObjectNotInBackupError if there is none."""
        found = self.kinds.get(name)
        if found is None:
            raise ObjectNotInBackupError(
                f"{self.title} has no {name}",
                reason="NotInBackup",
                hint="look at another backup: it may be older, or newer, than the object",
            )
        return found

    def stored(self, kind: str, namespace: str, name: str) -> T:
        """One object; ObjectNotInBackupError if it is not there."""
        found = self._by_key.get((kind, namespace, name))
        if found is None:
            where = f"{namespace}/" if namespace else ""
            raise ObjectNotInBackupError(
                f"{self.title} has no {kind} {where}{name}",
                reason="NotInBackup",
                hint="look at another backup: it may be older, or newer, than the object",
            )
        return found


class Catalog(Names[Stored]):
    """The names of one backup, and the backup."""

    def __init__(self, archive: Archive, stored: tuple[Stored, ...]) -> None:
        super().__init__(f"backup {archive.backup.name}", stored)
        self.archive = archive

    @classmethod
    async def of(cls, archive: Archive) -> "Catalog":
        """Read every name of a backup."""
        everything = Selection()
        stored: list[Stored] = []
        for of in archive.kinds(everything):
            async for batch in archive.names(of, everything):
                stored += batch
        return cls(archive, tuple(stored))

    async def read(self, kind: str, namespace: str, name: str) -> Manifest:
        """One object, whole; ObjectNotInBackupError if it is not there."""
        (manifest,) = await self.archive.read([self.stored(kind, namespace, name)])
        return manifest

    async def compare(self, new: Side, selection: Selection, *, everything: bool) -> Comparison:
        """What changed since, until the other side."""
        return await compare(self.side(), new, selection, everything=everything)

    def side(self) -> ArchiveSide:
        """The backup to be compared."""
        return ArchiveSide(self.archive)


def _counts(found: Counter[str]) -> tuple[Count, ...]:
    return tuple(Count(name=name, objects=number) for name, number in sorted(found.items()))
