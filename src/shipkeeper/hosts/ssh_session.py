"""An open SSH connection, on which shell programs are run."""

import asyncio
from collections.abc import Callable

import asyncssh

from shipkeeper.hosts.errors import ConnectionLostError
from shipkeeper.hosts.host import Answer

_CHUNK_BYTES = 65536


class SshSession:
    """Runs each program in a channel of its own."""

    def __init__(self, name: str, connection: asyncssh.SSHClientConnection, shell: str) -> None:
        self._name = name
        self._connection = connection
        self._shell = shell

    async def execute(self, program: str, output: Callable[[bytes], None]) -> Answer:
        """Feed `program` to the host's shell; nothing of it shows in the host's process list."""
        try:
            process = await self._connection.create_process(self._shell, encoding=None)
            try:
                return await _converse(process, program.encode("utf-8", "surrogateescape"), output)
            finally:
                process.close()
        except (asyncssh.Error, OSError) as error:
            raise ConnectionLostError(
                f"the connection to {self._name} is gone: {error or type(error).__name__}",
                reason="ConnectionLost",
                hint="what was started there goes on; run the same command again to follow it",
            ) from error


async def _converse(
    process: asyncssh.SSHClientProcess[bytes], program: bytes, output: Callable[[bytes], None]
) -> Answer:
    async def pass_on() -> None:
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            output(chunk)

    process.stdin.write(program)
    process.stdin.write_eof()
    _, errors = await asyncio.gather(pass_on(), process.stderr.read())
    await process.wait_closed()
    if process.exit_status is None:
        raise ConnectionResetError("it ended before the command did")
    return Answer(exit_code=process.exit_status, errors=errors.decode("utf-8", "replace"))
