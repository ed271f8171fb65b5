"""Reading the files of a volume from its host into a backup."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import msgspec

from shipkeeper.backup.volumes.complaints import Complaints, read_complaints
from shipkeeper.backup.volumes.member import Member
from shipkeeper.backup.volumes.programs import Root, failure, save
from shipkeeper.backup.volumes.record import SavedFiles
from shipkeeper.backup.volumes.tar_stream import END, Part, Splitter, stream_bytes
from shipkeeper.hosts.host import Feed, Host, Session
from shipkeeper.store.values import MAX_PARTS, Entry, ObjectId
from shipkeeper.store.writer import BackupWriter

_BATCH_BYTES = 2 * 1024 * 1024
_BATCH_FILES = 1000
# GNU tar's exit code when files changed while it read them, or could not be read.
_WITH_COMPLAINTS = (1, 2)
_MOST_NAMED = 1000

Count = Callable[[int, int], None]
"""Hears of files and bytes as they are read."""


async def read_files(
    host: Host, root: Root, writer: BackupWriter, section: str, count: Count
) -> SavedFiles:
    """Read everything once, and once more what changed meanwhile; VolumeError or HostError."""
    async with host.session() as session:
        first = await _read(session, host.name, root, writer, section, count)
        said = first.complaints
        if not said.changed:
            return _saved(section, first, said.changed, said.missing)
        second_section = f"{section}/again"
        names = [each.name for each in said.changed]
        second = await _read(session, host.name, root, writer, second_section, count, names)
    # What could not be read in full the second time either is torn.
    torn = {each.name: each for each in second.complaints.changed}
    torn |= {each.name: each for each in said.changed if each.name.rstrip(b"/") not in second.names}
    return _saved(section, first, tuple(torn.values()), said.missing, second.files)


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    files: int
    content_bytes: int
    stream_bytes: int
    names: frozenset[bytes]
    complaints: Complaints


async def _read(
    session: Session,
    host: str,
    root: Root,
    writer: BackupWriter,
    section: str,
    count: Count,
    names: Iterable[bytes] | None = None,
) -> _Read:
    splitter, filing = Splitter(), Filing(writer, section, count, keeps_names=names is not None)

    async def take(chunk: bytes) -> None:
        await filing.take(splitter.feed(chunk))

    feed = None if names is None else _names(names)
    answer = await session.stream(save(root, again=names is not None), take, feed)
    complaints = read_complaints(answer.errors)
    if answer.exit_code != 0 and (
        answer.exit_code not in _WITH_COMPLAINTS or complaints == Complaints()
    ):
        raise failure(host, root, answer.exit_code, answer.errors)
    splitter.finish()
    await filing.finish()
    return _Read(
        files=filing.files,
        content_bytes=filing.content_bytes,
        stream_bytes=filing.stream_bytes + len(END),
        names=frozenset(filing.names),
        complaints=complaints,
    )


def _names(names: Iterable[bytes]) -> Feed:
    content = b"".join(name + b"\0" for name in names)

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return Feed(size=len(content), chunks=chunks())


def _saved(
    section: str,
    first: _Read,
    torn: tuple[object, ...],
    missing: tuple[object, ...],
    read_again: int = 0,
) -> SavedFiles:
    return SavedFiles(
        section=section,
        files=first.files,
        content_bytes=first.content_bytes,
        stream_bytes=first.stream_bytes,
        read_again=read_again,
        changed=tuple(map(str, torn[:_MOST_NAMED])),
        missing=tuple(map(str, missing[:_MOST_NAMED])),
        left_out=tuple(map(str, first.complaints.left_out[:_MOST_NAMED])),
    )


class Filing:
    """Puts the parts of a stream into the store: pieces as objects, members as entries."""

    def __init__(
        self, writer: BackupWriter, section: str, count: Count, *, keeps_names: bool
    ) -> None:
        self._writer = writer
        self._section = section
        self._count = count
        self._keeps_names = keeps_names
        self._parts: list[Part] = []
        self._bytes = 0
        self._member: Member | None = None
        self._ids: list[ObjectId] = []
        self._size = 0
        self._is_continued = False
        self.names: set[bytes] = set()
        self.files = self.content_bytes = self.stream_bytes = 0

    async def take(self, parts: list[Part]) -> None:
        """Take what is complete; many small files go in one."""
        self._parts += parts
        self._bytes += sum(len(part) for part in parts if isinstance(part, bytes))
        if self._bytes >= _BATCH_BYTES or len(self._parts) >= _BATCH_FILES:
            await self._file()

    async def finish(self) -> None:
        """The stream has ended."""
        await self._file()
        entries: list[Entry] = []
        self._end_member(entries)
        await self._writer.append(self._section, entries)

    async def _file(self) -> None:
        parts, self._parts, self._bytes = self._parts, [], 0
        pieces = [part for part in parts if isinstance(part, bytes)]
        ids = iter(await self._writer.put(pieces))
        entries: list[Entry] = []
        files = 0
        for part in parts:
            if isinstance(part, bytes):
                self._add_piece(next(ids), len(part), entries)
            else:
                files += 1
                self._end_member(entries)
                self._begin_member(part)
        self.files += files
        await self._writer.append(self._section, entries)
        self._count(files, sum(map(len, pieces)))
        # A fast stream must not keep everybody else waiting.
        await asyncio.sleep(0)

    def _begin_member(self, member: Member) -> None:
        self._member = member
        self.content_bytes += member.size
        self.stream_bytes += stream_bytes(len(member.headers), member.size)
        if self._keeps_names:
            self.names.add(member.name.rstrip(b"/"))

    def _add_piece(self, id_: ObjectId, size: int, entries: list[Entry]) -> None:
        if len(self._ids) == MAX_PARTS:
            self._add_entry(entries)
            self._is_continued = True
        self._ids.append(id_)
        self._size += size

    def _end_member(self, entries: list[Entry]) -> None:
        if self._member is not None:
            self._add_entry(entries)
        self._member, self._is_continued = None, False

    def _add_entry(self, entries: list[Entry]) -> None:
        """An entry of the member; of a large one's many, the first alone has its headers."""
        headers = self._member.headers if self._member and not self._is_continued else b""
        entries.append(Entry(headers, tuple(self._ids), self._size))
        self._ids, self._size = [], 0
