"""How hosts are logged in to over SSH: the same flags wherever that is done."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from shipkeeper.nodes.options import SshAccess


@dataclass(frozen=True, kw_only=True)
class LoginFlags:
    """Whom to log in as, by which key, through whom; host keys are always checked."""

    ssh_user: Annotated[str, Parameter(help="Whom to log in as.")] = ""
    ssh_port: Annotated[int, Parameter(help="The port of sshd.", validator=Number(gte=1))] = 22
    ssh_key: Annotated[tuple[str, ...], Parameter(help="A private key's file.")] = ()
    ssh_jump: Annotated[str, Parameter(help="The host to go through: user@host:port.")] = ""
    ssh_known_hosts: Annotated[
        str, Parameter(help="The file that host keys are checked against.")
    ] = "~/.ssh/known_hosts"
    sudo: Annotated[bool, Parameter(help="Become root on the host with sudo.")] = False


@dataclass(frozen=True, kw_only=True)
class SshFlags(LoginFlags):
    """How the hosts of nodes are logged in to."""

    ssh_address: Annotated[
        Literal["internal", "external", "hostname", "name"],
        Parameter(help="Which address of a node is logged in to."),
    ] = "internal"

    def ssh_access(self) -> SshAccess:
        """The way to the hosts of nodes."""
        return SshAccess(
            user=self.ssh_user,
            port=self.ssh_port,
            identities=self.ssh_key,
            jump=self.ssh_jump,
            known_hosts=self.ssh_known_hosts,
            sudo=self.sudo,
            address=self.ssh_address,
        )
