"""Fifth way: Debian's source package, by an apt that leaves the machine as it is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipkeeper.sandbox.assets.apt import PrivateApt
from shipkeeper.sandbox.assets.debian import build, openapi_packages
from shipkeeper.sandbox.assets.engines import NotServedError
from shipkeeper.sandbox.assets.store import prepare
from shipkeeper.sandbox.assets.workshop import Workshop

DEB822 = """\
# The release itself.
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
deb [signed-by=/keys/one.gpg] http://mirror.example/debian bookworm main contrib
#deb http://mirror.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://other.example/apt tools-bookworm main
deb http://third.example/debian bookworm stable
"""


@pytest.fixture
def workshop(tmp_path: Path, engines_dir: Path, said: list[str]) -> Iterator[Workshop]:
    lock = os.open(os.devnull, os.O_RDONLY)
    yield Workshop.open("v1.20.2", tmp_path / "workshop", "debian", lock, said.append)
    os.close(lock)


def test_the_release_of_this_machines_sources_is_taken_over_with_its_source_packages(
    workshop: Workshop, tmp_path: Path
) -> None:
    etc = tmp_path / "etc"
    (etc / "sources.list.d").mkdir(parents=True)
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    (etc / "sources.list").write_text(ONE_LINE)
    apt = PrivateApt(workshop, release="bookworm", etc=etc)
    assert (apt.home / "sources/debian.sources").read_text() == (
        "Types: deb deb-src\nTargets: Packages Sources\n"
        "URIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
        " .\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    line = "[signed-by=/keys/one.gpg] http://mirror.example/debian bookworm main contrib\n"
    assert (apt.home / "sources/debian.list").read_text() == f"deb {line}deb-src {line}"


def test_a_machine_of_another_release_is_told(workshop: Workshop, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    (etc / "sources.list.d").mkdir(parents=True)
    (etc / "sources.list.d/debian.sources").write_text(DEB822.replace("bookworm", "trixie"))
    with pytest.raises(NotServedError, match=r"no package source under .* is of Debian bookworm"):
        PrivateApt(workshop, release="bookworm", etc=etc)


def test_packages_are_fetched_and_unpacked_without_touching_the_machine(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration, hooked = tmp_path / "apt.conf", tmp_path / "hooked"
    configuration.write_text(f'APT::Update::Post-Invoke {{ "touch {hooked}"; }};\n')
    monkeypatch.setenv("APT_CONFIG", str(configuration))
    before = the_machines_apt()
    apt = PrivateApt(workshop, release="bookworm")
    apt.update()
    apt.fetch_source("hello")
    apt.fetch("hello")
    apt.unpack("hello", tmp_path / "unpacked")
    assert list(apt.downloads.glob("hello_*.dsc"))
    assert list(apt.downloads.glob("hello_*.orig.tar.*"))
    assert os.access(tmp_path / "unpacked/usr/bin/hello", os.X_OK)
    assert the_machines_apt() == before
    assert not hooked.exists()


def test_a_mirror_that_does_not_answer_is_told(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (tmp_path / "apt.conf").write_text('Acquire::Retries "0";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    (etc / "sources.list").write_text("deb http://127.0.0.1:9/debian bookworm main\n")
    with pytest.raises(NotServedError, match=r"apt-get failed [^\n]*lists(.*\n)*.*127\.0\.0\.1"):
        PrivateApt(workshop, release="bookworm", etc=etc).update()


def test_a_package_that_does_not_exist_is_told(workshop: Workshop) -> None:
    apt = PrivateApt(workshop, release="bookworm")
    with pytest.raises(NotServedError, match=r"apt-get failed [^\n]*\n(.*\n)*.*Unable to locate"):
        apt.fetch("hello")


def test_another_version_is_refused(engines_dir: Path, said: list[str]) -> None:
    with pytest.raises(NotServedError, match=r"source package is v1\.20\.2"):
        prepare("v1.21.0", "debian", build, said.append)


def test_a_machine_without_apt_is_told(
    engines_dir: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotServedError, match="this machine has no apt-get"):
        prepare("v1.20.2", "debian", build, said.append)


def test_openapi_packages_are_those_with_the_tag(tmp_path: Path) -> None:
    tagged, mentioned = "// +k8s:openapi-gen=true\n", 'const tag = "// +k8s:openapi-gen="\n'
    files = {
        "staging/src/k8s.io/api/core/v1/doc.go": f"{tagged}package v1\n",
        "staging/src/k8s.io/api/core/v1/types.go": "package v1\n",
        "staging/src/k8s.io/api/core/v2/types.go": f"package v2\n{mentioned}",
        "staging/src/k8s.io/api/README.md": tagged,
        "staging/src/k8s.io/sample-apiserver/pkg/doc.go": tagged,
        "staging/src/k8s.io/code-generator/x/doc.go": tagged,
        "pkg/apis/abac/v0/types.go": "package v0\n\n//+k8s:openapi-gen=true\ntype T int\n",
        "vendor/example.org/x/doc.go": tagged,
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert openapi_packages(tmp_path) == [
        "k8s.io/kubernetes/pkg/apis/abac/v0",
        "k8s.io/kubernetes/vendor/k8s.io/api/core/v1",
    ]


def the_machines_apt() -> dict[str, int]:
    """Every file of the machine's package lists, caches and packages, with its time."""
    folders = (Path("/var/lib/apt"), Path("/var/cache/apt"), Path("/var/lib/dpkg"))
    return {str(path): path.lstat().st_mtime_ns for folder in folders for path in folder.rglob("*")}
