"""HTTP/1.1 over TLS as an API server speaks it: requests with a length, many on one connection.

Whatever a client sends, or fails to send, costs it its connection and nothing else: heads, bodies,
the time for each and the number of connections are limited.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.errors import ShipkeeperError, UsageError

_HEAD = 16 * 1024
_PHRASES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request; `client` is the address it came from, `is_known` whether it has a certificate."""

    method: str
    path: str
    body: bytes
    client: str
    is_known: bool = False
    authorization: str = ""


class Response(msgspec.Struct, frozen=True):
    """What is answered; bytes that begin with a brace are JSON."""

    code: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[Request], Awaitable[Response]]


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """Where to serve, with which certificate, to whom.

    With `client_ca` only clients with a certificate of that authority are let in; with
    `client_optional` others as well, and each request says which it is.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_optional: bool = False
    host: str = "127.0.0.1"
    port: int = 0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of each: octets of a body, seconds for a request, seconds between two, connections.

    A connection costs some 300 KiB, the buffers of TLS.
    """

    body: int = 1024 * 1024
    request_seconds: float = 10.0
    idle_seconds: float = 120.0
    connections: int = 512
    connections_of_client: int = 128


class ServeError(ShipkeeperError):
    """Nothing can be served."""


class _BadRequestError(Exception):
    """What came is no request that is answered; the connection ends with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@asynccontextmanager
async def serving(
    listen: Listen,
    answer: Answer,
    limits: Limits = Limits(),  # noqa: B008  (frozen)
) -> AsyncGenerator[str]:
    """Serve until the block ends; yields the URL without a path."""
    tls = Certificates(listen)
    server = _Server(answer, limits)
    try:
        listener = await asyncio.start_server(
            server.converse,
            listen.host,
            listen.port,
            ssl=tls.context,
            limit=_HEAD,
            ssl_handshake_timeout=limits.request_seconds,
            ssl_shutdown_timeout=1.0,
        )
    except OSError as error:
        raise ServeError(
            f"cannot serve at {listen.host}:{listen.port}: {error.strerror}",
            reason="AddressTaken",
            hint="choose another address with --address",
        ) from error
    port = listener.sockets[0].getsockname()[1]
    looking = asyncio.create_task(tls.follow())
    try:
        async with listener:
            yield f"https://{listen.host}:{port}"
    finally:
        looking.cancel()
        server.end()


class Certificates:
    """The certificate that is served with, taken again from its files when they are renewed."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self.context = self._create()
        self._stamp = self._look()

    async def follow(self, every: float = 10.0) -> None:
        """Look at the files every so many seconds; what cannot be read yet is looked at again."""
        while True:
            await asyncio.sleep(every)
            stamp = self._look()
            if stamp == self._stamp:
                continue
            # A pair is replaced one file after the other, and fits together a moment later.
            with suppress(OSError, ssl.SSLError):
                self.context.load_cert_chain(self._listen.certificate, self._listen.key)
                self._stamp = stamp

    def _look(self) -> tuple[int, ...]:
        try:
            files = (self._listen.certificate, self._listen.key)
            return tuple(path.stat().st_mtime_ns for path in files)
        except FileNotFoundError:
            return ()

    def _create(self) -> ssl.SSLContext:
        listen = self._listen
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=listen.client_ca)
            context.load_cert_chain(listen.certificate, listen.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"cannot serve with these certificates: {error}",
                reason="BadCertificate",
                hint="name PEM files with the certificate, its key, and the clients' authority",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if listen.client_ca is not None:
            is_optional = listen.client_optional
            context.verify_mode = ssl.CERT_OPTIONAL if is_optional else ssl.CERT_REQUIRED
        return context


class _Server:
    def __init__(self, answer: Answer, limits: Limits) -> None:
        self._answer = answer
        self._limits = limits
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: Counter[str] = Counter()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = str(writer.get_extra_info("peername")[0])
        if not self._has_room(client):
            writer.transport.abort()
            return
        self._writers.add(writer)
        self._clients[client] += 1
        # A client that goes away, or is too slow, is none of the server's business.
        try:
            with suppress(OSError, EOFError, TimeoutError):
                await self._serve(reader, writer, client)
        finally:
            self._writers.discard(writer)
            self._clients -= Counter((client,))
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._limits.request_seconds):
                    await writer.wait_closed()
            writer.transport.abort()

    def end(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _has_room(self, client: str) -> bool:
        limits = self._limits
        is_full = len(self._writers) >= limits.connections
        return not is_full and self._clients[client] < limits.connections_of_client

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str
    ) -> None:
        is_known = bool(writer.get_extra_info("peercert"))
        while True:
            try:
                request = await self._read(reader, client, is_known=is_known)
            except _BadRequestError as error:
                writer.write(encode(Response(error.code), closes=True))
                await writer.drain()
                return
            response = await self._answer(request)
            async with asyncio.timeout(self._limits.request_seconds):
                writer.write(encode(response))
                await writer.drain()

    async def _read(self, reader: asyncio.StreamReader, client: str, *, is_known: bool) -> Request:
        async with asyncio.timeout(self._limits.idle_seconds) as limit:
            first = await reader.readexactly(1)
            limit.reschedule(asyncio.get_running_loop().time() + self._limits.request_seconds)
            try:
                head = first + await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError as error:
                raise _BadRequestError(413) from error
            method, path, headers = parse_head(head)
            body = await reader.readexactly(self._length(headers))
        return Request(
            method=method,
            path=path,
            body=body,
            client=client,
            is_known=is_known,
            authorization=headers.get("authorization", ""),
        )

    def _length(self, headers: dict[str, str]) -> int:
        if "transfer-encoding" in headers:
            raise _BadRequestError(411)
        said = headers.get("content-length", "0")
        if not (said.isascii() and said.isdecimal()) or len(said) > 15:
            raise _BadRequestError(400)
        length = int(said)
        if length > self._limits.body:
            raise _BadRequestError(413)
        return length


def parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Method, path without its query, and headers by names in lower case."""
    request, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = request.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise _BadRequestError(400)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        # Two lengths, or a name with a space behind it, are how requests are smuggled.
        is_repeated = name == "content-length" and name in headers
        if not colon or not name or name != name.strip() or is_repeated:
            raise _BadRequestError(400)
        headers[name] = value.strip()
    return words[0], words[1].partition("?")[0], headers


def encode(response: Response, *, closes: bool = False) -> bytes:
    """The response as it is sent."""
    kind = "application/json" if response.body[:1] == b"{" else "text/plain"
    lines = [
        f"HTTP/1.1 {response.code} {_PHRASES[response.code]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        *(f"{name}: {value}" for name, value in response.headers),
        *(("Connection: close",) if closes else ()),
    ]
    return "\r\n".join((*lines, "", "")).encode() + response.body


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of HOST:PORT, [IPV6]:PORT or :PORT (every interface); UsageError if not one."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise UsageError(
            f"not an address to listen at: {address}",
            reason="NoAddress",
            hint="HOST:PORT, such as 127.0.0.1:9443",
        )
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104  (as asked)


def read_json(body: bytes, type_: Any) -> Any:
    """A body as a value of a type; msgspec.MsgspecError or RecursionError as a ValueError."""
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error
