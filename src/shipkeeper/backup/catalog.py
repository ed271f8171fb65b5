"""What is in a backup by kind and namespace, so that it can be looked through; nothing is opened.

The names of a backup never change: they are read once, and kept with it.
"""

from collections import Counter
from collections.abc import Collection

import msgspec

from shipkeeper.backup.archive import Archive, ObjectNotInBackupError, Stored
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.selection import Selection


class Count(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many objects there are of something."""

    name: str
    objects: int


class Leafing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of objects that were asked for, and how many there are beside it."""

    total: int
    kinds: tuple[Count, ...]
    namespaces: tuple[Count, ...]
    matching: int
    rows: tuple[Stored, ...]


class Catalog:
    """The names of one backup."""

    def __init__(self, archive: Archive, stored: tuple[Stored, ...]) -> None:
        self.archive = archive
        self.kinds: dict[str, Kind] = {each.kind.name: each.kind for each in stored}
        self._stored = stored
        self._by_key = {(each.kind.name, each.namespace, each.name): each for each in stored}

    @classmethod
    async def read(cls, archive: Archive) -> "Catalog":
        """Read every name of a backup."""
        everything = Selection()
        stored: list[Stored] = []
        for of in archive.kinds(everything):
            async for batch in archive.names(of, everything):
                stored += batch
        return cls(archive, tuple(stored))

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
        first: int = 0,
        most: int = 100,
    ) -> Leafing:
        """Some objects by kind, namespace and words in their names; empty chooses all.

        Kinds are counted in the namespace, namespaces in the kind; of hidden kinds nothing is told
        but how many there are.
        """
        words = find.casefold().split()
        matching = [
            each
            for each in self._stored
            if each.kind.name not in hidden
            and (not kind or each.kind.name == kind)
            and (not namespace or each.namespace == namespace)
            and all(word in f"{each.namespace}/{each.name}".casefold() for word in words)
        ]
        kinds = Counter(
            each.kind.name for each in self._stored if not namespace or each.namespace == namespace
        )
        namespaces = Counter(
            each.namespace
            for each in self._stored
            if each.namespace
            and each.kind.name not in hidden
            and (not kind or each.kind.name == kind)
        )
        return Leafing(
            total=len(self._stored),
            kinds=_counts(kinds),
            namespaces=_counts(namespaces),
            matching=len(matching),
            rows=tuple(matching[first : first + most]),
        )

    def stored(self, kind: str, namespace: str, name: str) -> Stored:
        """One object; ObjectNotInBackupError if it is not in the backup."""
        found = self._by_key.get((kind, namespace, name))
        if found is None:
            where = f"{namespace}/" if namespace else ""
            raise ObjectNotInBackupError(
                f"backup {self.archive.backup.name} has no {kind} {where}{name}",
                reason="NotInBackup",
                hint="look at another backup: it may be older, or newer, than the object",
            )
        return found


def _counts(found: Counter[str]) -> tuple[Count, ...]:
    return tuple(Count(name=name, objects=number) for name, number in sorted(found.items()))
