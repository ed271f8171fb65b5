"""A repository with its keys, and connections to both ends of the version range."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.kube.connection import Connection, connect
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.store.keys import new_reader_key, new_writer_key
from shipkeeper.store.location import open_location
from shipkeeper.store.repository import Repository
from tests.nodes.world import options_of


@pytest.fixture
async def repository(tmp_path: Path) -> Repository:
    """An empty repository in a folder, opened with both keys."""
    blobs = open_location(str(tmp_path / "repository"))
    writer, reader = new_writer_key(), new_reader_key()
    await Repository.create(blobs, writer, [reader.recipient])
    return await Repository.open(blobs, writer=writer, reader=reader)


@pytest.fixture
async def new(newest: Sandbox) -> AsyncIterator[Connection]:
    """The newest control plane."""
    async with connect(options_of(newest)) as connection:
        yield connection


@pytest.fixture
async def old(oldest: Sandbox) -> AsyncIterator[Connection]:
    """The oldest control plane."""
    async with connect(options_of(oldest)) as connection:
        yield connection
