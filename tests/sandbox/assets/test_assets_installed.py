"""First way: engines that are on this machine already."""

from pathlib import Path

import pytest

from shipkeeper.sandbox.assets.engines import NotServedError
from shipkeeper.sandbox.assets.installed import named, on_path

from .scenery import ENGINES, make_engines, write_script


def test_the_named_directory_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = make_engines(tmp_path / "mine")
    monkeypatch.setenv("SHIPKEEPER_ASSETS", str(engines))
    assets = named("v1.37.2")
    assert (assets.source, assets.directory) == ("SHIPKEEPER_ASSETS", engines)
    assert assets.kubernetes_version == "v1.37.2"
    paths = (assets.etcd, assets.kube_apiserver)
    assert paths == (engines / "etcd", engines / "kube-apiserver")
    others = (assets.kube_controller_manager, assets.kube_scheduler)
    assert others == (engines / "kube-controller-manager", engines / "kube-scheduler")


def test_a_relative_directory_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_engines(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHIPKEEPER_ASSETS", "mine")
    assert named("v1.37.2").directory == tmp_path / "mine"


def test_no_named_directory_is_said() -> None:
    with pytest.raises(NotServedError, match="not set"):
        named("v1.37.2")


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "etcd"])
def test_an_engine_of_another_version_is_named(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = make_engines(tmp_path / "mine")
    write_script(engines / engine, "echo 'Kubernetes v1.37.1'")
    monkeypatch.setenv("SHIPKEEPER_ASSETS", str(engines))
    with pytest.raises(NotServedError, match=rf"{engine} is v1\.37\.1"):
        named("v1.37.2")


def test_a_build_mark_of_a_distribution_is_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = make_engines(tmp_path / "mine", "v1.37.2+vendor1")
    monkeypatch.setenv("SHIPKEEPER_ASSETS", str(engines))
    assert named("v1.37.2").directory == engines


@pytest.mark.parametrize(
    ("kubernetes", "etcd", "fits"),
    [
        ("v1.37.2", "3.5.23", False),
        ("v1.37.2", "3.5.24", True),
        ("v1.37.2", "3.10.0", True),
        ("v1.20.2", "3.4.23", True),
        ("v1.20.2", "3.3.27", False),
    ],
)
def test_etcd_must_be_new_enough(
    kubernetes: str, etcd: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = make_engines(tmp_path / "mine", kubernetes, etcd)
    monkeypatch.setenv("SHIPKEEPER_ASSETS", str(engines))
    if fits:
        assert named(kubernetes).etcd == engines / "etcd"
        return
    with pytest.raises(NotServedError, match="or newer"):
        named(kubernetes)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "does not run"),
        ("exit 0", "printed nothing"),
        ("echo broken >&2; exit 1", "broken"),
        ("echo usage: etcd", "usage: etcd"),
    ],
)
def test_an_engine_that_does_not_run_is_named(
    script: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = make_engines(tmp_path / "mine")
    if script is None:
        (engines / "etcd").chmod(0o644)
    else:
        write_script(engines / "etcd", script)
    monkeypatch.setenv("SHIPKEEPER_ASSETS", str(engines))
    with pytest.raises(NotServedError, match=rf"mine/etcd .*{said}"):
        named("v1.37.2")


def test_path_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = make_engines(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'empty'}:{engines}")
    assets = on_path("v1.37.2")
    assert (assets.source, assets.directory) == ("PATH", engines)


def test_engines_apart_on_path_are_gathered(
    tmp_path: Path, engines_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines, elsewhere = make_engines(tmp_path / "bin"), tmp_path / "sbin"
    elsewhere.mkdir()
    (engines / "etcd").rename(elsewhere / "etcd")
    monkeypatch.setenv("PATH", f"{engines}:{elsewhere}")
    assets = on_path("v1.37.2")
    assert assets.directory.parent == engines_dir
    assert assets.etcd.resolve() == elsewhere / "etcd"
    assert assets.kube_apiserver.resolve() == engines / "kube-apiserver"
    assert on_path("v1.37.2") == assets


def test_what_path_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = make_engines(tmp_path / "bin")
    (engines / "etcd").unlink()
    (engines / "kube-scheduler").unlink()
    monkeypatch.setenv("PATH", str(engines))
    with pytest.raises(NotServedError, match="it has no etcd, kube-scheduler"):
        on_path("v1.37.2")
