"""A real kubeadm control plane brought back over SSH, and the way back from every step."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipkeeper.sandbox.assets import OLDEST
from shipkeeper.sandbox.lab import Lab
from tests.lab import require_lab
from tests.nodes.fleet.lab_user import Command, LabUser

EXHAUSTIVE = os.environ.get("SHIPKEEPER_EXHAUSTIVE") == "1"
# The tool of a host that fails once in each step, and what of its arguments tells that step. A way
# back that has to stop and start a control plane takes half a minute: without
# SHIPKEEPER_EXHAUSTIVE=1 one of those is walked.
FAULTS = {
    "prepare": ("mkdir", "recover-"),
    "stage": ("sync", "member/wal"),
    "edit": ("sync", "etcd.new"),
    "stop-apiserver": ("mv", "manifests/kube-apiserver.yaml /etc"),
    "stop-etcd": ("mv", "manifests/etcd.yaml /etc"),
    "start-etcd": ("cp", "etcd.new"),
}
SHORT = ("stage", "start-etcd")


@pytest.fixture(
    scope="module",
    params=[
        1,
        pytest.param(
            3,
            marks=pytest.mark.skipif(
                not EXHAUSTIVE, reason="three control planes take minutes: SHIPKEEPER_EXHAUSTIVE=1"
            ),
        ),
    ],
)
def cluster(request: pytest.FixtureRequest) -> Iterator[Lab]:
    require_lab()
    name = f"test-recover-{os.getpid()}-{request.param}"
    made = Lab.up(
        name,
        OLDEST,
        lambda line: print(line, file=sys.stderr),  # noqa: T201
        control_planes=request.param,
        workers=0,
    )
    yield made
    made.down()


def kubectl(lab: Lab, *words: str) -> str:
    first = lab.hosts[0].name
    return lab.run(first, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *words).stdout


def words(lab: Lab, file: Path, *more: str) -> tuple[str, ...]:
    hosts = [f"--host=root@{host.address}" for host in lab.hosts]
    keys = (f"--ssh-key={lab.ssh_key}", f"--ssh-known-hosts={lab.known_hosts}")
    return ("etcd", "recover", str(file), *hosts, *keys, *more)


def recover(lab: Lab, user: LabUser, file: Path, *more: str) -> Command:
    return user.run(*words(lab, file, *more))


def killed_in(lab: Lab, user: LabUser, file: Path, step: str) -> str:
    """Kill a recovery with SIGKILL in a step; the id of its run."""
    with user.start(*words(lab, file, "-o", "json")) as command:
        command.hears(lambda event: (event["type"], event.get("step")) == ("started", step))
        command.process.send_signal(signal.SIGKILL)
        assert command.ends() == -signal.SIGKILL
    return next(event["run"] for event in command.events if event["type"] == "run")


def save(lab: Lab, user: LabUser, folder: Path) -> Path:
    host = lab.hosts[0]
    for name in ("ca.crt", "server.crt", "server.key"):
        (folder / name).write_text(
            lab.run(host.name, "cat", f"/etc/kubernetes/pki/etcd/{name}").stdout
        )
    file = folder / "snapshot.db"
    saved = user.run(
        *("etcd", "save", str(file), f"--endpoints=https://{host.address}:2379"),
        *(f"--cacert={folder / 'ca.crt'}", f"--cert={folder / 'server.crt'}"),
        f"--key={folder / 'server.key'}",
    )
    assert saved.process.returncode == 0, saved.said
    return file


def test_a_control_plane_comes_back(cluster: Lab, tmp_path: Path) -> None:
    user = LabUser(cluster, tmp_path)
    kubectl(cluster, "create", "configmap", "kept")
    file = save(cluster, user, tmp_path)
    kubectl(cluster, "create", "configmap", "later")

    first = cluster.hosts[0].name
    before = cluster.run(first, "ls", "/etc/kubernetes", "/var/lib").stdout
    planned = recover(cluster, user, file, "--dry-run=client", "-o", "json")
    assert planned.process.returncode == 0, planned.said
    assert planned.result["outlook"]["pointOfNoReturn"] == "start-apiserver"
    assert cluster.run(first, "ls", "/etc/kubernetes", "/var/lib").stdout == before

    for step, fault in FAULTS.items():
        if not EXHAUSTIVE and step not in SHORT:
            continue
        break_once(cluster, first, *fault)
        failed = recover(cluster, user, file, "-o", "json")
        assert failed.process.returncode == 1, failed.said
        assert states(failed)[step] == "Failed", failed.said
        assert "later" in kubectl(cluster, "get", "configmaps")
        assert cluster.run(first, "ls", "/etc/kubernetes", "/var/lib").stdout == before

    run = killed_in(cluster, user, file, "stop-etcd")
    other = tmp_path / "other.db"
    shutil.copyfile(file, other)
    assert recover(cluster, user, other).process.returncode == 2
    for verb in ("resume", "abort"):
        assert user.run(verb, run).process.returncode == 2
    given_up = recover(cluster, user, file, "--abort")
    assert given_up.process.returncode == 0, given_up.said
    assert "later" in kubectl(cluster, "get", "configmaps")
    assert cluster.run(first, "ls", "/etc/kubernetes", "/var/lib").stdout == before
    assert recover(cluster, user, file, "--abort").process.returncode == 2

    killed_in(cluster, user, file, "start-apiserver")
    refused = recover(cluster, user, file, "--abort")
    assert refused.process.returncode == 5, refused.said
    done = recover(cluster, user, file, "-o", "json")
    assert done.process.returncode == 0, done.said
    assert done.result["recoverySeconds"] > 0
    print("recoverySeconds", done.result["recoverySeconds"])  # noqa: T201
    there = kubectl(cluster, "get", "configmaps")
    assert "kept" in there
    assert "later" not in there


def states(command: Command) -> dict[str, str]:
    run = command.result.get("run", command.result)
    return {each["id"]: each["state"] for each in run["steps"]}


def break_once(lab: Lab, host: str, tool: str, pattern: str) -> None:
    """Let a tool of a host fail the next time that it is given this."""
    place = f"/usr/local/bin/{tool}"
    script = f"""#!/bin/sh
case "$*" in *"{pattern}"*) rm -f "$0"; echo broken >&2; exit 9;; esac
exec /bin/{tool} "$@"
"""
    lab.run(host, "sh", "-c", f"cat >{place} <<'end'\n{script}end\nchmod +x {place}")
