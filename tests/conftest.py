"""Real control planes for every test: one at each end of the supported version range."""

import os
import sys
from collections.abc import Iterator

import pytest

from shipkeeper.sandbox.assets.versions import NEWEST, OLDEST
from shipkeeper.sandbox.sandbox import Sandbox

pytest_plugins = ["tests.lab"]


def _control_plane(version: str) -> Iterator[Sandbox]:
    sandbox = Sandbox.up(
        f"test-{version.replace('.', '-')}-{os.getpid()}",
        version,
        lambda line: print(line, file=sys.stderr),  # noqa: T201
    )
    yield sandbox
    sandbox.down()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one file in one process, and all that share the lab in another."""
    for item in items:
        shares_lab = "lab" in getattr(item, "fixturenames", ())
        group = "lab" if shares_lab else item.nodeid.split("::", 1)[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def newest() -> Iterator[Sandbox]:
    """A control plane of the newest supported version."""
    yield from _control_plane(NEWEST)


@pytest.fixture(scope="session")
def oldest() -> Iterator[Sandbox]:
    """A control plane of the oldest supported version."""
    yield from _control_plane(OLDEST)


@pytest.fixture(scope="session", params=[OLDEST, NEWEST])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each of both in turn."""
    return request.getfixturevalue("newest" if request.param == NEWEST else "oldest")
