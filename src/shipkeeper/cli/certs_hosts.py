"""Flags of the commands that change certificates on hosts: which hosts, and how to get there."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from cyclopts import Group, Parameter

from shipkeeper.cli.flags import Cluster
from shipkeeper.cli.ssh_flags import SshFlags
from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.hosts.handshakes import Handshakes
from shipkeeper.hosts.host import Host
from shipkeeper.hosts.options import Login
from shipkeeper.hosts.ssh import SshHost
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.model.node import Node
from shipkeeper.nodes.work import address_of, login_of

# Seconds: an API server that a run has stopped does not answer at all.
_ANSWERS_WITHIN = 20


@Parameter(name="*", group=Group("Hosts", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class ControlPlaneFlags(SshFlags):
    """The control plane's hosts: those named, else those that the API server tells of."""

    host: Annotated[
        tuple[str, ...],
        Parameter(
            help="A control-plane host ([user@]host[:port]); name each. For when no API server "
            "can be asked for them."
        ),
    ] = ()

    async def hosts(self, cluster: Cluster) -> dict[str, Host]:
        """The control plane's hosts by their addresses; UsageError if they cannot be known."""
        if self.host:
            handshakes = Handshakes()
            logins = [Login.parse(each) for each in self.host]
            return {login.address: self._named(login, handshakes) for login in logins}
        nodes = [each for each in await nodes_of(cluster) if each.is_control_plane]
        if not nodes:
            raise UsageError(
                "no Node is one of the control plane",
                reason="NoHost",
                hint="name each of its hosts with --host root@10.0.0.1",
            )
        return self.of(nodes)

    def of(self, nodes: list[Node]) -> dict[str, Host]:
        """The hosts of nodes by their addresses."""
        address = self.ssh_access().address
        return self.at(address_of(node, address) for node in nodes)

    def at(self, addresses: Iterable[str]) -> dict[str, Host]:
        """The hosts by their addresses, which are known."""
        handshakes, login = Handshakes(), login_of(self.ssh_access())
        return {each: SshHost(each, login, handshakes) for each in addresses}

    def _named(self, login: Login, handshakes: Handshakes) -> Host:
        options = login_of(self.ssh_access())
        if login.user:
            options = msgspec.structs.replace(options, user=login.user)
        if login.port != 22:
            options = msgspec.structs.replace(options, port=login.port)
        return SshHost(login.address, options, handshakes)


# As the API server and SSH's own files say.
BY_NODES = ControlPlaneFlags()


@Parameter(name="*", group=Group("Hosts", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class NodeHostFlags(SshFlags):
    """The hosts of all nodes, as the API server tells of them."""

    async def sites(self, connection: Connection) -> dict[str, Host]:
        """The hosts by the names of their Nodes."""
        nodes = (await Reader(connection).list(NODES)).items
        address = self.ssh_access().address
        return self.at({node.name: address_of(node, address) for node in nodes})

    def at(self, addresses: Mapping[str, str]) -> dict[str, Host]:
        """The hosts by the names of their Nodes, whose addresses are known."""
        handshakes, login = Handshakes(), login_of(self.ssh_access())
        return {node: SshHost(each, login, handshakes) for node, each in addresses.items()}


# As SSH's own files say.
SSH_TO_ALL = NodeHostFlags()


async def of_same_cluster(
    known: Mapping[str, Host], asked: Awaitable[Mapping[str, Host]]
) -> Mapping[str, Host]:
    """The hosts that are known of a run, unless others are found where it was run.

    What answers at the same URL may be another cluster by now: one of its hosts at least must be
    among those that are `asked` for, if anybody answers.
    """
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            found = await asked
    except (ShipkeeperError, TimeoutError):
        return known
    if not known.keys() & found.keys():
        return found
    return {each: found.get(each, known[each]) for each in known}


async def nodes_of(cluster: Cluster) -> list[Node]:
    """The cluster's nodes; UsageError if nobody can be asked for them."""
    try:
        async with connect(cluster.options()) as connection:
            return (await Reader(connection).list(NODES)).items
    except ShipkeeperError as error:
        raise UsageError(
            f"the hosts cannot be asked for: {error.message}",
            reason="NoHost",
            hint="name each host of the control plane with --host root@10.0.0.1",
        ) from error
