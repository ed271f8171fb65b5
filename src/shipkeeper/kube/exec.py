"""Running a command in a container, over the WebSocket that the API server passes on to its node.

The protocol is v4.channel.k8s.io, which API servers and nodes of every version speak: each message
begins with the number of its channel. It cannot say that the input has ended (v5 can, but only from
1.30 on), so the command itself must know how much of it to read.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import aiohttp
import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import Status
from shipkeeper.kube.resources import PODS
from shipkeeper.kube.transport import unreachable
from shipkeeper.model.base import KubeStruct

_PROTOCOL = "v4.channel.k8s.io"
_INPUT, _OUTPUT, _ERRORS, _END = range(4)
_CHUNK_BYTES = 32768


class ExecFailedError(ShipkeeperError):
    """The node could not run the command: no such container, none that runs, no such program."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """Where to run a command."""

    namespace: str
    pod: str
    name: str


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended, and what it printed to its standard error."""

    exit_code: int
    errors: bytes


class _End(KubeStruct, frozen=True, kw_only=True):
    """The Status of the last channel, `status` being Success or Failure."""

    status: str = ""


async def execute(
    connection: Requests,
    container: Container,
    command: Sequence[str],
    *,
    feed: bytes = b"",
    output: Callable[[bytes], None],
    inactivity: float,
) -> ExecResult:
    """Run a command, feed its input, and pass on what it prints until it ends.

    Raises ApiError if it may not be, ExecFailedError if it cannot be run, UnreachableError if the
    connection breaks or nothing came for `inactivity` seconds; then it may go on there.
    """

    async def pass_on(chunk: bytes) -> None:
        output(chunk)

    return await stream(
        connection, container, command, feed=_once(feed), output=pass_on, inactivity=inactivity
    )


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def stream(
    connection: Requests,
    container: Container,
    command: Sequence[str],
    *,
    feed: AsyncIterator[bytes],
    output: Callable[[bytes], Awaitable[None]],
    inactivity: float,
) -> ExecResult:
    """The same with an input that is made meanwhile, and an output that is waited for."""
    query = [("container", container.name)]
    query += [(name, "true") for name in ("stdin", "stdout", "stderr")]
    query += [("command", word) for word in command]
    path = PODS.path(container.namespace, container.pod, "exec")
    async with connection.websocket(path, query, _PROTOCOL) as socket:
        feeding = asyncio.create_task(_feed(socket, feed))
        listening = asyncio.create_task(_listen(socket, output, inactivity))
        try:
            await asyncio.wait({feeding, listening}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done() and not isinstance(feeding.exception(), OSError):
                feeding.result()  # An input that cannot be made ends the command, too.
            return await listening
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(connection.credentials.server, error) from error
        finally:
            feeding.cancel()
            listening.cancel()
            await asyncio.gather(feeding, listening, return_exceptions=True)


async def _feed(socket: aiohttp.ClientWebSocketResponse, feed: AsyncIterator[bytes]) -> None:
    async for chunk in feed:
        for start in range(0, len(chunk), _CHUNK_BYTES):
            await socket.send_bytes(bytes([_INPUT]) + chunk[start : start + _CHUNK_BYTES])


async def _listen(
    socket: aiohttp.ClientWebSocketResponse,
    output: Callable[[bytes], Awaitable[None]],
    inactivity: float,
) -> ExecResult:
    errors = b""
    while True:
        message = await socket.receive(inactivity)
        if message.type is not aiohttp.WSMsgType.BINARY:
            raise ConnectionResetError("the connection ended before the command did")
        data: bytes = message.data
        channel, content = data[:1], data[1:]
        if channel == bytes([_OUTPUT]):
            await output(content)
        elif channel == bytes([_ERRORS]):
            errors += content
        elif channel == bytes([_END]) and content:
            return ExecResult(exit_code=_exit_code(content), errors=errors)


def _exit_code(content: bytes) -> int:
    """The exit code in a Status; ExecFailedError if the command never ran (k8s.io/apimachinery)."""
    if msgspec.json.decode(content, type=_End).status == "Success":
        return 0
    status = msgspec.json.decode(content, type=Status)
    code = next((cause.message for cause in status.causes if cause.reason == "ExitCode"), "")
    if not code.isdecimal():
        raise ExecFailedError(
            f"the node cannot run a command in the container: {status.message}",
            reason="ExecFailed",
            hint="see its pod with: kubectl describe pod",
        )
    return int(code)
