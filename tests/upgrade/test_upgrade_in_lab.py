"""A real upgrade of a real cluster over SSH, by the commands and packages that users take.

It needs engines of two minors, which take many minutes to build, and ten more to be upgraded: it
runs only where SHIPKEEPER_EXHAUSTIVE=1 is set.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipkeeper.sandbox.assets import NODE, find_assets
from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.base import find_base
from shipkeeper.sandbox.lab.images import find_images
from tests.lab import require_lab
from tests.nodes.fleet.lab_user import LabUser, eventually
from tests.nodes.fleet.test_lab_maintenance import BUDGET, Asker, all_ready, serving
from tests.sandbox.lab.trace import Kubectl
from tests.upgrade.packages import install, put_on, write_repository

OLD, NEW = "v1.36.3", "v1.37.2"
IGNORED = ("SystemVerification", "CoreDNSUnsupportedPlugins", "CoreDNSMigration", "CreateJob")
LIMIT_SECONDS = 1500  # of a whole upgrade; kubeadm alone waits two minutes for its Job
HOSTS = ("cp1", "w1", "w2")


def say(line: str) -> None:
    print(line)  # noqa: T201


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    require_lab()
    if os.environ.get("SHIPKEEPER_EXHAUSTIVE") != "1":
        pytest.skip("it takes ten minutes and engines of two minors: SHIPKEEPER_EXHAUSTIVE=1")
    lab = Lab.up("test-upgrade", OLD, say, control_planes=1, workers=2)
    try:
        folder = tmp_path_factory.mktemp("repository") / "packages"
        for version in (OLD, NEW):
            write_repository(folder, version, say)
        put_on(lab, folder, OLD.rpartition(".")[0])
        images = find_images(
            find_assets(NEW, say), find_assets(NEW, say, NODE), find_base(say), say
        )
        for host in lab.hosts:
            install(host, OLD)
            for archive in images.archives(control_plane=host.role == "control-plane"):
                with archive.open("rb") as file:
                    host.run("ctr", "--namespace=k8s.io", "images", "import", "-", stdin=file)
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="module")
def kubectl(cluster: Lab) -> Kubectl:
    program = Path(sys.executable).parent / "kubectl"
    return Kubectl(cluster.inside(str(program), "--kubeconfig", str(cluster.kubeconfig)))


def words(lab: Lab, *more: str) -> tuple[str, ...]:
    return (
        *("upgrade", "run", "--to", NEW, "--via", OLD, "--ssh-user", Lab.user, "--sudo"),
        *("--ssh-key", str(lab.ssh_key), "--ssh-known-hosts", str(lab.known_hosts)),
        *("--ignore-daemonsets", "--pinned-controllers", "--no-snapshot"),
        # This machine may have version 1 of cgroups, which kubeadm refuses since 1.35; pods of a
        # lab do without CoreDNS, and its stand-in for pause does not end, as kubeadm's Job wants.
        f"--kubeadm-flag=--ignore-preflight-errors={','.join(IGNORED)}",
        *("-o", "json"),
        *more,
    )


def kubelets(kubectl: Kubectl) -> dict[str, str]:
    found = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    return {
        each["metadata"]["name"]: each["status"]["nodeInfo"]["kubeletVersion"] for each in found
    }


def test_a_cluster_is_upgraded_and_serves_throughout(
    cluster: Lab, kubectl: Kubectl, tmp_path: Path
) -> None:
    user = LabUser(cluster, tmp_path)
    assert kubelets(kubectl) == dict.fromkeys(HOSTS, OLD)
    with serving(kubectl):
        asker = Asker(cluster, tmp_path / "asked.jsonl")
        try:
            _without_packages(cluster, user)
            _killed_in_the_middle(cluster, user)
            _to_the_end(cluster, user)
        finally:
            asker.end()
        assert asker.fewest >= BUDGET
        eventually(lambda: _is_served(kubectl))
    assert kubelets(kubectl) == dict.fromkeys(HOSTS, NEW)
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    assert not [each for each in nodes if each["spec"].get("unschedulable")]
    seen = user.run("upgrade", "versions", "-o", "json")
    servers = [
        each["text"]
        for each in seen.result["components"]
        if each["name"] in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]
    assert servers == [NEW] * 3


def _is_served(kubectl: Kubectl) -> bool:
    """Whether all pods are Ready; an API server that has just started may refuse to tell."""
    try:
        all_ready(kubectl)
    except AssertionError:
        return False
    return True


def _without_packages(lab: Lab, user: LabUser) -> None:
    """The repository of the hop is away: nothing is changed, and it is said why."""
    minor = NEW.rpartition(".")[0]
    place = f"/opt/packages/core:/stable:/{minor}"
    lab.run("cp1", "mv", place, f"{place}.away")
    failed = user.run(*words(lab))
    assert failed.process.returncode == 1, failed.said
    stands = user.run("upgrade", "status", "-o", "json").result
    (broken,) = [each for each in stands["steps"] if each["state"] == "Failed"]
    assert broken["id"] == "cp1/kubeadm-1"
    assert "apt-get" in broken["message"]
    assert "run the same" in stands["next"]
    assert "nothing but packages" in stands["wayBack"]
    lab.run("cp1", "mv", f"{place}.away", place)


def _killed_in_the_middle(lab: Lab, user: LabUser) -> None:
    """Shipkeeper dies while kubeadm works: kubeadm goes on, and so does the next shipkeeper."""
    with user.start(*words(lab)) as command:
        command.hears(lambda event: "kubeadm upgrade apply" in str(event.get("message")))
        command.process.send_signal(signal.SIGKILL)
        assert command.ends() == -signal.SIGKILL
    stands = user.run("upgrade", "status", "-o", "json").result
    assert stands["state"] == "Stopped"
    assert stands["next"].startswith("shipkeeper upgrade resume")


def _to_the_end(lab: Lab, user: LabUser) -> None:
    with user.start("upgrade", "resume", "-o", "json") as done:
        done.process.wait(LIMIT_SECONDS)
    assert not done.process.returncode, done.said
    assert done.result["outcome"] == "Succeeded"
    stands = user.run("upgrade", "status", "-o", "json").result
    assert {each["state"] for each in stands["steps"]} == {"Done"}
    # kubeadm was started once, however often shipkeeper was.
    began = [event for event in done.events if "kubeadm upgrade apply" in str(event)]
    assert len(began) <= 1
