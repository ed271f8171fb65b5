"""The files of a volume out of a backup, as the tar stream that a host unpacks."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from shipkeeper.backup.volumes.complaints import is_troubled
from shipkeeper.backup.volumes.member import padded, read_member
from shipkeeper.backup.volumes.programs import Root, discard, exchange, failure, stage
from shipkeeper.backup.volumes.reading import Count
from shipkeeper.backup.volumes.record import SavedFiles
from shipkeeper.backup.volumes.tar_stream import END, stream_bytes
from shipkeeper.hosts.host import Feed, Host
from shipkeeper.store.repository import Repository
from shipkeeper.store.snapshot import Snapshot
from shipkeeper.store.values import Entry

_READ_BYTES = 8 * 1024 * 1024
_READ_PARTS = 2000
_UNPACKED_BADLY = 77
# So many pieces of a mebibyte are a chunk of a large file.
_LAST = 8


class Source(msgspec.Struct, frozen=True):
    """A backup's files: the repository that holds their pieces, and the backup's manifest."""

    repository: Repository
    snapshot: Snapshot


async def write_files(
    source: Source,
    saved: SavedFiles,
    host: Host,
    root: Root,
    of: str,
    *,
    fresh: bool,
    makes: bool,
    count: Count,
) -> None:
    """Bring a volume's files back in place of what is there; `of` names this one restore.

    Everything is unpacked beside the old files first. A `fresh` directory must be new or empty;
    with `makes` it is made if it is not there.
    VolumeError or HostError; killed anywhere and done again, it ends as if it had never been.
    """
    again = await _read_again(source, saved)
    size = saved.stream_bytes + sum(
        _long(entries) - old for entries, old in await _replaced(source, saved, again)
    )
    feed = Feed(size=size, chunks=_stream(source, saved, again, count))

    async def ignore(chunk: bytes) -> None:
        """Nothing is printed."""

    async with host.session() as session:
        attempt = secrets.token_hex(8)
        program = stage(root, of, attempt, saved.content_bytes, fresh=fresh, makes=makes)
        answer = await session.stream(program, ignore, feed)
        if answer.exit_code == 0 and is_troubled(answer.errors):
            await session.stream(discard(root), ignore)
            raise failure(host.name, root, _UNPACKED_BADLY, answer.errors)
        if answer.exit_code != 0:
            raise failure(host.name, root, answer.exit_code, answer.errors)
        answer = await session.stream(exchange(root, of), ignore)
        if answer.exit_code != 0:
            raise failure(host.name, root, answer.exit_code, answer.errors)


_Again = Mapping[bytes, Sequence[Entry]]
"""The entries of each file that was read a second time, by its name."""


async def _read_again(source: Source, saved: SavedFiles) -> _Again:
    found: dict[bytes, list[Entry]] = {}
    if saved.read_again:
        async for member in _members(source, saved.again):
            found[read_member(member[0].meta).name] = member
    return found


async def _replaced(
    source: Source, saved: SavedFiles, again: _Again
) -> list[tuple[Sequence[Entry], int]]:
    """What takes the place of what, and how long that was in the stream."""
    if not again:
        return []
    return [
        (again[name], _long(member))
        async for member in _members(source, saved.section)
        if (name := read_member(member[0].meta).name) in again
    ]


def _long(member: Sequence[Entry]) -> int:
    return stream_bytes(len(member[0].meta), sum(entry.size for entry in member))


async def _members(source: Source, section: str) -> AsyncIterator[list[Entry]]:
    """The entries of one member after the other; a large file has several."""
    member: list[Entry] = []
    async for entries in source.snapshot.entries(section):
        for entry in entries:
            if entry.meta and member:
                yield member
                member = []
            member.append(entry)
    if member:
        yield member


async def _stream(
    source: Source, saved: SavedFiles, again: _Again, count: Count
) -> AsyncIterator[bytes]:
    batch: list[Sequence[Entry]] = []
    parts = size = 0
    async for member in _members(source, saved.section):
        chosen = again.get(read_member(member[0].meta).name, member) if again else member
        batch.append(chosen)
        parts += 1 + sum(len(entry.parts) for entry in chosen)
        size += sum(entry.size for entry in chosen)
        if size >= _READ_BYTES or parts >= _READ_PARTS:
            async for chunk in _batch(source, batch):
                yield chunk
            count(len(batch), size)
            batch, parts, size = [], 0, 0
    async for chunk in _batch(source, batch):
        yield chunk
    count(len(batch), size)
    yield END


async def _batch(source: Source, members: Sequence[Sequence[Entry]]) -> AsyncIterator[bytes]:
    """The bytes of some members; a large file comes in several chunks."""
    contents = _contents(source, [entry for member in members for entry in member])
    chunk: list[bytes] = []
    for member in members:
        chunk.append(member[0].meta)
        length = 0
        for entry in member:
            for _ in entry.parts:
                content = await anext(contents)
                length += len(content)
                chunk.append(content)
                if sum(map(len, chunk[-_LAST:])) >= _READ_BYTES:
                    yield b"".join(chunk)
                    chunk = []
        chunk.append(bytes(padded(length) - length))
    yield b"".join(chunk)


async def _contents(source: Source, entries: Sequence[Entry]) -> AsyncIterator[bytes]:
    """The pieces in order, some megabytes of them at a time."""
    ids = [id_ for entry in entries for id_ in entry.parts]
    size = sum(entry.size for entry in entries)
    many = max(1, min(_READ_PARTS, _READ_BYTES * len(ids) // max(size, 1)))
    for start in range(0, len(ids), many):
        for content in await source.repository.read(ids[start : start + many]):
            yield content
