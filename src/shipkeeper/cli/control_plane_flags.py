"""Flags of whatever works on control-plane hosts that no API server can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from shipkeeper.cli.ssh_flags import LoginFlags
from shipkeeper.errors import UsageError

if TYPE_CHECKING:
    from shipkeeper.hosts.handshakes import Handshakes
    from shipkeeper.hosts.options import Login
    from shipkeeper.hosts.ssh import SshHost

_HOSTS = Group("Hosts", sort_key=1)


@Parameter(name="*", group=_HOSTS)
@dataclass(frozen=True, kw_only=True)
class ControlPlaneFlags(LoginFlags):
    """Which hosts, and how they are logged in to."""

    host: Annotated[
        tuple[str, ...], Parameter(help="A control-plane host, as user@host:port; name each.")
    ] = ()

    def hosts(self) -> "dict[str, SshHost]":
        """The hosts by their addresses; UsageError if none is named, or one twice."""
        found = {host.name: host for host in self.in_turn()}
        if not found:
            raise UsageError(
                "no control-plane host is named",
                reason="NoHost",
                hint="name each with --host root@10.0.0.1: no API server can be asked for them",
            )
        if len(found) < len(self.host):
            raise UsageError(
                "two of the hosts have the same address",
                reason="SameHost",
                hint="name each control-plane host once with --host",
            )
        return found

    def in_turn(self) -> "list[SshHost]":
        """The hosts in the order in which they are named."""
        # Here and not above: most commands with these flags are given none.
        from shipkeeper.hosts.handshakes import Handshakes
        from shipkeeper.hosts.options import Login

        handshakes = Handshakes()
        logins = [Login.parse(each, self.ssh_user, self.ssh_port) for each in self.host]
        return [self._host(login, handshakes) for login in logins]

    def _host(self, login: "Login", handshakes: "Handshakes") -> "SshHost":
        from shipkeeper.hosts.options import SshOptions
        from shipkeeper.hosts.ssh import SshHost

        options = SshOptions(
            user=login.user,
            port=login.port,
            identities=tuple(map(Path, self.ssh_key)),
            jump=self.ssh_jump,
            known_hosts=Path(self.ssh_known_hosts),
            sudo=self.sudo,
        )
        return SshHost(login.address, options, handshakes)


NOWHERE = ControlPlaneFlags()
