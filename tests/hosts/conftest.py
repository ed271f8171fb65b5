"""A host for the tests of this directory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.hosts.field import Field
from tests.hosts.sshd import SshServer


@pytest.fixture
async def server() -> AsyncIterator[SshServer]:
    """A real sshd, new for each test."""
    async with SshServer() as server:
        yield server


@pytest.fixture
def field(server: SshServer, tmp_path: Path) -> Field:
    """The same, with a place for marks and a local directory."""
    return Field(server, tmp_path / "local")
