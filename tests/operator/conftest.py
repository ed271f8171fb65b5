from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shipkeeper.kube.connection import connect
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World, options_of
from tests.operator.deckhand import Deckhand
from tests.operator.harbour import Harbour
from tests.operator.vault import Vault
from tests.store import s3


@pytest.fixture
async def world(newest: Sandbox, tmp_path: Path) -> AsyncIterator[World]:
    """A corner of a real cluster of the newest version."""
    async with (
        connect(options_of(newest)) as connection,
        World(newest, connection, tmp_path) as found,
    ):
        yield found


@pytest.fixture
async def harbour(world: World, tmp_path: Path) -> AsyncIterator[Harbour]:
    """The operator's manifests in that cluster; replicas end with the test."""
    found = Harbour(world.sandbox, world.connection, tmp_path)
    await found.set_up()
    yield found
    await found.clear()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server; where none can be built the test is skipped, but in CI it fails."""
    with s3.offered(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture
async def vault(harbour: Harbour, tmp_path: Path) -> AsyncIterator[Vault]:
    """A repository that the operator may back everything up to; the permission ends with it."""
    await harbour.set_up(allowed=("backups",))
    found = await Vault(harbour, tmp_path).build()
    yield found
    await found.forbid()


@pytest.fixture
def deckhand(harbour: Harbour) -> Iterator[Deckhand]:
    """Runs what Jobs would run; what it started ends with the test."""
    found = Deckhand(harbour)
    yield found
    found.end_all()
