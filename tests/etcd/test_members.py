"""Members of real etcd that cannot be spoken to, and what a keeper is told about them."""

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from shipkeeper.sandbox.assets.etcd_tools import EtcdTools
from shipkeeper.sandbox.certificates import create_authority, issue_client
from shipkeeper.sandbox.files import write_private
from shipkeeper.sandbox.members import EtcdCluster, etcd_cluster
from tests.cli.run import SHIPKEEPER
from tests.etcd.world import fill, restore_all, restore_member, run


@pytest.fixture(scope="module")
def cluster(
    newest_tools: EtcdTools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EtcdCluster]:
    with etcd_cluster(newest_tools, tmp_path_factory.mktemp("members")) as made:
        fill(made)
        yield made


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    lines = done.stderr.splitlines()
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert lines[-2].startswith("error: "), done.stderr
    assert lines[-1].startswith("hint: ")
    for word in words:
        assert word in lines[-2]


def save(cluster: EtcdCluster, file: Path, **replaced: str) -> subprocess.CompletedProcess[str]:
    flags = dict(flag[2:].split("=", 1) for flag in cluster.flags()) | replaced
    return run("save", str(file), *(f"--{name}={value}" for name, value in flags.items()))


def test_a_wrong_authority(cluster: EtcdCluster, tmp_path: Path) -> None:
    write_private(tmp_path / "other.crt", create_authority("other").certificate)
    done = save(cluster, tmp_path / "s.db", cacert=str(tmp_path / "other.crt"))
    assert_refused(done, "is not vouched for by", "other.crt")
    assert not (tmp_path / "s.db").exists()


def test_an_expired_client(cluster: EtcdCluster, tmp_path: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    cluster.write("expired", issue_client(cluster.authority, "root", not_after=yesterday))
    at = cluster.directory
    done = save(
        cluster, tmp_path / "s.db", cert=str(at / "expired.crt"), key=str(at / "expired.key")
    )
    assert_refused(done, "expired on")


def test_a_client_of_another_authority(cluster: EtcdCluster, tmp_path: Path) -> None:
    cluster.write("stranger", issue_client(create_authority("other"), "root"))
    at = cluster.directory
    done = save(
        cluster, tmp_path / "s.db", cert=str(at / "stranger.crt"), key=str(at / "stranger.key")
    )
    assert_refused(done, "refuses", "stranger.crt")


def test_no_etcd(cluster: EtcdCluster, tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_port}"
        assert_refused(save(cluster, tmp_path / "s.db", endpoints=url), "does not speak TLS")
        server.shutdown()
    assert_refused(save(cluster, tmp_path / "s.db", endpoints=url), "cannot connect")
    assert run("save", str(tmp_path / "s.db"), "--endpoints=ftp://x").returncode == 2


def test_the_next_member_is_asked_when_one_is_away(cluster: EtcdCluster, tmp_path: Path) -> None:
    good = cluster.members[0].client
    done = save(cluster, tmp_path / "s.db", endpoints=f"https://127.0.0.1:1,{good}")
    assert done.returncode == 0, done.stderr
    assert "trying the next member" in done.stderr
    assert good in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk(cluster: EtcdCluster, tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=32k none "$0" && "$@"; code=$?; ls "$0"; exit $code'
    command = [SHIPKEEPER, "etcd", "save", str(tmp_path / "s.db"), *cluster.flags()]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(tmp_path), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(done, "the disk is full")


def test_a_directory_that_is_there(cluster: EtcdCluster, tmp_path: Path) -> None:
    assert save(cluster, tmp_path / "s.db").returncode == 0
    (tmp_path / "data/member").mkdir(parents=True)
    done = run("restore", str(tmp_path / "s.db"), f"--data-dir={tmp_path / 'data'}")
    assert_refused(done, "is there already")
    dry = run(
        "restore", str(tmp_path / "s.db"), f"--data-dir={tmp_path / 'new'}", "--dry-run=client"
    )
    assert dry.returncode == 0
    assert not (tmp_path / "new").exists()


def test_health_and_defragmentation(cluster: EtcdCluster) -> None:
    done = run("health", *cluster.flags(), "-o", "json")
    assert done.returncode == 0, done.stderr
    (state,) = json.loads(done.stdout)["states"]
    assert state["leader"] == state["member"]
    assert state["version"].startswith("3.7")
    assert run("defrag", *cluster.flags()).stdout.startswith("member https://")
    away = run("health", "--endpoints=https://127.0.0.1:1", *cluster.flags()[1:])
    assert away.returncode == 4
    assert "cannot connect" in away.stderr


@pytest.fixture
def with_learner(newest_tools: EtcdTools, tmp_path: Path) -> Iterator[EtcdCluster]:
    """A member that votes, and one that does not yet."""
    made = EtcdCluster(newest_tools, tmp_path / "learner", 2)
    first, second = made.members
    try:
        made.start(first.name, more=(f"--initial-cluster={first.name}={first.peer}",))
        fill(made)
        add = ("member", "add", second.name, "--learner", f"--peer-urls={second.peer}")
        made.ctl(*add, endpoints=first.client)
        made.start(second.name, more=("--initial-cluster-state=existing",), wait=False)
        while made.ctl("endpoint", "status", endpoints=second.client, check=False).returncode:
            assert made.running[second.name].poll() is None
        yield made
    finally:
        made.stop()


def test_a_learner(with_learner: EtcdCluster, tmp_path: Path) -> None:
    cluster = with_learner
    voter, learner = (member.client for member in cluster.members)
    for endpoints in ((voter, "--cluster"), (f"{learner},{voter}",), (learner,)):
        done = run("health", *cluster.flags(endpoints[0]), *endpoints[1:], "-o", "json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        roles = {state["endpoint"]: state["isLearner"] for state in found["states"]}
        assert roles[learner]
        reasons = [verdict["reason"] for verdict in found["verdicts"]]
        assert "Learner" in reasons
        assert ("MembersUnknown" in reasons) == (endpoints == (learner,))
    saved = save(cluster, tmp_path / "s.db", endpoints=learner)
    assert saved.returncode == 0, saved.stderr
    assert run("verify", str(tmp_path / "s.db")).returncode == 0


def test_another_server_that_speaks_tls(cluster: EtcdCluster, tmp_path: Path) -> None:
    at = cluster.directory
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(at / "server.crt", at / "server.key")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_port}"
        assert_refused(save(cluster, tmp_path / "s.db", endpoints=url), "does not speak gRPC")
        server.shutdown()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_restore_onto_a_full_disk_leaves_nothing(cluster: EtcdCluster, tmp_path: Path) -> None:
    file, small = tmp_path / "s.db", tmp_path / "small"
    small.mkdir()
    assert save(cluster, file).returncode == 0
    script = 'mount -t tmpfs -o size=40k none "$0" && "$@"; code=$?; ls -A "$0"; exit $code'
    restore = [SHIPKEEPER, "etcd", "restore", str(file), f"--data-dir={small / 'data'}"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(small), *restore],
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(done, "the disk is full")


def test_a_restored_key_has_its_history(cluster: EtcdCluster, tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    text = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"n":"%d"}}'
    for number in range(3):
        cluster.ctl("put", "/registry/configmaps/shop/a", text % number)
    assert save(cluster, one).returncode == 0
    cluster.ctl("del", "/registry/configmaps/shop/a")
    cluster.ctl("put", "/registry/configmaps/shop/b", text % 9)
    assert save(cluster, two).returncode == 0

    states = json.loads(run("history", str(two), "cm/a", "-n", "shop", "-o", "json").stdout)[
        "items"
    ]
    shown = [each["manifest"] and each["manifest"]["data"]["n"] for each in states]
    assert shown == ["0", "1", "2", None]
    gone = run("get", str(two), "cm", "a", "-n", "shop")
    assert_refused(gone, "was deleted at revision")
    before = run("get", str(two), "cm", "a", "-n", "shop", f"--revision={states[1]['revision']}")
    assert "n: '1'" in before.stdout
    differences = run("diff", str(one), str(two), "-o", "name")
    assert (differences.returncode, differences.stdout) == (4, "configmaps/a\nconfigmaps/b\n")
    listed = run("ls", str(two), "configmaps", "-n", "shop", "-o", "name")
    assert listed.stdout == "configmaps/b\n"
    assert "configmaps   shop        1" in run("ls", str(two)).stdout


def test_members_of_different_snapshots_are_found_out(
    newest_tools: EtcdTools, tmp_path: Path
) -> None:
    with etcd_cluster(newest_tools, tmp_path / "two", 2) as pair:
        fill(pair)
        for name in ("a", "b"):
            done = save(pair, tmp_path / f"{name}.db", endpoints=pair.members[0].client)
            assert done.returncode == 0
            pair.ctl("put", "x", name)
        well = run("health", "--check-data", "--cluster", *pair.flags(pair.members[0].client))
        assert well.returncode == 0, well.stderr
        pair.stop()
        restore_all(pair, tmp_path / "a.db")
        shutil.rmtree(pair.members[1].data)
        restore_member(pair, pair.members[1], tmp_path / "b.db")
        pair.start(token="new")
        done = run("health", "--check-data", *pair.flags())
        assert done.returncode == 4
        assert "different snapshots" in done.stderr
