"""Real TLS servers on loopback, each with its own faults; all in one thread beside the test."""

import asyncio
import ssl
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import msgspec

from tests.access.certs.authority import Pair

_OLD_AND_WEAK = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """How a server behaves; `pair` None means that it speaks without TLS."""

    pair: Pair | None
    more: tuple[Pair, ...] = ()
    least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: str = ""
    clients_of: Pair | None = None
    statuses: Mapping[str, int] = {}
    otherwise: int = 404
    skew: float = 0.0


class Servers:
    """Starts servers on free ports of loopback."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        self._loop = loop
        self._folder = folder
        self._listening: list[asyncio.Server] = []

    def start(self, server: Server, port: int = 0) -> int:
        """Start one and tell its port."""
        return asyncio.run_coroutine_threadsafe(self._start(server, port), self._loop).result(30)

    async def _start(self, server: Server, port: int) -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                status = server.statuses.get(path, server.otherwise)
                date = formatdate(time() + server.skew, usegmt=True)
                writer.write(
                    f"HTTP/1.1 {status} X\r\nDate: {date}\r\nConnection: close\r\n"
                    "Content-Length: 2\r\n\r\n{}".encode()
                )
                await writer.drain()
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                # It only wanted to see the certificate.
                pass
            finally:
                writer.close()

        listening = await asyncio.start_server(
            answer, "127.0.0.1", port, ssl=self._context(server), backlog=256
        )
        self._listening.append(listening)
        return listening.sockets[0].getsockname()[1]

    async def end(self) -> None:
        """Close every port, and let those who are in the middle of an answer go."""
        for each in self._listening:
            each.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _context(self, server: Server) -> ssl.SSLContext | None:
        if server.pair is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(server.ciphers or "DEFAULT:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = server.least, server.most
        file = self._folder / "pair.pem"
        chain = b"".join(each.certificate for each in (server.pair, *server.more))
        file.write_bytes(chain + server.pair.key)
        context.load_cert_chain(file)
        if server.clients_of is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=server.clients_of.certificate.decode())
        return context


@contextmanager
def servers() -> Generator[Servers]:
    """A thread in which servers run for the length of the context."""
    loop = asyncio.new_event_loop()
    # What a client leaves in the middle of a handshake is no news here.
    loop.set_exception_handler(_say_nothing)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with tempfile.TemporaryDirectory() as folder:
        running = Servers(loop, Path(folder))
        yield running
        asyncio.run_coroutine_threadsafe(running.end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def _say_nothing(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    pass
