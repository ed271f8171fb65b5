"""Requests of a run that holds the cluster's lock: they outlast an API server that is away.

What fails because the server is away is sent again once it serves again, if it is certain that it
was not carried out. Nothing is changed while it is not certain that the lock is held.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

import aiohttp

from shipkeeper.kube.config import Credentials
from shipkeeper.kube.connection import NO_TIME, REQUEST_TIMEOUT, Query, Requests, is_transient
from shipkeeper.kube.errors import ApiError, ForbiddenError, UnauthorizedError, UnreachableError

# Each of them after a renewal of the lock that succeeded: the server is there, so it is not that.
_ROUNDS = 6
_REFUSED_ROUNDS = 2


class Footing(Protocol):
    """Who knows whether a change may be begun."""

    async def firm(self) -> None:
        """Return as soon as a change may be begun."""
        ...

    async def proven(self) -> None:
        """Return once the API server has taken a change that was sent after this was called."""
        ...


class SteadyConnection:
    """The requests of another connection, sent on a footing."""

    def __init__(self, requests: Requests, footing: Footing) -> None:
        self._requests = requests
        self._footing = footing

    @property
    def credentials(self) -> Credentials:
        """Who asks, and whom."""
        return self._requests.credentials

    @property
    def page_size(self) -> int:
        """How many objects a page of a list has."""
        return self._requests.page_size

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
        """Send a request and return the answer's body, however long the server is away.

        A change whose answer was lost is not sent again: its error comes once the server serves
        again, so that whoever asked can look what became of it.
        """
        attempt = 0
        while True:
            if method != "GET":
                await self._footing.firm()
            try:
                return await self._requests.send(
                    method,
                    path,
                    query=query,
                    body=body,
                    content_type=content_type,
                    timeout=timeout,
                    last_wait=last_wait,
                )
            except (ApiError, UnreachableError) as error:
                attempt += 1
                rounds = _rounds(error, method)
                if rounds:
                    await self._footing.proven()
                if attempt >= rounds:
                    raise

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, inactivity: timedelta
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open an answer that goes on; whoever follows it opens it again by themselves.

        A refusal comes only once the server is known to serve: while it starts it knows no
        permissions.
        """
        try:
            async with self._requests.stream(path, query, inactivity=inactivity) as chunks:
                yield chunks
        except (ForbiddenError, UnauthorizedError):
            await self._footing.proven()
            raise

    @asynccontextmanager
    async def websocket(
        self, path: str, query: Query, protocol: str
    ) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket; what is sent over it may change something."""
        await self._footing.firm()
        try:
            async with self._requests.websocket(path, query, protocol) as socket:
                yield socket
        except (ForbiddenError, UnauthorizedError):
            await self._footing.proven()
            raise


def _rounds(error: ApiError | UnreachableError, method: str) -> int:
    """How often a request is sent in all; 0 if its failure says nothing about the server."""
    if isinstance(error, ForbiddenError | UnauthorizedError):
        return _REFUSED_ROUNDS
    if isinstance(error, UnreachableError):
        is_certain = method == "GET" or not error.was_sent
        return 0 if error.reason != "Unreachable" else _ROUNDS if is_certain else 1
    return 0 if not is_transient(error) else _ROUNDS if method == "GET" else 1
