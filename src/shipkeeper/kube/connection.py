"""One HTTP connection pool to one API server: raw bytes in and out, errors by type."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
import msgspec
from multidict import CIMultiDict

from shipkeeper import __version__
from shipkeeper.kube.backoff import backoff
from shipkeeper.kube.config import PAGE_SIZE, ConnectionOptions, Credentials, load_credentials
from shipkeeper.kube.errors import (
    ApiError,
    TooManyRequestsError,
    UnauthorizedError,
    UnreachableError,
    api_error,
    certificate_expired,
)
from shipkeeper.kube.request import RequestInfo
from shipkeeper.kube.transport import open_transport, unreachable

REQUEST_TIMEOUT = timedelta(seconds=60)
NO_TIME = timedelta(0)
_CONNECT_SECONDS = 10
_ATTEMPTS = 5
_FIRST_DELAY = timedelta(milliseconds=200)
_TRANSIENT_CODES = frozenset({500, 502, 503, 504})


Query = Mapping[str, str] | Sequence[tuple[str, str]]


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str
    query: Query
    body: object = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
    limits: aiohttp.ClientTimeout

    @property
    def info(self) -> RequestInfo:
        return RequestInfo.of(self.method, self.path, is_watch="watch" in self.query)


class Requests(Protocol):
    """What readers and writers need of a connection; see `Connection`."""

    @property
    def credentials(self) -> Credentials:
        """Who asks, and whom."""
        ...

    @property
    def page_size(self) -> int:
        """How many objects a page of a list has."""
        ...

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: timedelta = REQUEST_TIMEOUT,
        last_wait: timedelta = NO_TIME,
    ) -> bytes:
        """Send a request and return the answer's body.

        Who is cancelled while it is on its way waits for the answer that much longer.
        """
        ...

    def stream(
        self, path: str, query: Mapping[str, str], *, inactivity: timedelta
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open an answer that goes on and yield its chunks."""
        ...

    def websocket(
        self, path: str, query: Query, protocol: str
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket that speaks one protocol."""
        ...


class Connection:
    """Requests to one API server; opened with `connect`."""

    def __init__(self, credentials: Credentials, *, page_size: int = PAGE_SIZE) -> None:
        self.credentials = credentials
        self.page_size = page_size
        self._transport = open_transport(credentials.configuration)
        self._transport_fingerprint = credentials.fingerprint
        self._retired: list[Any] = []

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: timedelta = REQUEST_TIMEOUT,
        last_wait: timedelta = NO_TIME,
    ) -> bytes:
        """Send a request and return the answer's body.

        Retries what is certain not to have been carried out: a reading request that failed, and
        any request that never left or that the server put off (429 with Retry-After, no budget
        involved). Raises ApiError or UnreachableError.
        """
        request = _Request(
            method=method,
            path=path,
            query=query or {},
            body=body,
            content_type=content_type,
            limits=aiohttp.ClientTimeout(
                total=timeout.total_seconds(), sock_connect=_CONNECT_SECONDS
            ),
        )
        attempt = 1
        while True:
            try:
                if last_wait:
                    return await _heard_out(self._exchange(request), last_wait)
                return await self._exchange(request)
            except (ApiError, UnreachableError) as error:
                delay = _retry_delay(error, method, attempt)
                if delay is None or attempt == _ATTEMPTS:
                    raise
            await asyncio.sleep(delay.total_seconds())
            attempt += 1

    async def _exchange(self, request: _Request) -> bytes:
        async with self._response(request) as response:
            return await self._read(response)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, inactivity: timedelta
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open an answer that goes on (a watch) and yield its chunks as they come.

        UnreachableError when the connection breaks, or when nothing came for as long as
        `inactivity`, be it before the first chunk or between two.
        """
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_SECONDS, sock_read=inactivity.total_seconds()
        )
        request = _Request(method="GET", path=path, query=query, limits=limits)
        async with (
            self._response(request) as response,
            aclosing(self._chunks(response)) as chunks,
        ):
            yield chunks

    @asynccontextmanager
    async def websocket(
        self, path: str, query: Query, protocol: str
    ) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket that speaks one protocol; ApiError, UnreachableError if it cannot be."""
        limits = aiohttp.ClientTimeout(
            total=REQUEST_TIMEOUT.total_seconds(), sock_connect=_CONNECT_SECONDS
        )
        # The node that answers has nothing to offer who insists on JSON.
        anything = {"Accept": "*/*"}
        request = _Request(method="GET", path=path, query=query, headers=anything, limits=limits)
        try:
            socket = await self._upgrade(request, protocol)
        except aiohttp.WSServerHandshakeError:
            await self._ask_why(request, protocol)
            socket = await self._upgrade(request, protocol)
        try:
            yield socket
        finally:
            await socket.close()

    async def _upgrade(self, request: _Request, protocol: str) -> aiohttp.ClientWebSocketResponse:
        try:
            return await self._transport.upgrade(
                self._url(request), await self._headers(request), protocol, request.limits
            )
        except aiohttp.WSServerHandshakeError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(self.credentials.server, error) from error

    async def _ask_why(self, request: _Request, protocol: str) -> None:
        """Ask again for an upgrade that was refused: aiohttp throws away what the server said.

        Logs in again if that was the reason. Returns if nothing stands in the way any more.
        """
        wish = {
            **request.headers,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": b64encode(secrets.token_bytes(16)).decode(),
            "Sec-WebSocket-Protocol": protocol,
        }
        async with self._response(msgspec.structs.replace(request, headers=wish)):
            pass

    @asynccontextmanager
    async def _response(self, request: _Request) -> AsyncGenerator[aiohttp.ClientResponse]:
        refused = self.credentials.fingerprint
        response = await self._open(request)
        if response.status == UnauthorizedError.code:
            await self._read(response)
            if await self._renew(refused):
                response = await self._open(request)
        async with response:
            if response.status >= 400:
                raise await self._refusal(request, response)
            yield response

    async def _open(self, request: _Request) -> aiohttp.ClientResponse:
        try:
            answer = await self._transport.request(
                request.method,
                self._url(request),
                headers=await self._headers(request),
                body=request.body,
                _request_timeout=request.limits,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(self.credentials.server, error) from error
        return answer.response

    def _url(self, request: _Request) -> str:
        query = f"?{urlencode(request.query)}" if request.query else ""
        return f"{self.credentials.server}{request.path}{query}"

    async def _headers(self, request: _Request) -> CIMultiDict[str]:
        headers = await self.credentials.headers()
        headers["Accept"] = "application/json"
        headers["Content-Type"] = request.content_type
        headers["User-Agent"] = f"shipkeeper/{__version__}"
        headers.update(request.headers)
        return headers

    async def _renew(self, refused: str) -> bool:
        if not await self.credentials.renew(refused):
            return False
        changed = self.credentials.fingerprint != self._transport_fingerprint
        if changed and self.credentials.uses_client_certificate:
            # Requests under way finish on the old transport; it is closed with the connection.
            self._retired.append(self._transport)
            self._transport = open_transport(self.credentials.configuration)
            self._transport_fingerprint = self.credentials.fingerprint
        return True

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(self.credentials.server, error) from error

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        try:
            async for chunk in response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(self.credentials.server, error) from error

    async def _refusal(self, request: _Request, response: aiohttp.ClientResponse) -> ApiError:
        body = await self._read(response)
        retry_after = response.headers.get("Retry-After")
        error = api_error(response.status, body, retry_after, asked=request.info)
        expiry = self.credentials.certificate_expiry
        if isinstance(error, UnauthorizedError) and expiry and expiry < datetime.now(UTC):
            return certificate_expired(error.status, expiry)
        return error

    async def close(self) -> None:
        """Close every connection of the pool."""
        for transport in (*self._retired, self._transport):
            await transport.close()


@asynccontextmanager
async def connect(options: ConnectionOptions) -> AsyncGenerator[Connection]:
    """Log in and keep a connection pool for the length of the context."""
    connection = Connection(await load_credentials(options), page_size=options.page_size)
    try:
        yield connection
    finally:
        await connection.close()


def is_transient(error: ApiError) -> bool:
    """Whether the server failed, or was not ready: it may answer the same request later."""
    return error.status.code in _TRANSIENT_CODES


async def _heard_out(exchange: Coroutine[Any, Any, bytes], last_wait: timedelta) -> bytes:
    """The answer to a request; it is on its way, and ends by itself, when we are cancelled."""
    asking = asyncio.ensure_future(exchange)
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        try:
            await asyncio.wait([asking], timeout=last_wait.total_seconds())
        finally:
            if not asking.cancel():
                asking.exception()
        raise


def _retry_delay(error: ApiError | UnreachableError, method: str, attempt: int) -> timedelta | None:
    """How long to wait before the request is sent again; None if it must not be."""
    if isinstance(error, TooManyRequestsError):
        return None if error.status.causes else error.retry_after
    if isinstance(error, UnreachableError):
        is_safe = error.reason == "Unreachable" and (method == "GET" or not error.was_sent)
    else:
        is_safe = method == "GET" and is_transient(error)
    return backoff(attempt, first=_FIRST_DELAY) if is_safe else None
