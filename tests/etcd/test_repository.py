"""Snapshots of real etcd in a backup repository, and what is read out of it."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from shipkeeper.sandbox.assets.etcd_tools import EtcdTools
from shipkeeper.sandbox.members import EtcdCluster, etcd_cluster
from tests.cli.run import SHIPKEEPER
from tests.etcd.world import fill, run
from tests.forks import run_forked

TEXT = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"n":"%d"}}'


class Stock(NamedTuple):
    """A repository with two snapshots, whose names are in the order of their making."""

    cluster: EtcdCluster
    folder: Path
    into: tuple[str, ...]
    reading: tuple[str, ...]
    names: tuple[str, str]


def backup(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_forked([SHIPKEEPER, "backup", *arguments], os.environ, timeout=600)


@pytest.fixture(scope="module")
def stock(newest_tools: EtcdTools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    folder = tmp_path_factory.mktemp("repository")
    repository, key, identity = (str(folder / each) for each in ("repo", "key", "identity"))
    keys = (f"--repo={repository}", f"--key={key}", f"--identity={identity}")
    made = backup("init", *keys)
    assert made.returncode == 0, made.stderr
    into = (f"--into={repository}", f"--repo-key={key}")
    reading = (keys[0], keys[2])
    with etcd_cluster(newest_tools, folder / "cluster") as cluster:
        fill(cluster)
        names: list[str] = []
        for number in range(2):
            cluster.ctl("put", "/registry/configmaps/shop/a", TEXT % number)
            saved = run("save", *into, *cluster.flags(), "-o", "json")
            assert saved.returncode == 0, saved.stderr
            names.append(json.loads(saved.stdout)["path"].removeprefix("repo:"))
        yield Stock(cluster, folder, into, reading, (names[0], names[1]))


def test_it_is_looked_into_as_a_file_is(stock: Stock) -> None:
    counts = run("ls", "repo:latest", *stock.reading)
    assert "configmaps   shop        1" in counts.stdout, counts.stderr
    for name, number in ((stock.names[0], "0"), ("latest", "1")):
        got = run("get", f"repo:{name}", "cm/a", "-n", "shop", *stock.reading)
        assert f"n: '{number}'" in got.stdout, got.stderr
    old, new = (f"repo:{name}" for name in stock.names)
    differences = run("diff", old, new, "-o", "name", *stock.reading)
    assert (differences.returncode, differences.stdout) == (4, "configmaps/a\n")
    moments = run("history", new, "cm/a", "-n", "shop", "-o", "json", *stock.reading)
    assert len(json.loads(moments.stdout)["items"]) == 2
    assert run("verify", new, *stock.reading).returncode == 0


def test_fetched_it_is_what_was_saved(stock: Stock, tmp_path: Path) -> None:
    file = tmp_path / "fetched.db"
    dry = run("fetch", "latest", str(file), "--dry-run=client", *stock.reading)
    assert dry.returncode == 0
    assert list(tmp_path.iterdir()) == []
    done = run("fetch", "latest", str(file), *stock.reading)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    content = file.read_bytes()
    assert hashlib.sha256(content[:-32]).digest() == content[-32:]
    for form in ("table", "json"):
        direct = run("status", "repo:latest", "-w", form, *stock.reading)
        assert direct.stdout == run("status", str(file), "-w", form).stdout
    restored = tmp_path / "data"
    done = run("restore", "repo:latest", f"--data-dir={restored}", *stock.reading)
    assert done.returncode == 0, done.stderr
    assert (restored / "member/snap/db").exists()


def test_snapshots_and_backups_of_objects_are_told_apart(stock: Stock) -> None:
    keys = (*stock.reading, f"--key={stock.folder / 'key'}")
    listed = backup("list", *keys)
    assert listed.stdout.count("EtcdSnapshot") == 2, listed.stdout + listed.stderr
    for words in (("show", stock.names[0]), ("get", "secrets", f"--backup={stock.names[0]}")):
        refused = backup(*words, *keys)
        assert refused.returncode == 2
        assert "holds a snapshot of etcd" in refused.stderr
    assert "no backup 'latest'" in backup("show", *keys).stderr
    planned = backup("prune", "--keep-last=1", "--dry-run=client", *keys)
    assert planned.returncode == 0
    assert "last 1" in planned.stdout
    assert backup("verify", *keys).returncode == 0


def test_what_changed_is_all_that_is_added(stock: Stock) -> None:
    keys = (*stock.reading, f"--key={stock.folder / 'key'}")
    items = json.loads(backup("list", "-o", "json", *keys).stdout)["items"]
    assert all(each["addedBytes"] < each["contentBytes"] for each in items)


def test_it_is_not_there_until_it_is_whole(stock: Stock) -> None:
    before = run("ls", f"repo:{stock.names[1]}", *stock.reading)
    flags = stock.cluster.flags()
    dry = run("save", *stock.into, *flags, "--dry-run=client")
    assert dry.returncode == 0
    away = run("save", *stock.into, "--endpoints=https://127.0.0.1:1", *flags[1:])
    assert (away.returncode, away.stdout) == (1, "")
    assert "cannot connect" in away.stderr
    assert run("ls", "repo:latest", *stock.reading).stdout == before.stdout
    next_one = run(
        "save", *stock.into, f"--endpoints=https://127.0.0.1:1,{flags[0][12:]}", *flags[1:]
    )
    assert next_one.returncode == 0, next_one.stderr
    assert "trying the next member" in next_one.stderr


def test_bad_requests(stock: Stock, tmp_path: Path) -> None:
    file = str(tmp_path / "s.db")
    for words in (
        ("save", *stock.cluster.flags()),
        ("save", file, *stock.into, *stock.cluster.flags()),
        ("save", file, "--host=root@127.0.0.1", "--endpoints=https://127.0.0.1:1"),
        ("ls", "repo:latest"),
        ("ls", "repo:latest", stock.reading[0], "--identity="),
    ):
        done = run(*words)
        assert (done.returncode, done.stdout) == (2, ""), (words, done.stderr)
    missing = run("ls", "repo:abc", *stock.reading)
    assert missing.returncode == 2
    assert "no backup 'abc'" in missing.stderr


def test_a_damaged_repository_gives_no_wrong_answer(stock: Stock, tmp_path: Path) -> None:
    copy = tmp_path / "repo"
    shutil.copytree(stock.folder / "repo", copy)
    for pack in (copy / "packs").rglob("*"):
        if pack.is_file():
            data = bytearray(pack.read_bytes())
            data[len(data) // 3] ^= 1
            pack.chmod(0o600)
            pack.write_bytes(data)
    file = tmp_path / "fetched.db"
    done = run("fetch", stock.names[0], str(file), f"--repo={copy}", stock.reading[1])
    assert done.returncode in (1, 4), done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["repo"]
