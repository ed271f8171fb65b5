"""One connection to one directory server: many searches at a time, or one bind."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic

import msgspec

from shipkeeper.ldap import ber, messages
from shipkeeper.ldap.errors import LdapResultError, LdapUnreachableError
from shipkeeper.ldap.messages import Entry, Message, Result, Search
from shipkeeper.ldap.plain import connect_plainly, start_tls

# Larger messages are not waited for: an entry with a photograph has some ten thousand bytes.
_LARGEST = 16 << 20
_PAGE = 500


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where a directory server is; without `is_ldaps` TLS is begun by StartTLS."""

    host: str
    port: int
    is_ldaps: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.is_ldaps else 'ldap'}://{host}:{self.port}"


class LdapConnection:
    """A connection over TLS; opened with `LdapConnection.open`. Broken, it stays so."""

    def __init__(
        self,
        server: Server,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timeout: timedelta,
    ) -> None:
        self.server = server
        self._reader, self._writer = reader, writer
        self._seconds = timeout.total_seconds()
        self._last_id = 0
        self._waiting: dict[int, asyncio.Queue[Message | LdapUnreachableError]] = {}
        self._broken: LdapUnreachableError | None = None
        self._listening: asyncio.Task[None] | None = None
        self._heard = monotonic()

    @classmethod
    async def open(
        cls, server: Server, tls: ssl.SSLContext, timeout: timedelta
    ) -> "LdapConnection":
        """Connect and speak TLS; LdapUnreachableError if not both can be done in time."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                plain = await connect_plainly(server.host, server.port)
                try:
                    if not server.is_ldaps:
                        await start_tls(plain, str(server))
                    reader, writer = await asyncio.open_connection(
                        sock=plain, ssl=tls, server_hostname=server.host
                    )
                except BaseException:
                    plain.close()
                    raise
        except (OSError, TimeoutError, EOFError, ber.BerError) as error:
            raise _unreachable(server, error) from error
        connection = cls(server, reader, writer, timeout)
        connection._listening = asyncio.create_task(connection._listen())
        return connection

    @property
    def is_open(self) -> bool:
        """Whether it may still be used."""
        return self._broken is None

    @property
    def tls(self) -> tuple[str, str]:
        """The version of TLS, and when the server's certificate ends."""
        found: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        certificate = found.getpeercert() or {}
        return found.version() or "", str(certificate.get("notAfter", ""))

    async def bind(self, dn: str, password: str) -> Result:
        """Log in; the result says whether that succeeded. Nothing else may be under way."""
        async with self._operation() as (number, answers):
            self._send(messages.bind_request(number, dn, password))
            return messages.read_result(await _next(answers))

    async def search(self, search: Search) -> list[Entry]:
        """Every entry, page by page; with a limit that many and one more if there are more.

        LdapResultError if the server will not.
        """
        found: list[Entry] = []
        cookie = b""
        page = 0 if search.limit else _PAGE
        while True:
            result = await self._search_page(search, page, cookie, found)
            if result.code == messages.SIZE_LIMIT_EXCEEDED and search.limit:
                return found
            if result.code != messages.SUCCESS:
                what = f"search below {search.base or 'its root'}"
                raise LdapResultError(str(self.server), what, result.code, result.message)
            cookie = result.cookie
            if not cookie:
                return found

    async def _search_page(
        self, search: Search, page: int, cookie: bytes, found: list[Entry]
    ) -> Result:
        async with self._operation() as (number, answers):
            seconds = max(1, round(self._seconds))
            self._send(messages.search_request(number, search, seconds, page, cookie))
            while True:
                message = await _next(answers)
                if message.tag == messages.ENTRY:
                    found.append(messages.read_entry(message))
                elif message.tag == messages.DONE:
                    return messages.read_result(message)

    async def close(self) -> None:
        """Say good-bye and close."""
        if self._listening is not None:
            self._listening.cancel()
        if self.is_open:
            self._broken = _unreachable(self.server, ConnectionError("closed"))
            self._last_id += 1
            self._writer.write(messages.unbind_request(self._last_id))
        self._writer.close()
        # Whatever the other side does to a connection that is no longer wanted is of no account.
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    @asynccontextmanager
    async def _operation(
        self,
    ) -> AsyncGenerator[tuple[int, asyncio.Queue[Message | LdapUnreachableError]]]:
        if self._broken is not None:
            raise self._broken
        self._last_id += 1
        number = self._last_id
        answers: asyncio.Queue[Message | LdapUnreachableError] = asyncio.Queue()
        self._waiting[number] = answers
        began = monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                yield number, answers
        except TimeoutError as error:
            self._give_up(number, began)
            raise _unreachable(self.server, error) from error
        except ber.BerError as error:
            self._break(_unreachable(self.server, error))
            raise _unreachable(self.server, error) from error
        finally:
            del self._waiting[number]

    def _give_up(self, number: int, began: float) -> None:
        """The operation; of a server that says nothing at all any more, the connection."""
        if self._heard < began:
            self._break(_unreachable(self.server, TimeoutError()))
        else:
            self._last_id += 1
            self._send(messages.abandon_request(self._last_id, number))

    def _send(self, message: bytes) -> None:
        self._writer.write(message)

    async def _listen(self) -> None:
        data = bytearray()
        try:
            while chunk := await self._reader.read(65536):
                self._heard = monotonic()
                data += chunk
                self._deliver(data)
            self._break(_unreachable(self.server, ConnectionError("it broke the connection off")))
        except (OSError, ber.BerError) as error:
            self._break(_unreachable(self.server, error))

    def _deliver(self, data: bytearray) -> None:
        at = 0
        while (found := ber.head(data, at)) is not None:
            tag, start, end = found
            if tag != ber.SEQUENCE or end - start > _LARGEST:
                raise ber.BerError("no message of LDAP, or a very large one")
            if end > len(data):
                break
            message = messages.read_message(bytes(data[start:end]))
            if message.id == 0:
                raise ConnectionError(messages.read_result(message).message or "it is going down")
            if (answers := self._waiting.get(message.id)) is not None:
                answers.put_nowait(message)
            at = end
        del data[:at]

    def _break(self, error: LdapUnreachableError) -> None:
        if self._broken is None:
            self._broken = error
            self._writer.close()
            for answers in self._waiting.values():
                answers.put_nowait(error)


async def _next(answers: asyncio.Queue[Message | LdapUnreachableError]) -> Message:
    found = await answers.get()
    if isinstance(found, LdapUnreachableError):
        raise found
    return found


def _unreachable(server: Server, error: Exception) -> LdapUnreachableError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return LdapUnreachableError(
            f"{server} is not trusted: {error.verify_message}",
            reason="LdapNotTrusted",
            hint="renew its certificate, or name the authority of it (ldap.ca)",
            took_too_long=False,
        )
    why = "it took too long" if isinstance(error, TimeoutError) else str(error) or "it broke off"
    return LdapUnreachableError(
        f"{server} cannot be reached: {why}",
        reason="LdapUnreachable",
        hint="see whether it runs, and whether its port is open from here",
        took_too_long=isinstance(error, TimeoutError),
    )
