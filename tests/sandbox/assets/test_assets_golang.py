"""Fourth way: built by the real Go toolchain, here from a module proxy in a directory."""

from pathlib import Path
from shutil import which

import pytest

from shipkeeper.sandbox.assets.engines import Assets, NotServedError
from shipkeeper.sandbox.assets.golang import build, listed_versions, throw_away_go_mod
from shipkeeper.sandbox.assets.store import cached, prepare, read_manifest

from .scenery import GoProxy, write_script

VERSION = "v1.99.3"


@pytest.fixture
def proxy(tmp_path: Path, engines_dir: Path, monkeypatch: pytest.MonkeyPatch) -> GoProxy:
    """A proxy with the etcd that new Kubernetes versions need, and no Kubernetes yet."""
    proxy = GoProxy(tmp_path / "proxy")
    proxy.publish_etcd("v3.7.0")
    proxy.use(tmp_path / "modules", monkeypatch)
    return proxy


def prepare_go(said: list[str]) -> Assets:
    return prepare(VERSION, "go", build, said.append)


def test_engines_are_built_from_modules_with_local_siblings(
    proxy: GoProxy, said: list[str]
) -> None:
    proxy.publish_kubernetes("99.3")
    assets = prepare_go(said)
    assert assets.source == read_manifest(assets.directory).source == "go"
    assert cached(VERSION).directory == assets.directory
    assert not (assets.directory / ".scratch").exists()
    assert said == [
        f"{VERSION}: building kube-apiserver kube-controller-manager kube-scheduler with Go",
        f"{VERSION}: building go.etcd.io/etcd/server/v3 with Go",
    ]


def test_a_workspace_around_the_cache_does_not_matter(
    proxy: GoProxy, tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "go.work").write_text("go 1.21\n")
    proxy.publish_kubernetes("99.3")
    assert prepare_go(said).source == "go"


def test_a_compile_error_is_told_with_its_log(proxy: GoProxy, said: list[str]) -> None:
    proxy.publish_kubernetes("99.3", main="package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(NotServedError) as refused:
        prepare_go(said)
    first, *evidence = refused.value.message.splitlines()
    assert first.startswith("go failed (exit code 1) while building kube-apiserver")
    assert any("undefined" in line for line in evidence)
    assert "undefined" in Path(first.rpartition("log: ")[2]).read_text()


def test_a_release_without_generated_code_is_refused(proxy: GoProxy, said: list[str]) -> None:
    files = {"go.mod": "module k8s.io/kubernetes\n\ngo 1.21\n"}
    proxy.publish("k8s.io/kubernetes", VERSION, files)
    with pytest.raises(NotServedError, match=r"lacks generated code .*zz_generated"):
        prepare_go(said)


def test_a_toolchain_that_is_too_old_is_refused(proxy: GoProxy, said: list[str]) -> None:
    proxy.publish_kubernetes("99.3", go="1.999.0")
    with pytest.raises(NotServedError, match=r"requires go >= 1\.999\.0 \(running go 1\."):
        prepare_go(said)


def test_a_toolchain_too_old_to_know_is_refused_before_it_builds(
    proxy: GoProxy, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old/go"
    old.parent.mkdir()
    write_script(
        old, 'if [ "$*" = "env GOVERSION" ]; then echo go1.19.8', f'else {which("go")} "$@"; fi'
    )
    monkeypatch.setenv("PATH", str(old.parent))
    proxy.publish_kubernetes("99.3")
    with pytest.raises(NotServedError, match=r"old/go is go1\.19, the module needs go 1\.21"):
        prepare_go(said)


def test_a_version_that_the_proxy_lacks_is_refused(proxy: GoProxy, said: list[str]) -> None:
    with pytest.raises(NotServedError, match=r"k8s\.io/kubernetes@v1\.99\.3"):
        prepare_go(said)


def test_a_machine_without_go_is_told(
    proxy: GoProxy, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("shipkeeper.sandbox.assets.golang._USUAL_PLACE", "/nowhere")
    with pytest.raises(NotServedError, match="no Go toolchain on PATH"):
        prepare_go(said)


def test_go_is_found_in_its_usual_place(
    proxy: GoProxy, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go = which("go")
    assert go is not None
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("shipkeeper.sandbox.assets.golang._USUAL_PLACE", str(Path(go).parent))
    proxy.publish_kubernetes("99.3")
    assert prepare_go(said).source == "go"


def test_only_releases_are_listed(proxy: GoProxy) -> None:
    for number in ("99.3", "99.4-rc.1", "100.0"):
        proxy.publish_kubernetes(number)
    assert listed_versions("k8s.io/kubernetes") == ["v1.99.3", "v1.100.0"]


def test_no_answer_from_the_proxy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(NotServedError, match="GOPROXY=off"):
        listed_versions("k8s.io/kubernetes")


def test_the_throw_away_module_replaces_folders_by_published_versions() -> None:
    upstream = (
        "module k8s.io/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n\n"
        "require (\n\texample.org/other v1.2.3\n\tk8s.io/api v0.0.0\n)\n\n"
        "replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n"
        "\texample.org/other => example.org/fork v1.2.4\n)\n"
    )
    text = throw_away_go_mod(upstream, "k8s.io/kubernetes", "v1.37.2", "v0.37.2")
    assert text == (
        "module throwaway\n\ngo 1.26.0\n\ngodebug default=go1.26\n\n"
        "require (\n\texample.org/other v1.2.3\n\tk8s.io/api v0.0.0\n)\n\n"
        "replace (\n\tk8s.io/api => k8s.io/api v0.37.2\n"
        "\texample.org/other => example.org/fork v1.2.4\n)\n"
        "\nrequire k8s.io/kubernetes v1.37.2\n"
    )
