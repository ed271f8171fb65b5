"""Reading one backup's manifest."""

from collections.abc import AsyncIterator, Sequence

from shipkeeper.store.reading import ObjectReader
from shipkeeper.store.tree import Branch, decode_node, decode_sections
from shipkeeper.store.values import Backup, Entry, ObjectId, Section

_NODES_AT_ONCE = 32


class Snapshot:
    """The manifest of one backup; each node is checked against its id as it is read."""

    def __init__(self, backup: Backup, sections: tuple[Section, ...], reader: ObjectReader) -> None:
        self.backup = backup
        self.sections = sections
        self._reader = reader

    async def entries(self, section: str) -> AsyncIterator[list[Entry]]:
        """The section's entries in the order they were appended, some hundred at a time.

        KeyError when the backup has no such section.
        """
        roots = {found.name: found.root for found in self.sections}
        async for entries in self._below([roots[section]]):
            yield entries

    async def _below(self, ids: Sequence[ObjectId]) -> AsyncIterator[list[Entry]]:
        for start in range(0, len(ids), _NODES_AT_ONCE):
            for content in await self._reader.read(ids[start : start + _NODES_AT_ONCE]):
                node = decode_node(content)
                if isinstance(node, Branch):
                    async for entries in self._below([child.id for child in node.items]):
                        yield entries
                else:
                    yield list(node.items)


async def open_snapshot(backup: Backup, root: ObjectId, reader: ObjectReader) -> Snapshot:
    """A backup's manifest from its root object."""
    [content] = await reader.read([root])
    return Snapshot(backup, decode_sections(content), reader)
