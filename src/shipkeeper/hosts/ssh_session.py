"""An open SSH connection, on which shell programs are run."""

import asyncio
import shlex
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncssh

from shipkeeper.hosts.errors import ConnectionLostError
from shipkeeper.hosts.host import Answer, Feed, Stream, Take

_CHUNK_BYTES = 65536


class SshSession:
    """Runs each program in a channel of its own."""

    def __init__(self, name: str, connection: asyncssh.SSHClientConnection, shell: str) -> None:
        self._name = name
        self._connection = connection
        self._shell = shell

    async def execute(self, program: str, output: Callable[[bytes], None]) -> Answer:
        """Feed `program` to the host's shell; nothing of it shows in the host's process list."""

        async def pass_on(chunk: bytes) -> None:
            output(chunk)

        async def write(stdin: asyncssh.SSHWriter[bytes]) -> None:
            stdin.write(program.encode("utf-8", "surrogateescape"))
            stdin.write_eof()

        return await self._run(f"{self._shell} -s", write, pass_on)

    async def stream(self, program: str, output: Take, feed: Feed | None = None) -> Answer:
        """Run `program` with any amount of input and output."""

        async def write(stdin: asyncssh.SSHWriter[bytes]) -> None:
            # A program that has ended before it read everything says why by its exit code.
            with suppress(BrokenPipeError, ConnectionResetError):
                if feed is not None:
                    async for chunk in feed.chunks:
                        stdin.write(chunk)
                        await stdin.drain()
                stdin.write_eof()

        return await self._run(f"{self._shell} -c {shlex.quote(program)}", write, output)

    @asynccontextmanager
    async def forwarded(self, port: int) -> AsyncGenerator[int]:
        """A port of this machine's loopback that leads to one of the host's, while it lasts."""
        try:
            listener = await self._connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", port)
        except (asyncssh.Error, OSError) as error:
            raise self._lost(error) from error
        try:
            yield listener.get_port()
        finally:
            listener.close()
            await listener.wait_closed()

    async def dial(self, address: str, port: int) -> Stream:
        """Connect from the host to an address and port; OSError if that cannot be."""
        try:
            # Its types say nothing of what `encoding=None` makes it: a stream of bytes.
            connection: Any = self._connection
            return await connection.open_connection(address, port, encoding=None)
        except asyncssh.ChannelOpenError as error:
            raise ConnectionRefusedError(f"{self._name} cannot connect: {error.reason}") from error
        except asyncssh.Error as error:
            raise ConnectionResetError(f"no way through {self._name}: {error.reason}") from error

    async def _run(self, command: str, write: "_Write", output: Take) -> Answer:
        try:
            process = await self._connection.create_process(command, encoding=None)
            try:
                return await _converse(process, write, output)
            finally:
                process.close()
        except (asyncssh.Error, OSError) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> ConnectionLostError:
        return ConnectionLostError(
            f"the connection to {self._name} is gone: {error or type(error).__name__}",
            reason="ConnectionLost",
            hint="what was started there goes on; run the same command again to follow it",
        )


_Write = Callable[["asyncssh.SSHWriter[bytes]"], Awaitable[None]]


async def _converse(
    process: asyncssh.SSHClientProcess[bytes], write: _Write, output: Take
) -> Answer:
    async def pass_on() -> None:
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            await output(chunk)

    writing = asyncio.ensure_future(write(process.stdin))
    reading = asyncio.gather(pass_on(), process.stderr.read())
    try:
        await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()  # An input that cannot be made ends the program, too.
        _, errors = await reading
    finally:
        writing.cancel()
        reading.cancel()
        await asyncio.gather(writing, reading, return_exceptions=True)
    await process.wait_closed()
    if process.exit_status is None:
        raise ConnectionResetError("it ended before the command did")
    return Answer(exit_code=process.exit_status, errors=errors.decode("utf-8", "replace"))
