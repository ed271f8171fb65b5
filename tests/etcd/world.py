"""A cluster of real etcd with something in it, and shipkeeper run as its keeper."""

import os
import subprocess
from pathlib import Path

from shipkeeper.sandbox.members import EtcdCluster, Member
from tests.cli.run import SHIPKEEPER
from tests.forks import run_forked


def fill(cluster: EtcdCluster, keys: int = 40) -> None:
    """Keys with several revisions, deletions, and values of all sizes."""
    puts = [f"put /registry/configmaps/ns/name-{n:03d} {'x' * (n * n + 1)}" for n in range(keys)]
    again = [f"put /registry/configmaps/ns/name-{n:03d} again" for n in range(0, keys, 3)]
    gone = [f"del /registry/configmaps/ns/name-{n:03d}" for n in range(0, keys, 4)]
    for batch in (puts[: keys // 2], puts[keys // 2 :], again, gone):
        cluster.ctl("txn", stdin="\n" + "\n".join(batch) + "\n\n\n")


def everything(cluster: EtcdCluster) -> str:
    """Every key and value that there is."""
    return cluster.ctl("get", "", "--prefix", endpoints=cluster.members[0].client).stdout


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_forked([SHIPKEEPER, "etcd", *arguments], os.environ, timeout=600)


def restore_all(cluster: EtcdCluster, snapshot: Path, *more: str) -> None:
    """Give every member a new data directory out of one snapshot; members must be stopped."""
    cluster.wipe()
    for member in cluster.members:
        restore_member(cluster, member, snapshot, *more)


def restore_member(cluster: EtcdCluster, member: Member, snapshot: Path, *more: str) -> None:
    """Give one member a new data directory."""
    done = run(
        *("restore", str(snapshot), f"--name={member.name}", f"--data-dir={member.data}"),
        f"--initial-cluster={cluster.initial_cluster}",
        f"--initial-advertise-peer-urls={member.peer}",
        *("--initial-cluster-token=new", *more),
    )
    assert done.returncode == 0, done.stderr
