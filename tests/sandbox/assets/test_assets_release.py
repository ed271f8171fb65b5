"""Third way: official releases, here from a mirror on loopback."""

import hashlib
import socket
from pathlib import Path

import pytest

from shipkeeper.sandbox.assets.engines import Assets, NotServedError
from shipkeeper.sandbox.assets.release import download
from shipkeeper.sandbox.assets.store import cached, prepare, read_manifest

from .scenery import KUBERNETES_ENGINES, Mirror, architecture, make_engines

VERSION = "v1.37.2"


@pytest.fixture
def release(mirror: Mirror, tmp_path: Path, engines_dir: Path) -> Path:
    """A published release; the folder of its Kubernetes part."""
    return mirror.publish(make_engines(tmp_path / "published"), VERSION, architecture())


def prepare_download(said: list[str], version: str = VERSION) -> Assets:
    return prepare(version, "download", download, said.append)


def test_a_release_is_downloaded_and_runs(release: Path, said: list[str]) -> None:
    assets = prepare_download(said)
    assert assets.source == "download"
    assert read_manifest(assets.directory).source == "download"
    assert cached(VERSION).directory == assets.directory
    published = (release / "kube-apiserver").read_bytes()
    assert assets.kube_apiserver.read_bytes() == published
    assert sum("downloading http://127.0.0.1" in line for line in said) == 4


@pytest.mark.parametrize("engine", KUBERNETES_ENGINES)
def test_a_wrong_checksum_is_refused(engine: str, release: Path, said: list[str]) -> None:
    (release / f"{engine}.sha256").write_text("0" * 64)
    with pytest.raises(NotServedError, match=rf"{engine} is refused: its sha256 is .*0000"):
        prepare_download(said)
    assert_nothing_is_cached()


def test_a_wrong_etcd_checksum_is_refused(release: Path, mirror: Mirror, said: list[str]) -> None:
    sums = mirror.root / "etcd/v3.7.0/SHA256SUMS"
    name = sums.read_text().split()[-1]
    sums.write_text(f"{'1' * 64}  {name}\n")
    with pytest.raises(NotServedError, match=rf"{name} is refused: its sha256 is .*1111"):
        prepare_download(said)
    assert_nothing_is_cached()


@pytest.mark.parametrize("length", [True, False])
def test_a_download_that_breaks_off_is_refused(
    length: bool, release: Path, mirror: Mirror, said: list[str]
) -> None:
    mirror.truncated.add("kube-scheduler")
    mirror.tells_length = length
    with pytest.raises(NotServedError, match="broke off after" if length else "is refused"):
        prepare_download(said)
    assert_nothing_is_cached()


@pytest.mark.parametrize(
    "missing", ["kube-scheduler", "kube-scheduler.sha256", "kube-apiserver.sha256"]
)
def test_a_missing_file_is_named(missing: str, release: Path, said: list[str]) -> None:
    (release / missing).unlink()
    with pytest.raises(NotServedError, match=f"{missing}: 404"):
        prepare_download(said)
    assert_nothing_is_cached()


def test_a_checksum_list_without_the_archive_is_refused(
    release: Path, mirror: Mirror, said: list[str]
) -> None:
    (mirror.root / "etcd/v3.7.0/SHA256SUMS").write_text(f"{'0' * 64}  another.tar.gz\n")
    with pytest.raises(NotServedError, match=r"SHA256SUMS gives no checksum for etcd-v3\.7\.0"):
        prepare_download(said)


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_an_etcd_that_is_no_archive_is_refused(
    content: bytes, release: Path, mirror: Mirror, said: list[str]
) -> None:
    archive = next(mirror.root.glob("etcd/v3.7.0/*.tar.gz"))
    archive.write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    (archive.parent / "SHA256SUMS").write_text(f"{checksum}  {archive.name}\n")
    with pytest.raises(NotServedError, match="the etcd archive cannot be read"):
        prepare_download(said)
    assert_nothing_is_cached()


def test_a_page_in_place_of_a_checksum_is_refused(release: Path, said: list[str]) -> None:
    (release / "kube-apiserver.sha256").write_text("<html>log in first</html>")
    with pytest.raises(NotServedError, match=r"kube-apiserver\.sha256 gives no checksum"):
        prepare_download(said)


def test_an_unreachable_host_is_named(no_mirror: None, engines_dir: Path, said: list[str]) -> None:
    with pytest.raises(NotServedError, match=r"127\.0\.0\.1:9.*refused"):
        prepare_download(said)


def test_a_host_that_never_answers_is_given_up(
    engines_dir: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipkeeper.sandbox.assets.release._SHORT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("SHIPKEEPER_KUBERNETES_MIRROR", address)
        with pytest.raises(NotServedError, match="timed out"):
            prepare_download(said)


def test_an_address_that_is_not_http_is_refused(
    release: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIPKEEPER_KUBERNETES_MIRROR", "file:///etc")
    with pytest.raises(NotServedError, match=r"SHIPKEEPER_KUBERNETES_MIRROR .*not an http"):
        prepare_download(said)


def test_each_kubernetes_gets_its_etcd(mirror: Mirror, tmp_path: Path, engines_dir: Path) -> None:
    engines = make_engines(tmp_path / "old", "v1.20.2", "3.4.13")
    mirror.publish(engines, "v1.20.2", architecture(), "3.4.13")
    assert prepare_download([], "v1.20.2").etcd.read_bytes() == (engines / "etcd").read_bytes()


def assert_nothing_is_cached() -> None:
    with pytest.raises(NotServedError, match="holds no engines"):
        cached(VERSION)
