"""A member that its host alone reaches, saved through SSH by what lies on the host."""

import json
import os
from pathlib import Path

import pytest

from shipkeeper.sandbox.assets.etcd_tools import EtcdTools
from shipkeeper.sandbox.members import EtcdCluster, etcd_cluster
from tests.etcd.world import fill, run
from tests.hosts.sshd import SshServer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start such an sshd")


def manifest(cluster: EtcdCluster, folder: Path, **replaced: str) -> Path:
    """The static pod's manifest of the member, as kubeadm writes it."""
    at = cluster.directory
    flags = {
        "listen-client-urls": cluster.members[0].client,
        "trusted-ca-file": str(cluster.ca),
        "cert-file": str(at / "client.crt"),
        "key-file": str(at / "client.key"),
    } | {name.replace("_", "-"): value for name, value in replaced.items()}
    words = [f"--{name}={value}" for name, value in flags.items()]
    file = folder / "etcd.yaml"
    file.write_text(
        json.dumps(
            {
                "kind": "Pod",
                "spec": {"containers": [{"name": "etcd", "command": ["etcd", *words]}]},
            }
        )
    )
    return file


def ssh(server: SshServer, *addresses: str) -> tuple[str, ...]:
    home = server.home
    hosts = [f"--host={each}" for each in (*addresses, "127.0.0.1")]
    login = ("--ssh-user=root", f"--ssh-port={server.port}", f"--ssh-key={home / 'user_key'}")
    return (*hosts, *login, f"--ssh-known-hosts={home / 'known_hosts'}")


async def test_save_through_a_host(newest_tools: EtcdTools, tmp_path: Path) -> None:
    async with SshServer() as server:
        with etcd_cluster(newest_tools, tmp_path / "cluster") as cluster:
            fill(cluster)
            told = f"--manifest={manifest(cluster, tmp_path)}"
            file = tmp_path / "s.db"
            dry = run("save", str(file), *ssh(server), told, "--dry-run=client")
            assert (dry.returncode, file.exists()) == (0, False), dry.stderr
            # The first host is not there; the second one is.
            saved = run("save", str(file), *ssh(server, "127.0.0.1:1"), told)
            assert saved.returncode == 0, saved.stderr
            assert "trying the next host" in saved.stderr
            assert f"root@127.0.0.1:{server.port}" in saved.stdout
            assert run("verify", str(file)).returncode == 0
            assert "configmaps" in run("ls", str(file)).stdout

            missing = run("save", str(tmp_path / "t.db"), *ssh(server), "--manifest=/no/such")
            assert missing.returncode == 1
            assert "manifest cannot be read" in missing.stderr
            assert "--sudo" in missing.stderr
            told = f"--manifest={manifest(cluster, tmp_path, key_file='/no/such.key')}"
            no_key = run("save", str(tmp_path / "t.db"), *ssh(server), told)
            assert no_key.returncode == 1
            assert "client certificate cannot be read" in no_key.stderr

            cluster.stop()
            told = f"--manifest={manifest(cluster, tmp_path)}"
            stopped = run("save", str(tmp_path / "t.db"), *ssh(server), told)
            assert (stopped.returncode, stopped.stdout) == (1, ""), stopped.stderr
    assert sorted(os.listdir(tmp_path)) == ["cluster", "etcd.yaml", "s.db"]  # noqa: PTH208
