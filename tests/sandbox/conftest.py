"""Control planes for the tests of the sandbox itself, in a state directory of their own."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from shipkeeper.sandbox import Sandbox
from shipkeeper.sandbox.assets import NEWEST, OLDEST
from tests.sandbox.corner import Corner, corner_of

from .client import Kubectl


@pytest.fixture(scope="session")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def own_state(state_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sandboxes are looked for where these tests make them, and nowhere else."""
    monkeypatch.setenv("XDG_STATE_HOME", str(state_home))


@pytest.fixture(scope="package")
def control_planes(state_home: Path) -> Iterator[Callable[[str], Sandbox]]:
    """Sandboxes by version, each brought up when it is first asked for.

    Their components are stopped and their nodes are not real: other tests have others.
    """
    running: dict[str, Sandbox] = {}

    def of_version(version: str) -> Sandbox:
        if version not in running:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("XDG_STATE_HOME", str(state_home))
                name = f"shared-{version.replace('.', '-')}"
                running[version] = Sandbox.up(name, version, print)
        return running[version]

    yield of_version
    for sandbox in running.values():
        sandbox.down()


@pytest.fixture(params=[OLDEST, NEWEST])
def control_plane(
    request: pytest.FixtureRequest, control_planes: Callable[[str], Sandbox]
) -> Sandbox:
    """A running control plane at either end of the version range."""
    return control_planes(request.param)


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path)


@pytest.fixture
async def corner(sandbox: Sandbox) -> AsyncIterator[Corner]:
    """Room for hollow nodes and pods of one test, at both ends of the version range in turn."""
    async with corner_of(sandbox) as found:
        yield found
