"""Which hosts are looked at beside the API, and how they are logged in to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Group, Parameter

from shipkeeper.cli.ssh_flags import SshFlags
from shipkeeper.hosts.handshakes import Handshakes
from shipkeeper.hosts.host import Host
from shipkeeper.hosts.options import Login, SshOptions
from shipkeeper.hosts.ssh import SshHost
from shipkeeper.model.node import Node
from shipkeeper.nodes.work import address_of

HOSTS = Group("Hosts", sort_key=1)


@Parameter(name="*", group=HOSTS)
@dataclass(frozen=True, kw_only=True)
class HostFlags(SshFlags):
    """Hosts to look at: those of all nodes, or some by name."""

    ssh: Annotated[bool, Parameter(help="Look at the hosts of all nodes over SSH, too.")] = False
    host: Annotated[
        tuple[str, ...], Parameter(help="Look at this host, too ([user@]host[:port]).")
    ] = ()

    def named(self) -> tuple[Host, ...]:
        """The hosts that are named."""
        return tuple(map(self._host, self.host))

    def host_of(self) -> Callable[[Node], Host]:
        """The way from nodes to their hosts."""
        handshakes = Handshakes()

        def host_of(node: Node) -> Host:
            address = address_of(node, self.ssh_address)
            return SshHost(address, self._options(), handshakes)

        return host_of

    def _host(self, text: str) -> Host:
        login = Login.parse(text)
        options = self._options()
        if login.user:
            options = msgspec.structs.replace(options, user=login.user)
        if login.port != 22:
            options = msgspec.structs.replace(options, port=login.port)
        return SshHost(login.address, options)

    def _options(self) -> SshOptions:
        return SshOptions(
            user=self.ssh_user,
            port=self.ssh_port,
            identities=tuple(map(Path, self.ssh_key)),
            jump=self.ssh_jump,
            known_hosts=Path(self.ssh_known_hosts),
            sudo=self.sudo,
        )


NO_HOST = HostFlags()
