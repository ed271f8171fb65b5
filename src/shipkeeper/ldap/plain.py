"""What is said before TLS: nothing, or that it shall begin."""

import asyncio
import socket

from shipkeeper.ldap import ber, messages
from shipkeeper.ldap.errors import LdapResultError

# An answer to StartTLS has some twenty bytes, and perhaps a sentence.
_LARGEST = 4096


async def connect_plainly(host: str, port: int) -> socket.socket:
    """A connected socket to the first of a host's addresses that answers; OSError if none does."""
    loop = asyncio.get_running_loop()
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        plain = socket.socket(family, kind, protocol)
        plain.setblocking(False)
        try:
            await loop.sock_connect(plain, address)
        except OSError as error:
            plain.close()
            failure = error
        except BaseException:
            plain.close()
            raise
        else:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain
    raise failure


async def start_tls(plain: socket.socket, server: str) -> None:
    """Have a server await TLS; LdapResultError if it will not.

    Its answer is read to the byte: what somebody put behind it in clear falls to the handshake,
    which it breaks, and is never taken for an answer.
    """
    await asyncio.get_running_loop().sock_sendall(plain, messages.start_tls_request(1))
    start = await _exactly(plain, 2)
    if (found := ber.head(start)) is None:
        start += await _exactly(plain, start[1] & 0x7F)
        found = ber.head(start)
    if found is None or found[0] != ber.SEQUENCE or found[2] > _LARGEST:
        raise ber.BerError("no answer to StartTLS")
    message = messages.read_message(await _exactly(plain, found[2] - found[1]))
    result = messages.read_result(message)
    if message.id != 1 or message.tag != messages.EXTENDED_DONE:
        raise ber.BerError("no answer to StartTLS")
    if result.code != messages.SUCCESS:
        raise LdapResultError(server, "speak TLS", result.code, result.message)


async def _exactly(plain: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await asyncio.get_running_loop().sock_recv(plain, count - len(data))
        if not more:
            raise EOFError("it broke the connection off")
        data += more
    return data
