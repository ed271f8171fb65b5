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
# SHIPKEEPER_EXHAUSTIVE=1 one of those is walked, and one process is killed before the point of no
# return and one behind it.
FAULTS = {
    "prepare": ("mkdir", "recover-"),
    "stage": ("sync", "member/wal"),
    "edit": ("sync", "etcd.new"),
    "stop-apiserver": ("mv", "manifests/kube-apiserver.yaml /etc"),
    "stop-etcd": ("mv", "manifests/etcd.yaml /etc"),
    "save": ("cat", "member/snap/db"),
    "start-etcd": ("cp", "etcd.new"),
}
SHORT = ("stage", "start-etcd")
KILLS = (
    (
        "prepare",
        "stage",
        "edit",
        "stop-apiserver",
        "stop-etcd",
        "save",
        "start-etcd",
        "etcd-healthy",
    )
    if EXHAUSTIVE
    else ("stop-etcd",)
)
# An etcd that ends as soon as it is started, by a flag that it does not know; and one that runs,
# but does not answer where its health is asked for.
CRASHES = r'/bin/cp "$@"; exec sed -i "s/^\( *\)- etcd$/&\n\1- --no-such-flag/" "$2"'
MUTE = r'/bin/cp "$@"; exec sed -i "s/\(--listen-metrics-urls=.*\):2381/\1:2391/" "$2"'
LIMIT_SECONDS = 1200  # of one recovery: three waits of a kubelet, each up to its default


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


def reached(lab: Lab) -> tuple[str, ...]:
    hosts = [f"--host=root@{host.address}" for host in lab.hosts]
    return (*hosts, f"--ssh-key={lab.ssh_key}", f"--ssh-known-hosts={lab.known_hosts}")


def words(lab: Lab, file: Path, *more: str) -> tuple[str, ...]:
    return ("etcd", "recover", str(file), *reached(lab), *more)


def recover(lab: Lab, user: LabUser, file: Path, *more: str) -> Command:
    with user.start(*words(lab, file, *more)) as command:
        command.ends(LIMIT_SECONDS)
    return command


def killed_in(lab: Lab, user: LabUser, file: Path, step: str) -> str:
    """Kill a recovery with SIGKILL in a step; the id of its run."""
    with user.start(*words(lab, file, "-o", "json")) as command:
        command.hears(
            lambda event: (event["type"], event.get("step")) == ("started", step), LIMIT_SECONDS
        )
        command.process.send_signal(signal.SIGKILL)
        assert command.ends() == -signal.SIGKILL
    return next(event["run"] for event in command.events if event["type"] == "run")


def save(lab: Lab, user: LabUser, folder: Path) -> Path:
    file = folder / "snapshot.db"
    saved = user.run("etcd", "save", str(file), *reached(lab))
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
        break_times(cluster, first, *fault)
        failed = recover(cluster, user, file, "-o", "json")
        assert failed.process.returncode == 1, failed.said
        assert states(failed)[step] == "Failed", failed.said
        assert_old(cluster, before)
    if EXHAUSTIVE:
        for instead in (CRASHES, MUTE):
            break_times(cluster, first, "cp", "etcd.new", instead=instead)
            failed = recover(cluster, user, file, "-o", "json", "--timeout=2m")
            assert failed.process.returncode == 1, failed.said
            assert "Failed" in (states(failed)["start-etcd"], states(failed)["etcd-healthy"])
            assert_old(cluster, before)

    for step in KILLS:
        run = killed_in(cluster, user, file, step)
        other = tmp_path / "other.db"
        shutil.copyfile(file, other)
        assert recover(cluster, user, other).process.returncode == 2
        for verb in ("resume", "abort"):
            assert user.run(verb, run).process.returncode == 2
        given_up = recover(cluster, user, file, "--abort")
        assert given_up.process.returncode == 0, given_up.said
        assert_old(cluster, before)
        assert recover(cluster, user, file, "--abort").process.returncode == 2

    beyond_the_point_of_no_return(cluster, user, file)
    done = recover(cluster, user, file, "-o", "json")
    assert_new(cluster, done)
    if EXHAUSTIVE:
        # What was recovered once can be recovered again; this time nothing is in its way, and
        # whoever watched the cluster until then has seen none of its revisions.
        kubectl(cluster, "create", "configmap", "later")
        seen = revision(cluster, "later")
        assert_new(cluster, recover(cluster, user, file, "-o", "json"))
        kubectl(cluster, "create", "configmap", "later")
        assert revision(cluster, "later") > seen


def revision(lab: Lab, name: str) -> int:
    """The etcd revision of a ConfigMap."""
    path = "-o=jsonpath={.metadata.resourceVersion}"
    return int(kubectl(lab, "get", "configmap", name, path))


def beyond_the_point_of_no_return(lab: Lab, user: LabUser, file: Path) -> None:
    """Whatever fails or dies there: no abort goes back, and the same command goes on."""
    first = lab.hosts[0].name
    if EXHAUSTIVE:
        # Each step is tried three times; then somebody has to look.
        break_times(lab, first, "mv", "kube-apiserver.yaml /etc/kubernetes/manifests", times=3)
        failed = recover(lab, user, file, "-o", "json")
        assert failed.process.returncode == 1, failed.said
        assert states(failed)["start-apiserver"] == "Failed", failed.said
    killed_in(lab, user, file, "start-apiserver")
    refused = recover(lab, user, file, "--abort")
    assert refused.process.returncode == 5, refused.said
    if EXHAUSTIVE:
        break_times(lab, first, "kubectl", "create configmap probe", times=3)
        failed = recover(lab, user, file, "-o", "json")
        assert failed.process.returncode == 1, failed.said
        assert states(failed)["prove"] == "Failed", failed.said
        assert "kept" in kubectl(lab, "get", "configmaps")
        killed_in(lab, user, file, "prove")
        assert recover(lab, user, file, "--abort").process.returncode == 5


def assert_new(lab: Lab, done: Command) -> None:
    """The restored cluster answers."""
    assert done.process.returncode == 0, done.said
    assert done.result["recoverySeconds"] > 0
    print("recoverySeconds", done.result["recoverySeconds"])  # noqa: T201
    there = kubectl(lab, "get", "configmaps")
    assert "kept" in there
    assert "later" not in there


def assert_old(lab: Lab, before: str) -> None:
    """The old cluster answers, and nothing was left on its first host."""
    assert "later" in kubectl(lab, "get", "configmaps")
    assert lab.run(lab.hosts[0].name, "ls", "/etc/kubernetes", "/var/lib").stdout == before


def states(command: Command) -> dict[str, str]:
    run = command.result.get("run", command.result)
    return {each["id"]: each["state"] for each in run["steps"]}


def break_times(
    lab: Lab, host: str, tool: str, pattern: str, instead: str = "exit 9", times: int = 1
) -> None:
    """Let a tool of a host fail, or do something else, the next times that it is given this."""
    place = f"/usr/local/bin/{tool}"
    real = lab.run(host, "sh", "-c", f"command -v {tool}").stdout.strip()
    script = f"""#!/bin/sh
case "$*" in *"{pattern}"*)
    left=$(($(cat {place}.left) - 1))
    echo $left >{place}.left
    [ $left -gt 0 ] || rm -f {place} {place}.left
    echo broken >&2
    {instead}
esac
exec {real} "$@"
"""
    lab.run(
        host,
        "sh",
        "-c",
        f"cat >{place} <<'end'\n{script}end\necho {times} >{place}.left; chmod +x {place}",
    )
