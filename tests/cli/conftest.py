from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.kube.connection import connect
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World, options_of


@pytest.fixture
async def world(newest: Sandbox, tmp_path: Path) -> AsyncIterator[World]:
    """A corner of a real cluster of the newest version."""
    async with (
        connect(options_of(newest)) as connection,
        World(newest, connection, tmp_path) as found,
    ):
        yield found
