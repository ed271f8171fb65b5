"""One login: keys, agent, known hosts, and a HostError for each way to fail."""

import asyncio
from typing import Any

import asyncssh

from shipkeeper.hosts.errors import HostError, IdentityError
from shipkeeper.hosts.handshakes import Handshakes, TurnedAwayError
from shipkeeper.hosts.known import KnownHosts
from shipkeeper.hosts.options import Login, SshOptions
from shipkeeper.hosts.ssh_errors import explain

_KEEPALIVES_MISSED = 3


class _Client(asyncssh.SSHClient):
    """Trusts no key that known_hosts does not, and remembers what it was shown."""

    offered = "none"

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.offered = key.get_fingerprint()
        return False


async def log_in(
    login: Login,
    options: SshOptions,
    handshakes: Handshakes,
    tunnel: asyncssh.SSHClientConnection | None,
) -> asyncssh.SSHClientConnection:
    """Connect to a host, through `tunnel` if there is one."""
    known = KnownHosts(options.known_hosts)
    client = _Client()
    settings = _settings(login, options, known)
    try:
        return await handshakes.shake(
            lambda: _connect(client, login, options.connect_timeout, tunnel, settings)
        )
    except HostError:
        raise
    except Exception as error:
        raise explain(error, login, options, known, client.offered) from error


async def _connect(
    client: _Client,
    login: Login,
    timeout: float,
    tunnel: asyncssh.SSHClientConnection | None,
    settings: dict[str, Any],
) -> asyncssh.SSHClientConnection:
    try:
        async with asyncio.timeout(timeout):
            connection, _ = await asyncssh.create_connection(
                lambda: client, login.address, login.port, tunnel=tunnel or (), **settings
            )
    except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError) as error:
        raise TurnedAwayError from error
    return connection


def _settings(login: Login, options: SshOptions, known: KnownHosts) -> dict[str, Any]:
    """What asyncssh is told; no configuration file can weaken it, no passphrase is asked for."""
    missing = [path for path in options.identities if not path.expanduser().is_file()]
    if missing:
        raise IdentityError(
            f"there is no key file {missing[0]}",
            reason="IdentityUnreadable",
            hint="name the private key file, or load the key into the agent",
        )
    settings: dict[str, Any] = {
        "config": None,
        "known_hosts": known.keys,
        "server_host_key_algs": known.algorithms(login),
        "preferred_auth": "publickey",
        "keepalive_interval": options.keepalive,
        "keepalive_count_max": _KEEPALIVES_MISSED,
        "agent_path": () if options.use_agent else None,
    }
    if options.identities:
        settings["client_keys"] = [str(path.expanduser()) for path in options.identities]
    if login.user:
        settings["username"] = login.user
    return settings
