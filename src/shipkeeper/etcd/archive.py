"""Snapshots in a backup repository: streamed into it, and brought back out of it.

A snapshot is one section of pieces that have their places in the file: etcd changes few of its
pages, so the next snapshot shares most pieces with the one before.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from shipkeeper.etcd.errors import DamagedError, EtcdError
from shipkeeper.etcd.rpc import Credentials, open_member
from shipkeeper.etcd.save import Progress, Saved, first_whole, receive, watched
from shipkeeper.etcd.snapshot import SHA_SIZE
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Backup, Entry, ObjectId
from shipkeeper.store.writer import BackupWriter

KIND: Final = "etcd"
_FORMAT: Final = 1
_SECTION: Final = "snapshot"
_PIECE: Final = 64 << 10  # bytes; a multiple of every page size
_PARTS: Final = 1024  # pieces of an entry
_READ: Final = 64  # pieces that are in memory at a time


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a repository tells of a snapshot without the key that opens it."""

    format: int = _FORMAT
    endpoint: str
    size: int
    sha256: str
    version: str
    taken_at: datetime


class _Pieces:
    """Cuts what comes into pieces, and stores them."""

    def __init__(self, store: Callable[[list[bytes]], list[ObjectId]]) -> None:
        self._store = store
        self._held = bytearray()
        self.ids: list[ObjectId] = []
        self.sizes: list[int] = []

    def write(self, data: bytes) -> None:
        self._held += data
        whole = len(self._held) // _PIECE * _PIECE
        self._put(whole)

    def finish(self) -> None:
        self._put(len(self._held))

    def _put(self, end: int) -> None:
        with memoryview(self._held) as view:
            pieces = [bytes(view[at : min(at + _PIECE, end)]) for at in range(0, end, _PIECE)]
        if pieces:
            del self._held[:end]
            self.ids += self._store(pieces)
            self.sizes += map(len, pieces)

    def entries(self) -> list[Entry]:
        return [
            Entry(
                at.to_bytes(8, "big"),
                tuple(self.ids[at : at + _PARTS]),
                sum(self.sizes[at : at + _PARTS]),
            )
            for at in range(0, len(self.ids), _PARTS)
        ]


async def save_into(
    endpoints: Sequence[str],
    credentials: Credentials,
    writer: BackupWriter,
    *,
    say: Callable[[str], None],
    progress: Progress,
) -> Saved:
    """Stream a snapshot into a repository; it appears there when its sha256 was checked.

    EtcdError when no endpoint gives a whole one, and the errors of the store.
    """
    loop = asyncio.get_running_loop()

    def store(pieces: list[bytes]) -> list[ObjectId]:
        return asyncio.run_coroutine_threadsafe(writer.put(pieces), loop).result()

    def work(tell: Progress) -> tuple[Saved, _Pieces]:
        def attempt(endpoint: str) -> tuple[Saved, _Pieces]:
            pieces = _Pieces(store)
            with open_member(endpoint, credentials) as member:
                saved = receive(member, pieces.write, tell)
            pieces.finish()
            return saved, pieces

        return first_whole(endpoints, attempt, say)

    saved, pieces = await watched(work, progress)
    await writer.append(_SECTION, pieces.entries())
    summary = Summary(
        endpoint=saved.endpoint,
        size=saved.size,
        sha256=saved.sha256,
        version=saved.version,
        taken_at=datetime.now(UTC),
    )
    made = await writer.commit(msgspec.json.encode(summary), KIND)
    return msgspec.structs.replace(saved, path=f"repo:{made.name}")


def summary_of(backup: Backup) -> Summary:
    """What is told of a snapshot; EtcdError without a key, or when a newer shipkeeper wrote it."""
    try:
        found = msgspec.json.decode(backup.summary or b"", type=Summary)
    except msgspec.DecodeError as error:
        raise EtcdError(
            f"what is told of snapshot {backup.name} cannot be read: {error}",
            reason="SummaryUnreadable",
            hint="name the repository's key or identity, and check it with: "
            "shipkeeper backup verify",
        ) from error
    if found.format > _FORMAT:
        raise EtcdError(
            f"snapshot {backup.name} was saved by a newer shipkeeper (format {found.format})",
            reason="SnapshotTooNew",
            hint="use that version to read it",
        )
    return found


async def fetch(repository: Repository, name: str, write: Callable[[bytes], object]) -> Summary:
    """Write the snapshot of a name, or the `latest`, some MB at a time.

    DamagedError in the end if it is not what was saved, by its sha256.
    """
    backup = await repository.find(name, KIND)
    told = summary_of(backup)
    digest, left = hashlib.sha256(), told.size - SHA_SIZE
    trailer = b""
    async for content in _content(repository, backup):
        # The last 32 bytes are the digest of all before them.
        digest.update(content[:left])
        trailer += content[left:]
        left -= min(left, len(content))
        await asyncio.to_thread(write, content)
    if left or trailer != digest.digest() or trailer.hex() != told.sha256:
        raise DamagedError(
            f"snapshot {backup.name} is not what was saved: its sha256 does not fit",
            reason="ChecksumMismatch",
            hint="see what is left of the repository with: shipkeeper backup verify",
        )
    return told


async def _content(repository: Repository, backup: Backup) -> AsyncIterator[bytes]:
    """The bytes of a snapshot, some MB at a time."""
    opened = await repository.snapshot(backup)
    async for entries in opened.entries(_SECTION):
        for entry in entries:
            for at in range(0, len(entry.parts), _READ):
                yield b"".join(await repository.read(entry.parts[at : at + _READ]))
