"""The engines of a node come the same ways as those of a control plane, and are kept apart."""

from pathlib import Path

import pytest

from shipkeeper.sandbox.assets import NEWEST, NODE, OLDEST, find_assets
from shipkeeper.sandbox.assets.engines import NotServedError, require_version
from shipkeeper.sandbox.assets.installed import named
from shipkeeper.sandbox.assets.store import cached, prepare
from shipkeeper.sandbox.assets.workshop import Workshop

from .scenery import make_engines, write_script


def make_node(directory: Path, version: str = NEWEST) -> Path:
    """Write three scripts that report versions, each in its own way, as the real ones do."""
    directory.mkdir(parents=True, exist_ok=True)
    write_script(directory / "kubelet", f"echo 'Kubernetes {version}'")
    write_script(directory / "kubeadm", f'[ "$*" = "version -o=short" ] && echo {version}')
    answer = f'{{\\n  "clientVersion": {{\\n    "gitVersion": "{version}"\\n  }}\\n}}'
    asked = '[ "$*" = "version --client -o=json" ]'
    write_script(directory / "kubectl", f"{asked} && printf '{answer}'")
    return directory


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_both_ends_of_the_range_can_be_had(version: str, said: list[str]) -> None:
    assets = find_assets(version, said.append, NODE)
    require_version(assets.directory, version, NODE)
    assert find_assets(version, said.append, NODE).source == "cache"


def test_a_named_directory_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIPKEEPER_ASSETS", str(make_node(tmp_path / "mine")))
    assert named(NEWEST, NODE).directory == tmp_path / "mine"


@pytest.mark.parametrize("engine", NODE.names)
def test_an_engine_of_another_version_is_named(engine: str, tmp_path: Path) -> None:
    mine, other = make_node(tmp_path / "mine"), make_node(tmp_path / "other", "v1.37.1")
    (other / engine).replace(mine / engine)
    with pytest.raises(NotServedError, match=rf"{engine} is v1\.37\.1"):
        require_version(mine, NEWEST, NODE)


def test_both_kits_of_a_version_are_cached_apart(engines_dir: Path, said: list[str]) -> None:
    def fill_node(workshop: Workshop) -> None:
        make_node(workshop.directory)

    def fill_control_plane(workshop: Workshop) -> None:
        make_engines(workshop.directory)

    prepare(NEWEST, "go", fill_node, said.append, NODE)
    with pytest.raises(NotServedError, match="holds no engines"):
        cached(NEWEST)
    prepare(NEWEST, "go", fill_control_plane, said.append)
    assert cached(NEWEST).directory == engines_dir / NEWEST
    assert {path.name for path in cached(NEWEST, NODE).directory.iterdir()} == {
        *NODE.names,
        "manifest.json",
    }
