"""TLS over any stream of bytes, trusting nothing: it is there to see what is presented."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from shipkeeper.hosts.host import Stream

_CHUNK = 16384
# OpenSSL's number of the encoding (Python before 3.13 gives chains by its inner object alone).
_DER = 2
# OpenSSL's number again (named in Python 3.12): servers that know no secure renegotiation.
_LEGACY_SERVER_CONNECT = 0x4


Dial = Callable[[str, int], Awaitable[Stream]]
"""Opens a stream to an address and port; OSError if that cannot be."""


async def dial_from_here(address: str, port: int) -> Stream:
    """Connect as this machine does."""
    return await asyncio.open_connection(address, port)


def lenient_context() -> ssl.SSLContext:
    """Takes every certificate, and every version and cipher that is left in OpenSSL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:!aNULL:@SECLEVEL=0")
    context.options |= _LEGACY_SERVER_CONNECT
    return context


class TlsStream:
    """TLS as a client, on a stream that somebody else opened."""

    def __init__(self, context: ssl.SSLContext, stream: Stream, name: str) -> None:
        self._reader, self._writer = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name or None)

    async def handshake(self) -> None:
        """Greet; ssl.SSLError if that fails, also where the other side hangs up."""
        await self._do(self._tls.do_handshake)

    async def ask(self, request: bytes, limit: int) -> bytes:
        """Send a request and read the answer, until its end or a limit of bytes."""
        self._tls.write(request)
        answer = b""
        while len(answer) < limit:
            chunk = await self._do(lambda: self._tls.read(_CHUNK))
            if not chunk:
                break
            answer += chunk
        return answer

    def version(self) -> str:
        """The version that was agreed upon, such as TLSv1.3."""
        found = self._tls.version() or ""
        return "TLSv1.0" if found == "TLSv1" else found

    def chain(self) -> tuple[bytes, ...]:
        """The certificates that were presented, as DER, in their order."""
        tls: Any = self._tls
        if hasattr(tls, "get_unverified_chain"):
            return tuple(tls.get_unverified_chain())
        return tuple(each.public_bytes(_DER) for each in tls._sslobj.get_unverified_chain() or ())

    async def _do(self, action: Callable[[], Any]) -> Any:
        while True:
            try:
                done = action()
            except ssl.SSLWantReadError:
                self._flush()
                chunk = await self._reader.read(_CHUNK)
                if chunk:
                    self._incoming.write(chunk)
                else:
                    self._incoming.write_eof()
            except ssl.SSLZeroReturnError:
                return b""
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._writer.write(self._outgoing.read())
