"""Looking at one port: what it presents, what it takes, and what it tells to anybody."""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime

import msgspec

from shipkeeper.access.certs.certificate import Certificate, UnreadableError, parse_chain
from shipkeeper.access.certs.hello import (
    COMMON,
    TLS_1_1,
    TLS_1_2,
    VERSIONS,
    WEAK,
    ServerFlight,
    client_hello,
    read_flight,
)
from shipkeeper.access.certs.survey import Port, Presented
from shipkeeper.access.certs.tls import Dial, TlsStream
from shipkeeper.hosts.host import Stream

SILENT = "no answer in time"
_SECONDS = 5.0
_HEAD_BYTES = 4096
_BODY_BYTES = 65536
_FLIGHT_BYTES = 65536
# Alerts of RFC 5246, 7.2: the version is spoken, but none of the ciphers.
_NO_CIPHER = frozenset({40, 71})


class _NotTlsError(Exception):
    """There was no TLS handshake; says why."""


class _SilentError(_NotTlsError):
    """A greeting was not answered at all."""


async def look_at(port: Port, dial: Dial, context: ssl.SSLContext) -> Presented:
    """Everything that one port shows to a stranger."""
    look = _Look(port, dial, context)
    try:
        if port.marker:
            return await look.in_the_clear()
        return await look.over_tls()
    except (OSError, TimeoutError) as error:
        return Presented(is_open=False, error=_words(error))


class _Look:
    def __init__(self, port: Port, dial: Dial, context: ssl.SSLContext) -> None:
        self._port = port
        self._dial = dial
        self._context = context

    async def over_tls(self) -> Presented:
        first, *others = self._port.paths
        try:
            chain, version, answer = await self._ask(first)
        except _SilentError as error:
            return await self._in_plain_words(str(error))
        except _NotTlsError as error:
            return await self._without_handshake(str(error))
        answers = {first: answer}
        for path in others:
            answers[path] = (await self._ask(path))[2]
        seen = Presented(chain=chain, statuses=_statuses(answers), skew=_skew(answer))
        return await self._with_offers(seen, version)

    async def in_the_clear(self) -> Presented:
        answer = await self._ask_plainly(self._port.paths[0], _BODY_BYTES)
        return Presented(
            is_plain=_status(answer) == 200 and self._port.marker.encode() in answer,
            statuses=_statuses({self._port.paths[0]: answer}),
        )

    async def _without_handshake(self, why: str) -> Presented:
        """No library gets on with it: is it TLS at all?"""
        flight = await self._greet(TLS_1_2, (*COMMON, *WEAK))
        if flight.version or flight.alert is not None:
            # Up to TLS 1.2 whoever wants a client's certificate ends the handshake without one.
            # What is too old or too weak for OpenSSL is a finding of its own.
            is_old = flight.version < TLS_1_2 or flight.cipher in WEAK
            is_fine = bool(flight.chain) and (flight.wants_certificate or is_old)
            seen = Presented(chain=_read(flight.chain), error="" if is_fine else why)
            return await self._with_offers(seen, VERSIONS.get(flight.version, ""))
        return await self._in_plain_words(why)

    async def _in_plain_words(self, why: str) -> Presented:
        """It is no TLS: does it answer without?"""
        path = self._port.paths[0]
        answer = await self._ask_plainly(path, _HEAD_BYTES)
        # A server of HTTPS says 400 to those who forget the S.
        is_plain = _status(answer) not in (0, 400)
        return Presented(
            is_plain=is_plain,
            # Whoever takes connections and says nothing is as good as not there.
            is_open=bool(answer) or why != SILENT,
            statuses=_statuses({path: answer}),
            skew=_skew(answer) if is_plain else None,
            error=why,
        )

    async def _ask(self, path: str) -> tuple[tuple[Certificate, ...], str, bytes]:
        """The chain, the version, and what an anonymous GET is answered (if anything is)."""
        async with self._stream() as stream:
            tls = TlsStream(self._context, stream, self._port.sni)
            try:
                async with asyncio.timeout(_SECONDS):
                    await tls.handshake()
            except TimeoutError as error:
                raise _SilentError(SILENT) from error
            except (ssl.SSLError, ConnectionError) as error:
                raise _NotTlsError(_words(error)) from error
            chain = _read(tls.chain())
            try:
                async with asyncio.timeout(_SECONDS):
                    answer = await tls.ask(_get(path, self._port), _HEAD_BYTES)
            except (ssl.SSLError, TimeoutError, ConnectionError):
                # Whoever wants to see a client's certificate first hangs up: no answer is right.
                answer = b""
            return chain, tls.version(), answer

    async def _ask_plainly(self, path: str, limit: int) -> bytes:
        async with self._stream() as (reader, writer):
            writer.write(_get(path, self._port))
            answer = b""
            # When it takes too long or is cut off, what came until then is the answer.
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_SECONDS):
                    while len(answer) < limit and (chunk := await reader.read(limit)):
                        answer += chunk
            return answer

    async def _greet(self, version: int, ciphers: Iterable[int]) -> ServerFlight:
        """Greet by hand and see what is chosen; nothing if the server hangs up."""
        received = b""
        async with self._stream() as (reader, writer):
            writer.write(client_hello(version, ciphers, self._port.sni))
            # When it takes too long or is cut off, what came until then is the answer.
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_SECONDS):
                    while chunk := await reader.read(_FLIGHT_BYTES):
                        received += chunk
                        if read_flight(received).is_complete or len(received) > _FLIGHT_BYTES:
                            break
        return read_flight(received)

    async def _with_offers(self, seen: Presented, agreed: str) -> Presented:
        """The same with every version and weak cipher that is taken beside what was agreed on."""
        old, weak = await asyncio.gather(self._greet(TLS_1_1, COMMON), self._greet(TLS_1_2, WEAK))
        return msgspec.structs.replace(
            seen,
            versions=await self._versions(agreed, old, weak),
            weak_ciphers=await self._ciphers(weak),
        )

    async def _versions(
        self, agreed: str, old: ServerFlight, weak: ServerFlight
    ) -> tuple[str, ...]:
        found = {agreed}
        if VERSIONS.get(weak.version) == "TLSv1.2" or weak.alert in _NO_CIPHER:
            found.add("TLSv1.2")
        if old.version in VERSIONS:
            found.add(VERSIONS[old.version])
            if old.version == TLS_1_1:
                older = await self._greet(TLS_1_1 - 1, COMMON)
                found |= {VERSIONS[older.version]} if older.version in VERSIONS else set()
        return tuple(sorted(found - {""}))

    async def _ciphers(self, first: ServerFlight) -> tuple[str, ...]:
        """Every weak cipher that is taken: the one that was chosen is left out, time after time."""
        found: list[int] = []
        flight = first
        while flight.cipher in WEAK and flight.cipher not in found:
            found.append(flight.cipher)
            flight = await self._greet(TLS_1_2, [each for each in WEAK if each not in found])
        return tuple(sorted(f"TLS_{WEAK[each]}" for each in found))

    @asynccontextmanager
    async def _stream(self) -> AsyncGenerator[Stream]:
        async with asyncio.timeout(_SECONDS):
            stream = await self._dial(self._port.address, self._port.port)
        try:
            yield stream
        finally:
            stream[1].close()


def _get(path: str, port: Port) -> bytes:
    host = port.sni or port.place
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: shipkeeper\r\n"
        "Accept: application/json, */*\r\nConnection: close\r\n\r\n"
    ).encode()


def _read(chain: Iterable[bytes]) -> tuple[Certificate, ...]:
    try:
        return parse_chain(chain)
    except UnreadableError:
        # The judge says that what it presents cannot be read.
        return ()


def _statuses(answers: dict[str, bytes]) -> dict[str, int]:
    found = {path: _status(answer) for path, answer in answers.items()}
    return {path: status for path, status in found.items() if status}


def _status(answer: bytes) -> int:
    """The status of an HTTP answer, 0 if it is none."""
    words = answer.split(b" ", 2)
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit()
    return int(words[1]) if is_http else 0


def _skew(answer: bytes) -> float | None:
    """How many seconds the other clock is ahead, by the Date of its answer."""
    head, _, _ = answer.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"date":
            try:
                said: datetime = parsedate_to_datetime(value.strip().decode("ascii", "replace"))
            except ValueError:
                return None
            return said.timestamp() - time.time()
    return None


def _words(error: Exception) -> str:
    match error:
        case ssl.SSLError():
            return (error.reason or str(error)).lower().replace("_", " ")
        case TimeoutError():
            return SILENT
        case OSError(strerror=str(words)):
            return words.lower()
        case _:
            return str(error) or type(error).__name__
