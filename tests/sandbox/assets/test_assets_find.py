"""All ways in their order, and the engines that this machine really has."""

import subprocess
import sys
from pathlib import Path

import pytest

from shipkeeper.sandbox.assets import NEWEST, OLDEST, AssetsError, find_assets
from shipkeeper.sandbox.assets.store import prepare, read_manifest

from .scenery import GoProxy, Mirror, architecture, make_engines


@pytest.fixture
def bare(no_mirror: None, engines_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with nothing: no engines, no cache, no release hosts, no Go, no apt."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("shipkeeper.sandbox.assets.golang._USUAL_PLACE", "/nowhere")


@pytest.mark.parametrize(
    ("version", "sources"),
    [(NEWEST, {"download", "go"}), (OLDEST, {"download", "debian"})],
)
def test_both_ends_of_the_range_can_be_had(
    version: str, sources: set[str], said: list[str]
) -> None:
    assets = find_assets(version, said.append)
    assert assets.kubernetes_version == version
    for engine in (assets.kube_apiserver, assets.kube_controller_manager, assets.kube_scheduler):
        assert reported(engine) == f"Kubernetes {version}"
    assert reported(assets.etcd).startswith("etcd Version: 3.")
    assert read_manifest(assets.directory).source in sources
    assert find_assets(version, said.append).source == "cache"


def test_each_way_says_why_it_did_not_serve(bare: None, said: list[str]) -> None:
    with pytest.raises(AssetsError) as refused:
        find_assets("v1.20.2", said.append)
    title, *reasons = refused.value.message.splitlines()
    assert title == "no way gives the engines of Kubernetes v1.20.2"
    expected = [
        "SHIPKEEPER_ASSETS: the variable is not set",
        "PATH: it has no etcd, kube-apiserver, kube-controller-manager, kube-scheduler",
        "the cache: ",
        "the official release: http://127.0.0.1:9/release/v1.20.2/",
        "the Go module proxy: there is no Go toolchain on PATH",
        "Debian's source package: this machine has no apt-get",
    ]
    for reason, line, beginning in zip(reasons, said, expected, strict=True):
        assert reason.startswith(beginning)
        assert line == f"v1.20.2: not from {reason}"
    assert "SHIPKEEPER_ASSETS" in refused.value.hint


def test_the_named_directory_comes_first(
    bare: None, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(make_engines(tmp_path / "bin")))
    monkeypatch.setenv("SHIPKEEPER_ASSETS", str(make_engines(tmp_path / "named")))
    assert find_assets(NEWEST, said.append).source == "SHIPKEEPER_ASSETS"
    assert said == []


def test_path_comes_before_the_cache(
    bare: None, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(NEWEST, "go", lambda workshop: make_engines(workshop.directory) and None, said.append)
    assert find_assets(NEWEST, said.append).source == "cache"
    monkeypatch.setenv("PATH", str(make_engines(tmp_path / "bin")))
    assert find_assets(NEWEST, said.append).source == "PATH"


def test_the_cache_comes_before_the_release(
    mirror: Mirror, tmp_path: Path, engines_dir: Path, said: list[str]
) -> None:
    mirror.publish(make_engines(tmp_path / "published"), NEWEST, architecture())
    assert find_assets(NEWEST, said.append).source == "download"
    assert find_assets(NEWEST, said.append).source == "cache"


def test_a_refused_release_is_followed_by_go(
    mirror: Mirror,
    tmp_path: Path,
    engines_dir: Path,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = mirror.publish(make_engines(tmp_path / "published"), "v1.99.3", architecture())
    (folder / "kube-scheduler.sha256").write_text("0" * 64)
    proxy = GoProxy(tmp_path / "proxy")
    proxy.publish_kubernetes("99.3")
    proxy.publish_etcd("v3.7.0")
    proxy.use(tmp_path / "modules", monkeypatch)
    assets = find_assets("v1.99.3", said.append)
    assert assets.source == "go"
    assert reported(assets.kube_scheduler) == "Kubernetes v1.99.3"
    refusals = [line for line in said if "not from the official release" in line]
    assert len(refusals) == 1
    assert "kube-scheduler is refused: its sha256 is " in refusals[0]


def test_a_disk_that_takes_no_more_is_told_and_nothing_is_left(
    mirror: Mirror, tmp_path: Path, engines_dir: Path
) -> None:
    engines = make_engines(tmp_path / "published")
    (engines / "kube-apiserver").write_bytes(b"#" * 1_000_000)
    mirror.publish(engines, "v1.99.3", architecture())
    program = (
        "import os, resource\n"
        "from shipkeeper.sandbox.assets import AssetsError, find_assets\n"
        "os.environ['PATH'] = '/nowhere'\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    find_assets('v1.99.3', print)\n"
        "except AssetsError as error:\n"
        "    print(error.message)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert "v1.99.3: not from the official release: [Errno 27] File too large" in output
    assert "\nthe official release: [Errno 27] File too large\n" in output
    assert [path.name for path in engines_dir.iterdir()] == [".v1.99.3.lock"]


def reported(engine: Path) -> str:
    answer = subprocess.run([engine, "--version"], capture_output=True, text=True, check=True)
    return answer.stdout.splitlines()[0]
