"""SSH to a host: host keys always checked, every failure with a name of its own."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from shipkeeper.hosts.handshakes import Handshakes
from shipkeeper.hosts.options import Login, SshOptions

if TYPE_CHECKING:
    import asyncssh

    from shipkeeper.hosts.ssh_session import SshSession

# A host that does not listen any more must not keep us from leaving.
_CLOSE_SECONDS = 5.0


class SshHost:
    """A host behind sshd; share one `Handshakes` among all the hosts of a run."""

    def __init__(
        self, address: str, options: SshOptions, handshakes: Handshakes | None = None
    ) -> None:
        self.login = options.login(address)
        self._options = options
        self._handshakes = handshakes or Handshakes()

    @property
    def name(self) -> str:
        """Its address."""
        return self.login.address

    @asynccontextmanager
    async def session(self) -> "AsyncGenerator[SshSession]":
        """Log in, by way of the jump host if there is one; each way to fail is a HostError."""
        # asyncssh takes a while to import, which only those wait for who use it.
        from shipkeeper.hosts.ssh_session import SshSession

        async with AsyncExitStack() as stack:
            tunnel = None
            if self._options.jump:
                tunnel = await self._open(stack, Login.parse(self._options.jump), None)
            connection = await self._open(stack, self.login, tunnel)
            shell = "sudo -n -H sh" if self._options.sudo else "sh"
            yield SshSession(self.name, connection, shell)

    async def _open(
        self,
        stack: AsyncExitStack,
        login: Login,
        tunnel: "asyncssh.SSHClientConnection | None",
    ) -> "asyncssh.SSHClientConnection":
        from shipkeeper.hosts.ssh_connect import log_in

        connection = await log_in(login, self._options, self._handshakes, tunnel)
        stack.push_async_callback(_close, connection)
        return connection


async def _close(connection: "asyncssh.SSHClientConnection") -> None:
    connection.close()
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()
