"""The connections to several directory servers: searches share one, each bind has one alone."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import TypeVar

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.ldap.connection import LdapConnection, Server
from shipkeeper.ldap.errors import LdapResultError, LdapUnreachableError
from shipkeeper.ldap.messages import SUCCESS, Entry, Result, Search

T = TypeVar("T")

# Seconds for which a server that failed is asked last; doubled with each failure.
_FIRST_REST, _LONGEST_REST = 1.0, 60.0


class Reader(msgspec.Struct, frozen=True):
    """Who searches; without a DN nobody in particular (anonymously)."""

    dn: str = ""
    password: str = ""


class PoolOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The servers in the order in which they are asked, and how."""

    servers: tuple[Server, ...]
    tls: ssl.SSLContext
    reader: Reader
    timeout: timedelta = timedelta(seconds=5)
    binds: int = 8


class _Shore:
    """One server: its connections, and whether it is to be left in peace."""

    def __init__(self, server: Server, options: PoolOptions) -> None:
        self.server = server
        self.rests_until = 0.0
        self._rest = _FIRST_REST
        self._options = options
        self._searching: LdapConnection | None = None
        self._logging_in = asyncio.Lock()
        self._idle: list[LdapConnection] = []
        self._places = asyncio.Semaphore(options.binds)

    async def search(self, search: Search) -> list[Entry]:
        return await (await self._reader()).search(search)

    async def bind(self, dn: str, password: str) -> Result:
        async with self._alone() as connection:
            return await connection.bind(dn, password)

    async def probe(self) -> LdapConnection:
        """The connection that searches, made if there is none."""
        return await self._reader()

    def did_well(self) -> None:
        self.rests_until, self._rest = 0.0, _FIRST_REST

    def failed(self) -> None:
        self.rests_until = monotonic() + self._rest
        self._rest = min(self._rest * 2, _LONGEST_REST)

    async def close(self) -> None:
        for connection in (self._searching, *self._idle):
            if connection is not None:
                await connection.close()

    async def _reader(self) -> LdapConnection:
        async with self._logging_in:
            if self._searching is None or not self._searching.is_open:
                broken, self._searching = self._searching, None
                if broken is not None:
                    await broken.close()
                self._searching = await self._log_in()
            return self._searching

    async def _log_in(self) -> LdapConnection:
        connection = await self._open()
        reader = self._options.reader
        if not reader.dn:
            return connection
        try:
            result = await connection.bind(reader.dn, reader.password)
            if result.code != SUCCESS:
                what = f"let {reader.dn} in"
                raise LdapResultError(str(self.server), what, result.code, result.message)
        except BaseException:
            await connection.close()
            raise
        return connection

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[LdapConnection]:
        async with self._places:
            connection = await self._take()
            try:
                yield connection
            except BaseException:
                # Given up half way, its answer would be taken for that of the next.
                await connection.close()
                raise
            self._idle.append(connection)

    async def _take(self) -> LdapConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            await connection.close()
        return await self._open()

    async def _open(self) -> LdapConnection:
        return await LdapConnection.open(self.server, self._options.tls, self._options.timeout)


class Pool:
    """Searches and binds at the first server that answers; opened with `open_pool`."""

    def __init__(self, options: PoolOptions) -> None:
        self._shores = [_Shore(server, options) for server in options.servers]

    async def search(self, search: Search) -> list[Entry]:
        """What the first server that answers finds; LdapError if none does, or it will not."""
        return await self._first(lambda shore: shore.search(search))

    async def bind(self, dn: str, password: str) -> Result:
        """Whether a password is right, by the first server that answers."""
        return await self._first(lambda shore: shore.bind(dn, password))

    async def probe(self) -> list[tuple[Server, tuple[str, str] | ShipkeeperError]]:
        """Each server: version of TLS and end of its certificate, or why it cannot be used."""
        found: list[tuple[Server, tuple[str, str] | ShipkeeperError]] = []
        for shore in self._shores:
            try:
                found.append((shore.server, (await shore.probe()).tls))
            except (LdapUnreachableError, LdapResultError) as error:
                found.append((shore.server, error))
        return found

    async def close(self) -> None:
        """Close every connection."""
        for shore in self._shores:
            await shore.close()

    async def _first(self, ask: Callable[[_Shore], Awaitable[T]]) -> T:
        failures: list[LdapUnreachableError | LdapResultError] = []
        for shore in self._in_order():
            # A connection that lay idle may have been closed meanwhile: a second one tells.
            for _ in range(2):
                try:
                    answer = await ask(shore)
                except LdapUnreachableError as error:
                    failures.append(error)
                    if error.took_too_long:
                        break
                except LdapResultError as error:
                    if not error.may_pass:
                        raise
                    failures.append(error)
                    break
                else:
                    shore.did_well()
                    return answer
            shore.failed()
        raise _nobody(failures)

    def _in_order(self) -> Sequence[_Shore]:
        """As they are written, but those that failed lately last."""
        now = monotonic()
        return sorted(self._shores, key=lambda shore: max(shore.rests_until - now, 0.0))


def _nobody(failures: Sequence[LdapUnreachableError | LdapResultError]) -> LdapUnreachableError:
    said = "; ".join(dict.fromkeys(error.message for error in failures))
    last = failures[-1]
    return LdapUnreachableError(said, reason=last.reason, hint=last.hint, took_too_long=False)


@asynccontextmanager
async def open_pool(options: PoolOptions) -> AsyncGenerator[Pool]:
    """A pool for the length of the context; connections are made when they are needed."""
    pool = Pool(options)
    try:
        yield pool
    finally:
        await pool.close()
