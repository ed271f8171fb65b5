"""Real control planes for every test: one at each end of the supported version range."""

import os
import re
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


# First: what shares tests out looks at their groups in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Share the tests out: one file to one process, what shares the lab together, long ones first.

    Tests that kill at every point take minutes each, so each of them is shared out by itself.
    """
    items.sort(key=_begins_late)
    for item in items:
        file = item.nodeid.split("::", 1)[0]
        group = "lab" if _uses_lab(item) else item.nodeid if _kills(file) else file
        item.add_marker(pytest.mark.xdist_group(group))


def _begins_late(item: pytest.Item) -> tuple[bool, bool, bool]:
    file = item.nodeid.split("::", 1)[0]
    return not _uses_lab(item), not _kills(file), not file.startswith("tests/nodes/")


def _uses_lab(item: pytest.Item) -> bool:
    """Whether hosts are made for it: one lab at a time is enough for a small machine."""
    return "lab" in getattr(item, "fixturenames", ()) or "lab" in re.split(r"[/_.]", item.nodeid)


def _kills(file: str) -> bool:
    return "/test_killed" in file


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
