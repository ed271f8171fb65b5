"""A TCP proxy that can be cut, and that can be at many loopback addresses."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from tests.hosts.sshd import free_port


class Proxy:
    """Forwards to one port of loopback, until it is cut."""

    def __init__(self, target: int, addresses: Sequence[str] = ("127.0.0.1",)) -> None:
        self._target = target
        self._addresses = addresses
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.connections = 0

    async def __aenter__(self) -> "Proxy":
        self.port = free_port()
        self._server = await asyncio.start_server(
            self._forward, self._addresses, self.port, backlog=256
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Drop every connection that stands."""
        for writer in self._writers:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, back}
        self._writers |= both
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
        self._writers -= both


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        # A connection that is cut is what this proxy is for: its other half is closed, too.
        with suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
    finally:
        writer.close()
