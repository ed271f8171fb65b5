"""Every backend in turn."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from shipkeeper.store.blobs import Blobs
from shipkeeper.store.location import open_location
from tests.store import s3


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server; where none can be built the test is skipped, but in CI it fails."""
    with s3.offered(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture(params=["memory", "folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """An empty place on each backend."""
    match request.param:
        case "memory":
            return open_location("memory://")
        case "folder":
            return open_location(str(tmp_path / "repository"))
        case _:
            endpoint = request.getfixturevalue("s3_endpoint")
            return open_location(f"s3://{s3.BUCKET}/{uuid4().hex}", endpoint=endpoint)
