"""Save, status, restore and boot on real etcd of every series, over TLS."""

import json
import subprocess
from pathlib import Path
from threading import Timer

from shipkeeper.sandbox.assets.etcd_tools import EtcdTools
from shipkeeper.sandbox.members import environment, etcd_cluster
from tests.etcd.world import everything, fill, restore_all, run

BUMP = ("--bump-revision=1000000000", "--mark-compacted")


def tool_status(tools: EtcdTools, snapshot: Path, form: str) -> str:
    command = [tools.offline, "snapshot", "status", "-w", form, str(snapshot)]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=True
    ).stdout


def test_a_restored_cluster_is_the_old_one(tools: EtcdTools, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.db"
    with etcd_cluster(tools, tmp_path / "cluster", 3) as cluster:
        fill(cluster)
        saved = run("save", str(snapshot), *cluster.flags())
        assert saved.returncode == 0, saved.stderr
        assert snapshot.stat().st_mode & 0o777 == 0o600
        for form in ("table", "json", "simple"):
            ours = run("status", str(snapshot), "-w", form, "--series", tools.series)
            assert ours.stdout == tool_status(tools, snapshot, form)
        assert run("verify", str(snapshot)).returncode == 0
        hashes, keys = cluster.hash_kv(), everything(cluster)
        assert len(set(hashes)) == 1
        cluster.stop(kill=True)

        restore_all(cluster, snapshot)
        cluster.start(token="new")
        assert cluster.hash_kv() == hashes
        assert everything(cluster) == keys
        assert cluster.ctl("put", "a", "b").stdout == "OK\n"


def test_a_live_watcher_learns_that_the_revision_was_bumped(
    tools: EtcdTools, tmp_path: Path
) -> None:
    snapshot = tmp_path / "snapshot.db"
    with etcd_cluster(tools, tmp_path / "cluster") as cluster:
        fill(cluster)
        before = everything(cluster)
        assert run("save", str(snapshot), *cluster.flags()).returncode == 0
        with (
            (tmp_path / "watcher").open("w+") as stderr,
            subprocess.Popen(
                [tools.etcdctl, *cluster.flags(), "watch", "/registry", "--prefix", "--rev=1"],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            ) as watcher,
        ):
            assert watcher.stdout
            assert watcher.stdout.readline() == "PUT\n"  # It watches.
            cluster.stop()
            restore_all(cluster, snapshot, *BUMP)
            cluster.start(token="new")
            ends = Timer(20, watcher.kill)
            ends.start()
            said, _ = watcher.communicate()
            ends.cancel()
            stderr.seek(0)
            assert "required revision has been compacted" in said + stderr.read()
        assert everything(cluster) == before
        revision = json.loads(cluster.ctl("get", "nothing", "-w", "json").stdout)["header"]
        assert revision["revision"] > 1_000_000_000
