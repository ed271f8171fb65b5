"""Real control planes for every test: one at each end of the supported version range."""

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from shipkeeper.sandbox.assets.versions import NEWEST, OLDEST
from shipkeeper.sandbox.sandbox import Sandbox
from tests.running import begun, end

pytest_plugins = ["tests.lab", "tests.sharing"]

# The engines are Go's: a quarter of what a new API server works for is garbage collection.
os.environ.setdefault("GOGC", "400")

# No test depends on the clock: neither on how long an example takes nor on how long its making.
settings.register_profile("clockless", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clockless")


def _control_plane(name: str, version: str, purpose: str = "test") -> Iterator[Sandbox]:
    sandbox = Sandbox.up(
        f"{purpose}-{version.replace('.', '-')}-{os.getpid()}",
        version,
        lambda line: print(line, file=sys.stderr),  # noqa: T201
    )
    begun(name, sandbox)
    yield sandbox
    end(name)


@pytest.fixture(scope="session")
def newest() -> Iterator[Sandbox]:
    """A control plane of the newest supported version."""
    yield from _control_plane("newest", NEWEST)


@pytest.fixture(scope="session")
def oldest() -> Iterator[Sandbox]:
    """A control plane of the oldest supported version."""
    yield from _control_plane("oldest", OLDEST)


@pytest.fixture(scope="session")
def returning() -> Iterator[Sandbox]:
    """One for tests that take it back to an earlier moment, and everything in it along."""
    yield from _control_plane("returning", NEWEST, "past")


@pytest.fixture(scope="session")
def secluded() -> Iterator[Sandbox]:
    """One without nodes, for tests that are about everything in a cluster."""
    yield from _control_plane("secluded", NEWEST, "alone")


@pytest.fixture(scope="session", params=[OLDEST, NEWEST])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each of both in turn."""
    return request.getfixturevalue("newest" if request.param == NEWEST else "oldest")
