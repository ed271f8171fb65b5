"""A console over a real cluster of the newest version."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.kube.connection import connect
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World, options_of
from tests.web.served import Served, served


@pytest.fixture
async def world(newest: Sandbox, tmp_path: Path) -> AsyncIterator[World]:
    """A corner of a real cluster of the newest version."""
    async with (
        connect(options_of(newest)) as connection,
        World(newest, connection, tmp_path) as found,
    ):
        yield found


@pytest.fixture
async def console(newest: Sandbox, tmp_path: Path) -> AsyncIterator[Served]:
    """A console on loopback, as its administrator."""
    async with served(newest.kubeconfig, tmp_path / "state") as found:
        yield found
