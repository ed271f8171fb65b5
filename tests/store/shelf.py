"""Blobs in a dict, with a clock that the test turns and a fault at any operation it likes."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable

from shipkeeper.store.blobs import BlobInfo
from shipkeeper.store.errors import AccessDeniedError, BlobExistsError, BlobMissingError

START = dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC)


class KilledError(BaseException):
    """The process is gone."""


class Shelf:
    """An object store of the test's own; `before` runs before each write (`create`, `remove`)."""

    def __init__(self) -> None:
        self.url = "shelf://"
        self.now = START
        self.blobs: dict[str, tuple[bytes, dt.datetime]] = {}
        self.before: Callable[[str, str], None] = lambda operation, name: None
        self.locked = False

    def copy(self) -> "Shelf":
        copy = Shelf()
        copy.now, copy.blobs = self.now, dict(self.blobs)
        return copy

    def advance(self, **spans: float) -> None:
        self.now += dt.timedelta(**spans)

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.blobs if name.startswith(f"{prefix}/"))

    async def create(self, name: str, content: bytes) -> None:
        self.before("create", name)
        await asyncio.sleep(0)
        if name in self.blobs:
            raise BlobExistsError(name)
        self.blobs[name] = (content, self.now)

    async def read(self, name: str) -> bytes:
        await asyncio.sleep(0)
        if name not in self.blobs:
            raise BlobMissingError(name)
        return self.blobs[name][0]

    async def read_range(self, name: str, start: int, end: int) -> bytes:
        return (await self.read(name))[start:end]

    async def info(self, name: str) -> BlobInfo:
        content = await self.read(name)
        return BlobInfo(name, len(content), self.blobs[name][1])

    async def list(self, prefix: str) -> AsyncIterator[list[BlobInfo]]:
        await asyncio.sleep(0)
        yield [
            BlobInfo(name, len(content), modified)
            for name, (content, modified) in self.blobs.items()
            if not prefix or name.startswith(f"{prefix}/")
        ]

    async def remove(self, name: str) -> None:
        self.before("remove", name)
        await asyncio.sleep(0)
        if self.locked:
            raise AccessDeniedError(name)
        self.blobs.pop(name, None)


def dying_at(turn: int) -> Callable[[str, str], None]:
    """A fault at the write of that number, counted from 0."""
    seen = 0

    def before(operation: str, name: str) -> None:
        nonlocal seen
        if seen == turn:
            raise KilledError(f"{operation} {name}")
        seen += 1

    return before
