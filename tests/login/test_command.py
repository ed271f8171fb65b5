"""What `login-gateway` prints: each step of a login, and what a cluster needs."""

import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.golden import assert_golden
from tests.login.slapd import PASSWORD, Slapd, foundation, person, team, team_dn, user_dn
from tests.login.world import document

SHIPKEEPER = Path(sys.executable).parent / "shipkeeper"


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slapd = Slapd(folder / "slapd")
        self.slapd.fill(
            [
                *foundation(),
                person("ann (jr)", entryUUID="5f6a3d52-0000-4000-8000-000000000001"),
                person("gone", pwdAccountLockedTime="000001010000Z"),
                team("crew", user_dn("ann (jr)")),
                team("all", team_dn("crew"), team_dn("all")),
            ]
        )
        self.slapd.start()
        path = folder / "login.yaml"
        settings = document(
            folder,
            [self.slapd.ldaps],
            self.slapd.home / "ca.crt",
            address="0.0.0.0:8443",
            url="https://login.example.org:8443",
            prefix={"group": ""},
        )
        path.write_bytes(msgspec.yaml.encode(settings))
        (folder / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SHIPKEEPER, "login-gateway", self.folder / "login.yaml", *words],
            capture_output=True,
            text=True,
            check=False,
        )

    def plain(self, text: str) -> str:
        """Without what is another one in each run."""
        text = text.replace(str(self.slapd.ldaps_port), "636").replace(str(self.folder), "/etc")
        lines = text.splitlines(keepends=True)
        return "".join(_without_date(line) for line in lines)


def _without_date(line: str) -> str:
    head, until, rest = line.partition("certificate until ")
    return f"{head}{until}…{rest[rest.index('; reads') :]}" if until else line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = Place(tmp_path_factory.mktemp("command"))
    yield found
    found.slapd.kill()


@pytest.mark.parametrize("output", ["text", "wide", "json", "yaml", "name"])
def test_check(place: Place, output: str) -> None:
    password = place.folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    words = ["--check=ann (jr)", f"--password-file={password}"]
    words += [] if output == "text" else ["-o", output]
    done = place.run(*words)
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert_golden(f"login-check.{output}", place.plain(done.stdout))


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ("gone", "matches the entry: no login"),
        ("*)(uid=*", r"(uid=\2a\29\28uid=\2a)) below"),
        ("nobody", "no entry matches"),
    ],
)
def test_check_of_no_login(place: Place, login: str, says: str) -> None:
    done = place.run(f"--check={login}")
    assert done.returncode == 1
    assert says in done.stdout


def test_a_password_that_others_may_read_is_not_used(place: Place) -> None:
    path = place.folder / "open"
    path.write_text(PASSWORD)
    path.chmod(0o644)
    done = place.run("--check=ann (jr)", f"--password-file={path}")
    assert done.returncode == 2
    assert "others may read it" in done.stderr


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("webhook-config", ()),
        ("deployment", ("--image=registry.example.org/shipkeeper:1",)),
        ("kubeconfig", ("--api-server=https://api.example.org:6443",)),
    ],
)
def test_emit(place: Place, what: str, words: tuple[str, ...]) -> None:
    authority = f"--certificate-authority={place.folder / 'ca.pem'}"
    done = place.run(f"--emit={what}", authority, *words)
    assert done.returncode == 0, done.stderr
    assert_golden(f"login-{what}.yaml", done.stdout)


def test_a_kubeconfig_trusts_whom_the_administrator_s_does(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = tmp_path / "cluster.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\nYQ==\n")
    cluster = {"server": "https://api.example.org:6443", "certificate-authority": "cluster.pem"}
    config: dict[str, Any] = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path = tmp_path / "config"
    path.write_bytes(msgspec.yaml.encode(config))
    emit = ("--emit=kubeconfig",)
    named = ("--api-server=https://api.example.org:6443",)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    alone = place.run(*emit, *named)
    assert "warning" in alone.stderr
    assert "certificate-authority-data" not in alone.stdout.partition("users:")[0]
    given = place.run(*emit, *named, f"--api-server-authority={authority}")
    monkeypatch.setenv("KUBECONFIG", str(path))
    for done in (given, place.run(*emit), place.run(*emit, *named)):
        assert not done.stderr
        (made,) = msgspec.yaml.decode(done.stdout)["clusters"]
        assert made["cluster"] == {
            "server": "https://api.example.org:6443",
            "certificate-authority-data": b64encode(authority.read_bytes()).decode(),
        }
    other = place.run(*emit, "--api-server=https://other.example.org:6443")
    assert "warning" in other.stderr


def test_what_is_missing_is_said(place: Place) -> None:
    done = place.run("--emit=deployment")
    assert done.returncode == 2
    assert "--image is missing" in done.stderr
