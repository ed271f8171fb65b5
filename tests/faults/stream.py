"""A watch on its way through the proxy, and the harm that can come to it."""

import asyncio

import aiohttp
import msgspec
from aiohttp import web

from tests.faults.faults import Cut, End, Freeze, Inject, StreamFault


class Stream:
    """Passes chunks on unbuffered until the stream ends or its fault strikes."""

    def __init__(self, path: str, planned: StreamFault | None) -> None:
        self.path = path
        self._planned = planned
        self._struck: asyncio.Future[StreamFault] = asyncio.get_running_loop().create_future()

    def strike(self, fault: StreamFault) -> None:
        """Let a fault happen now, wherever the stream stands."""
        if not self._struck.done():
            self._struck.set_result(fault)

    async def pass_on(self, source: aiohttp.StreamReader, sink: web.StreamResponse) -> None:
        """Relay `source` to `sink`; ConnectionAbortedError when the connection is to be broken."""
        relaying = asyncio.create_task(self._relay(source, sink))
        try:
            await asyncio.wait([relaying, self._struck], return_when=asyncio.FIRST_COMPLETED)
            if not self._struck.done():
                relaying.result()
        finally:
            relaying.cancel()
            await asyncio.wait([relaying])
        if self._struck.done():
            await _harm(self._struck.result(), sink)

    async def _relay(self, source: aiohttp.StreamReader, sink: web.StreamResponse) -> None:
        if self._planned is None:
            async for chunk in source.iter_any():
                await sink.write(chunk)
            return
        limit = _Limit(self._planned)
        while not limit.is_reached:
            chunk = await source.readany()
            if not chunk:
                return
            await sink.write(limit.before(chunk))
        self.strike(self._planned)


class _Limit:
    """Where in a stream a fault strikes."""

    def __init__(self, fault: StreamFault) -> None:
        self._events = fault.after_events
        self._bytes = fault.and_bytes if isinstance(fault, Cut) else 0

    @property
    def is_reached(self) -> bool:
        return self._events == 0 and self._bytes == 0

    def before(self, chunk: bytes) -> bytes:
        """What of a chunk still comes before the fault."""
        end = 0
        while self._events:
            newline = chunk.find(b"\n", end)
            if newline < 0:
                return chunk
            end = newline + 1
            self._events -= 1
        extra = min(self._bytes, len(chunk) - end)
        self._bytes -= extra
        return chunk[: end + extra]


async def _harm(fault: StreamFault, sink: web.StreamResponse) -> None:
    match fault:
        case Cut():
            raise ConnectionAbortedError
        case Freeze():
            # Until the client loses patience, which cancels this.
            await asyncio.Event().wait()
        case End():
            pass
        case Inject(event):
            await sink.write(msgspec.json.encode(event) + b"\n")
