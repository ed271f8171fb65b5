"""Taking a snapshot: a member's database over the wire into a file, whole or not at all.

The stream ends with the SHA-256 of everything before it. The file appears under its name only when
that has been checked and the disk has it.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar, cast

import msgspec

from shipkeeper.etcd.digest import BackgroundDigest
from shipkeeper.etcd.errors import DamagedError, EtcdError
from shipkeeper.etcd.files import appearing
from shipkeeper.etcd.rpc import MAINTENANCE, Credentials, MemberClient, RpcError, open_member
from shipkeeper.etcd.snapshot import SHA_SIZE
from shipkeeper.etcd.wire import fields

_BATCH: Final = 1 << 20  # bytes that are written at a time

Progress = Callable[[int, int], None]
"""Takes the bytes that came and those that are still to come."""


class Saved(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A snapshot that was taken: from which member, of how many bytes, of which etcd (from 3.6).

    `path` is the file, or `repo:NAME`.
    """

    path: str
    endpoint: str
    size: int
    sha256: str
    version: str


class Chunk(msgspec.Struct, frozen=True):
    """A piece of a snapshot as it comes."""

    blob: bytes
    remaining: int
    version: str


def save(
    endpoints: Sequence[str],
    credentials: Credentials,
    target: Path,
    *,
    say: Callable[[str], None],
    progress: Progress,
) -> Saved:
    """Save a snapshot into a file, from the first endpoint that gives a whole one. Blocking.

    EtcdError when none does, or when the file cannot be written.
    """

    def attempt(endpoint: str) -> Saved:
        return _save_from(endpoint, credentials, target, progress)

    return first_whole(endpoints, attempt, say)


T = TypeVar("T")


def first_whole(
    endpoints: Sequence[str], attempt: Callable[[str], T], say: Callable[[str], None]
) -> T:
    """What the attempt at the first endpoint gives that sends a whole snapshot; the last raises."""
    for endpoint in endpoints[:-1]:
        try:
            return attempt(endpoint)
        except (RpcError, DamagedError) as error:
            say(f"{error.message}; trying the next member")
    return attempt(endpoints[-1])


async def watched(work: Callable[[Progress], T], progress: Progress) -> T:
    """Save in a thread, that ends soon when the waiting for it is cancelled."""
    stopped = threading.Event()

    def tell(came: int, remaining: int) -> None:
        if stopped.is_set():
            raise EtcdError("the snapshot is not wanted any more", reason="Interrupted")
        progress(came, remaining)

    try:
        return await asyncio.to_thread(work, tell)
    except asyncio.CancelledError:
        stopped.set()
        raise


def _save_from(endpoint: str, credentials: Credentials, target: Path, progress: Progress) -> Saved:
    with appearing(target) as file, open_member(endpoint, credentials) as member:
        saved = receive(member, file.write, progress)
    return msgspec.structs.replace(saved, path=str(target))


def receive(member: MemberClient, write: Callable[[bytes], object], progress: Progress) -> Saved:
    """Write a member's snapshot piece by piece, about a MB at a time; DamagedError unless whole."""
    trailer, size, version = b"", 0, ""
    with BackgroundDigest() as digest:
        for batch, trailer, version in _batches(snapshot_chunks(member), progress):  # noqa: B007
            digest.update(batch)
            write(batch)
            size += len(batch)
        _require_whole(member.endpoint, digest.value(), trailer, size)
    write(trailer)
    return Saved(
        path="",
        endpoint=member.endpoint,
        size=size + SHA_SIZE,
        sha256=trailer.hex(),
        version=version,
    )


def snapshot_chunks(member: MemberClient) -> Iterator[Chunk]:
    """The pieces of a member's snapshot; the last 32 bytes of all are its SHA-256."""
    for message in member.stream(MAINTENANCE + "Snapshot"):
        blob, remaining, version = b"", 0, ""
        for number, _, value in fields(message):
            if number == 2:
                remaining = cast("int", value)
            elif number == 3:
                blob = cast("bytes", value)
            elif number == 4:
                version = cast("bytes", value).decode()
        yield Chunk(blob, remaining, version)


def _batches(chunks: Iterator[Chunk], progress: Progress) -> Iterator[tuple[bytes, bytes, str]]:
    """Bytes to write, with the last of them the 32 bytes of the trailer, and etcd's version."""
    held: list[bytes] = []
    length = came = 0
    version = ""
    for chunk in chunks:
        held.append(chunk.blob)
        length += len(chunk.blob)
        came += len(chunk.blob)
        version = chunk.version or version
        if length >= _BATCH:
            # The trailer may be in two pieces, but no member sends it in more.
            held, ready = held[-2:], held[:-2]
            length = sum(map(len, held))
            yield b"".join(ready), b"", version
            progress(came, chunk.remaining)
    joined = b"".join(held)
    yield joined[:-SHA_SIZE], joined[-SHA_SIZE:], version


def _require_whole(endpoint: str, digest: bytes, trailer: bytes, size: int) -> None:
    if digest != trailer:
        raise DamagedError(
            f"what {endpoint} sent is not whole: {size} bytes came, and their sha256 does not fit",
            reason="BrokenSnapshot",
            hint="try again, or another member",
        )
