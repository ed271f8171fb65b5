"""A corner of a cluster whose nodes' host is one of the tests' own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.kube.connection import connect
from shipkeeper.sandbox.sandbox import Sandbox
from tests.backup.volumes.yard import Yard
from tests.hosts.sshd import SshServer
from tests.nodes.kubelet import Kubelet
from tests.nodes.world import World, options_of


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[SshServer]:
    """A real sshd that the tests of a module share; its disks need not outlive a power cut."""
    async with SshServer() as server:
        server.sync_nothing()
        yield server


@pytest.fixture
async def yard(newest: Sandbox, server: SshServer, tmp_path: Path) -> AsyncIterator[Yard]:
    """One node with its host, and a repository."""
    async with (
        connect(options_of(newest)) as connection,
        World(newest, connection, tmp_path) as world,
        Kubelet(server) as kubelet,
    ):
        (node,) = await world.add_nodes(1)
        await kubelet.given(world.writer, node)
        yield Yard(world, server, node, tmp_path)
