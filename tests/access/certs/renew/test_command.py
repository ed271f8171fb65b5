"""What `certs renew` and `certs rotate-ca` say before they get to any host."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.run import SHIPKEEPER
from tests.forks import run_forked

NO_CLUSTER = """
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
"""


def run(tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    config = tmp_path / "config"
    config.write_text(NO_CLUSTER)
    (tmp_path / "known").touch()
    places = {"KUBECONFIG": str(config), "XDG_STATE_HOME": str(tmp_path / "state")}
    known = ("--ssh-known-hosts", str(tmp_path / "known"))
    command = [SHIPKEEPER, "certs", *words, *known]
    return run_forked(command, {**os.environ, **places}, timeout=120)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("renew",), 2, "name each host of the control plane with --host"),
        (("renew", "--host=root@"), 2, "is not a host to log in to"),
        (("renew", "--host=root@127.0.0.1:1"), 1, "127.0.0.1"),
        (("renew", "--host=root@127.0.0.1:1", "--abort"), 2, "no renewal of these hosts"),
        (("renew", "--how=cfssl"), 2, "cfssl"),
        (("rotate-ca", "kubernetes"), 1, "127.0.0.1:1"),
        (("rotate-ca", "root"), 2, "root"),
        (("rotate-ca", "etcd", "--through=all"), 2, "all"),
    ],
)
def test_what_cannot_be_begun_is_said(
    tmp_path: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
