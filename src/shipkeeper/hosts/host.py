"""What a way to a host looks like, whatever it goes through (SSH, a pod on the node)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a shell program ended on the host, and what it printed to its standard error."""

    exit_code: int
    errors: str


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a program: its chunks, and how many bytes they are in all.

    The size is told beforehand because not every way to a host can say that an input has ended.
    """

    size: int
    chunks: AsyncIterator[bytes]


Take = Callable[[bytes], Awaitable[None]]
"""Takes a chunk of output; the host waits while it is awaited."""


class Session(Protocol):
    """An open way in; every call may raise ConnectionLostError."""

    async def execute(self, program: str, output: Callable[[bytes], None]) -> Answer:
        """Feed `program` to a POSIX shell on the host; what it prints comes to `output`."""
        ...

    async def stream(self, program: str, output: Take, feed: Feed | None = None) -> Answer:
        """Run `program` with any amount of input and output, neither of which is kept in memory.

        It shows in the host's process list, so it must not hold secrets. What it leaves unread of
        its input is thrown away; it gets none without `feed`.
        """
        ...


class Incoming(Protocol):
    """The end of a stream of bytes that is read."""

    async def read(self, n: int = -1, /) -> bytes:
        """At most so many bytes, none at the stream's end."""
        ...


class Outgoing(Protocol):
    """The end of a stream of bytes that is written."""

    def write(self, data: bytes, /) -> None:
        """Send bytes."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


Stream = tuple[Incoming, Outgoing]


@runtime_checkable
class Tunnel(Protocol):
    """A session that also reaches what its host reaches."""

    async def dial(self, address: str, port: int) -> Stream:
        """Connect from the host to an address and port; OSError if that cannot be."""
        ...


class Host(Protocol):
    """A host that shell programs can be run on."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    def session(self) -> AbstractAsyncContextManager[Session]:
        """Connect; HostUnreachableError if it does not answer."""
        ...
