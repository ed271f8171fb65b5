"""What verify checks with keys: packs from within, and each backup from its root to its objects."""

from functools import cached_property

from shipkeeper.store.access import Access
from shipkeeper.store.documents import pack_path, segments_in
from shipkeeper.store.errors import DamagedError, StoreError
from shipkeeper.store.findings import CONTRADICTION, Finding, altered
from shipkeeper.store.index import Index
from shipkeeper.store.inspection import Inspection
from shipkeeper.store.pack import Contents, read_contents, segments_of
from shipkeeper.store.reading import ObjectReader
from shipkeeper.store.records import Record
from shipkeeper.store.snapshot import open_snapshot


class Depth:
    """Looks into what was inspected, as far as the keys open it."""

    def __init__(self, access: Access, seen: Inspection) -> None:
        self.objects = 0
        self._access = access
        self._seen = seen
        self._tables: dict[bytes, Contents] = {}
        if access.secret is not None:
            self._learn()
        self._reader = ObjectReader(access, Index())

    def open_pack(self, name: bytes, content: bytes) -> None:
        """Compare a sound pack's table of contents with the index, and open every segment."""
        if self._access.secret is None:
            return
        try:
            contents = read_contents(content, self._access.index_key)
            if self._tables.get(name, contents) != contents:
                raise DamagedError("its table of contents is not the index's")
            if self._access.reader:
                self._open_segments(name, content, contents)
        except StoreError as error:
            self._contradicted(pack_path(name), error)

    async def walk(self, record: Record) -> None:
        """Every node and object of a backup is in the segments that its record says it needs."""
        if not self._access.reader or record.document is None:
            return
        own = Index()
        for segment in segments_in(record.document.needs):
            if found := self._sound.born.get(segment):
                own.where.update(dict.fromkeys(found.ids, found))
        try:
            await self._walk(record, own)
        except StoreError as error:
            self._contradicted(record.stored.name, error, record.name)

    @cached_property
    def _sound(self) -> Index:
        """What the packs hold that were found sound: to be asked for once all are inspected."""
        index = Index()
        for name in self._tables.keys() & self._seen.packs.keys():
            index.learn(name, self._tables[name])
        return index

    async def _walk(self, record: Record, own: Index) -> None:
        root = record.body(self._access).root
        reader = ObjectReader(self._access, own)
        snapshot = await open_snapshot(record.backup(self._access), root, reader)
        for section in snapshot.sections:
            entries = size = 0
            async for batch in snapshot.entries(section.name):
                entries += len(batch)
                size += sum(entry.size for entry in batch)
                for part in (part for entry in batch for part in entry.parts):
                    if part not in own.where:
                        raise DamagedError(f"object {part.hex()} is not where the record says")
            if (entries, size) != (section.entries, section.content_bytes):
                raise DamagedError(f"section {section.name} does not add up")

    def _learn(self) -> None:
        for blob in self._seen.indexes.values():
            try:
                tables = blob.contents(self._access)
            except DamagedError:
                self._seen.findings.append(altered(blob.name))
                continue
            for row, contents in zip(blob.document.packs, tables, strict=True):
                self._tables[row.name] = contents

    def _open_segments(self, name: bytes, content: bytes, contents: Contents) -> None:
        for segment in segments_of(name, contents):
            stored = content[segment.offset : segment.offset + segment.stored]
            self.objects += len(self._reader.open_segment(segment, stored))

    def _contradicted(self, blob: str, error: StoreError, *backups: str) -> None:
        self._seen.findings.append(
            Finding(reason=CONTRADICTION, blob=blob, message=error.message, backups=backups)
        )
