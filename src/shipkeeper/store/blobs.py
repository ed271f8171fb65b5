"""The bytes below a repository: named blobs that are created once and never overwritten."""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from shipkeeper.store.errors import BlobExistsError

PARTIAL = "partial"
"""Folder of what a killed writer may leave half written in a local folder."""


class BlobInfo(msgspec.Struct, frozen=True):
    """A stored blob: its name, its size in bytes, the store's own time of its last write."""

    name: str
    size: int
    modified: dt.datetime


class Blobs(Protocol):
    """One place that keeps blobs. Every failure is a StoreError that says what to do."""

    url: str

    async def create(self, name: str, content: bytes) -> None:
        """Put a new blob, durable when this returns; BlobExistsError when the name is taken."""
        ...

    async def read(self, name: str) -> bytes:
        """A whole blob; BlobMissingError when there is none."""
        ...

    async def read_range(self, name: str, start: int, end: int) -> bytes:
        """Bytes `start` to `end` (exclusive) of a blob; BlobMissingError when there is none."""
        ...

    async def info(self, name: str) -> BlobInfo:
        """Size and time of a blob; BlobMissingError when there is none."""
        ...

    def list(self, prefix: str) -> AsyncIterator[list[BlobInfo]]:
        """Every blob in the folder `prefix` (`` for all), in batches, in no order."""
        ...

    async def remove(self, name: str) -> None:
        """Delete a blob; none there is fine."""
        ...


async def create_same(blobs: Blobs, name: str, content: bytes) -> None:
    """Create a blob; one of the very same bytes there already is fine.

    A put that was answered too late is sent again by the transport, and then meets itself.
    """
    try:
        await blobs.create(name, content)
    except BlobExistsError:
        if await blobs.read(name) != content:
            raise


async def listed(blobs: Blobs, prefix: str) -> dict[str, BlobInfo]:
    """Every blob in a folder, by name."""
    return {info.name: info async for batch in blobs.list(prefix) for info in batch}
