"""The way to the hosts of nodes for as long as something needs them, over SSH or through pods."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from shipkeeper.hosts.handshakes import Handshakes
from shipkeeper.hosts.host import Host
from shipkeeper.hosts.ssh import SshHost
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.model.node import Node
from shipkeeper.nodes.options import PodAccess, SshAccess
from shipkeeper.nodes.pod_host import PodHost, remove_pods
from shipkeeper.nodes.work import address_of, login_of


class NodeHosts:
    """Hosts by their nodes; each is connected to when it is used."""

    def __init__(self, connection: Connection, run: str, access: SshAccess | PodAccess) -> None:
        self._reader = Reader(connection)
        self._writer = Writer(connection)
        self._run = run
        self._access = access
        self._handshakes = Handshakes()
        self._entered = False

    def of(self, node: Node) -> Host:
        """The host of a node."""
        if isinstance(self._access, SshAccess):
            address = address_of(node, self._access.address)
            return SshHost(address, login_of(self._access), self._handshakes)
        self._entered = True
        return PodHost(self._reader, self._writer, node.name, self._run, self._access)

    async def clear_away(self) -> None:
        """Remove the pods that were made."""
        if self._entered and isinstance(self._access, PodAccess):
            await remove_pods(self._reader, self._writer, self._run, self._access)


@asynccontextmanager
async def open_hosts(
    connection: Connection, access: SshAccess | PodAccess
) -> AsyncGenerator[NodeHosts]:
    """Hosts for as long as the context lasts; nothing of ours is left there after it."""
    hosts = NodeHosts(connection, f"files-{secrets.token_hex(4)}", access)
    try:
        yield hosts
    finally:
        await hosts.clear_away()
