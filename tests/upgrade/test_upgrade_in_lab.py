"""A real upgrade of a real cluster over SSH, by the commands and packages that users take.

One cluster passes through every fault in turn: each ends in a verdict and is settled, and at the
end the cluster is upgraded. The fault that has kubeadm wait for five minutes is played only where
SHIPKEEPER_EXHAUSTIVE=1 is set: an API server that ends at once, over and over.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipkeeper.sandbox.assets import NODE, find_assets
from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.base import find_base
from shipkeeper.sandbox.lab.host import Host
from shipkeeper.sandbox.lab.images import Images, find_images
from tests.lab import require_lab
from tests.nodes.fleet.lab_user import LabUser, eventually
from tests.nodes.fleet.test_lab_maintenance import BUDGET, Asker, all_ready, serving
from tests.sandbox.lab.trace import Kubectl
from tests.upgrade.packages import install, repository_of, served, write_repository

OLD, NEW = "v1.36.3", "v1.37.2"
GATE = "AnyVolumeDataSource=true"  # the last minor that knows it is 1.36
FLAG = "no-such-flag"  # nothing tells beforehand that it is refused
IGNORED = ("SystemVerification", "CoreDNSUnsupportedPlugins", "CoreDNSMigration")
LIMIT_SECONDS = 900  # of a whole upgrade
HOSTS = ("cp1", "w1", "w2")


def say(line: str) -> None:
    print(f"{time.strftime('%T')} {line}", file=sys.stderr)  # noqa: T201


class Field:
    """A cluster that is to be upgraded, its administrator, and the packages it gets."""

    def __init__(self, lab: Lab, packages: Path, images: Images, directory: Path) -> None:
        self.lab = lab
        self.packages = packages
        self.images = images
        self.user = LabUser(lab, directory)
        self.repository = directory / "backups"
        program = Path(sys.executable).parent / "kubectl"
        self.kubectl = Kubectl(lab.inside(str(program), "--kubeconfig", str(lab.kubeconfig)))

    def words(self, verb: str = "run", *more: str) -> tuple[str, ...]:
        """The command that upgrades the cluster."""
        lab = self.lab
        return (
            *("upgrade", verb, "--to", NEW, "--via", OLD, "--ssh-user", Lab.user, "--sudo"),
            *("--ssh-key", str(lab.ssh_key), "--ssh-known-hosts", str(lab.known_hosts)),
            *("--ignore-daemonsets", "--pinned-controllers", "--repo", str(self.repository)),
            # This machine may have version 1 of cgroups, which kubeadm refuses since 1.35, and
            # pods of a lab do without CoreDNS.
            f"--kubeadm-flag=--ignore-preflight-errors={','.join(IGNORED)}",
            *("-o", "json"),
            *more,
        )

    def status(self) -> dict[str, Any]:
        """Where the latest upgrade stands."""
        return self.user.run("upgrade", "status", "-o", "json").result

    def fails_at(self, step: str) -> dict[str, Any]:
        """Run into a fault; how the upgrade stands then, with the failed step as `broken`."""
        with self.user.start(*self.words()) as failed:
            failed.process.wait(LIMIT_SECONDS)
        assert failed.process.returncode == 1, failed.said
        return self.stands_failed(step)

    def stands_failed(self, step: str) -> dict[str, Any]:
        """How an upgrade stands that failed at one step, alone."""
        stands = self.status()
        say(f"  next: {stands['next']}; way back: {stands['wayBack']}")
        (broken,) = [each for each in stands["steps"] if each["state"] == "Failed"]
        say(f"  {broken['id']}: {broken['message']}")
        assert broken["id"] == step
        assert "run the same" in stands["next"]
        return {**stands, "broken": broken}

    @property
    def kubelets(self) -> dict[str, str]:
        """The kubelets' versions, as their nodes tell them."""
        found = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        return {
            each["metadata"]["name"]: each["status"]["nodeInfo"]["kubeletVersion"] for each in found
        }

    @property
    def cordoned(self) -> list[str]:
        """The nodes that take no pods."""
        found = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        return [each["metadata"]["name"] for each in found if each["spec"].get("unschedulable")]

    @property
    def control_plane(self) -> list[str]:
        """The versions of what Kubernetes releases of it."""
        seen = self.user.run("upgrade", "versions", "-o", "json").result["components"]
        own = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        return [each["text"] for each in seen if each["name"] in own]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    require_lab()
    directory = tmp_path_factory.mktemp("upgrade")
    packages = directory / "packages"
    lab = Lab.up(f"test-upgrade-{os.getpid()}", OLD, say, control_planes=1, workers=2)
    try:
        for version in (OLD, NEW):
            write_repository(packages, version, say)
        images = find_images(
            find_assets(NEW, say), find_assets(NEW, say, NODE), find_base(say), say
        )
        found = Field(lab, packages, images, directory)
        with served(lab, packages, OLD):
            with ThreadPoolExecutor() as pool:
                list(pool.map(partial(fit_out, images), lab.hosts))
            made = found.user.run("backup", "init", "--repo", str(found.repository))
            assert not made.process.returncode, made.said
            yield found
    finally:
        lab.down()
        # What was said stays, as of any test; hundreds of megabytes need not.
        shutil.rmtree(packages, ignore_errors=True)


def fit_out(images: Images, host: Host) -> None:
    """Install the packages of the cluster as it is, and have the images of what it shall be."""
    install(host, OLD)
    for archive in images.archives(control_plane=host.role == "control-plane"):
        with archive.open("rb") as file:
            host.run("ctr", "--namespace=k8s.io", "images", "import", "-", stdin=file)


def test_a_cluster_is_upgraded_through_every_fault_and_serves_throughout(
    field: Field, tmp_path: Path
) -> None:
    assert field.kubelets == dict.fromkeys(HOSTS, OLD)
    with serving(field.kubectl):
        asker = Asker(field.lab, tmp_path / "asked.jsonl")
        try:
            without_room(field)
            without_packages(field)
            without_an_image(field)
            on_a_full_disk(field)
            with_a_setting_that_the_target_refuses(field)
            if os.environ.get("SHIPKEEPER_EXHAUSTIVE") == "1":
                with_an_api_server_that_does_not_start(field)
            killed_while_kubeadm_works(field)
            with_a_kubelet_that_does_not_start(field)
            to_the_end(field)
        finally:
            asker.end()
        assert asker.fewest >= BUDGET
        eventually(lambda: is_served(field.kubectl))
    assert field.kubelets == dict.fromkeys(HOSTS, NEW)
    assert field.cordoned == []
    assert field.control_plane == [NEW] * 3


def without_room(field: Field) -> None:
    """A disk is full beforehand: nothing is begun."""
    say("a full disk beforehand")
    with full(field.lab, "/var/cache"):
        stands = field.fails_at("cp1/preflight")
    assert stands["broken"]["message"] == "cp1: there is less than 1 GiB of room in /var/cache"
    assert stands["snapshot"] == stands["backup"] == "not taken yet"


def without_packages(field: Field) -> None:
    """The repository of the hop is away: it is said why, and an abort puts all back."""
    say("no packages")
    place = repository_of(field.packages, NEW)
    place.rename(place.with_name("away"))
    stands = field.fails_at("cp1/kubeadm-1")
    assert "apt-get" in stands["broken"]["message"]
    assert "nothing but packages" in stands["wayBack"]
    place.with_name("away").rename(place)
    is_saved(field, stands)
    aborted = field.user.run("upgrade", "abort")
    assert not aborted.process.returncode, aborted.said
    listed = field.lab.run("cp1", "cat", "/etc/apt/sources.list.d/kubernetes.list").stdout
    assert "/v1.36/" in listed
    assert field.lab.run("cp1", "apt-mark", "showhold").stdout.split() == [
        *("kubeadm", "kubectl", "kubelet")
    ]
    assert field.status()["state"] == "Aborted"


def is_saved(field: Field, stands: dict[str, Any]) -> None:
    """What the status names as saved can be read: the snapshot by us, the backup by its list."""
    snapshot = stands["snapshot"].partition(" (")[0]
    assert "sha256 checked" in stands["snapshot"]
    listed = field.user.run("etcd", "ls", snapshot, "deployments", "-n", "fleet")
    assert not listed.process.returncode, listed.said
    assert oct(Path(snapshot).stat().st_mode)[-3:] == "600"
    assert not Path(snapshot).with_name("etcd-client").exists()
    backups = field.user.run("backup", "list", "--repo", str(field.repository), "-o", "json")
    assert stands["backup"].partition(" in ")[0] in json.dumps(backups.result)


def without_an_image(field: Field) -> None:
    """Kubeadm itself refuses, as no registry has an image."""
    say("no image")
    images = ("ctr", "--namespace=k8s.io", "images")
    listed = field.lab.run("cp1", *images, "list", "--quiet").stdout.split()
    (image,) = [each for each in listed if each.endswith(f"/kube-apiserver:{NEW}")]
    field.lab.run("cp1", *images, "rm", image)
    stands = field.fails_at("cp1/control-plane-1")
    assert "kubeadm upgrade" in stands["broken"]["message"]
    assert field.control_plane == [OLD] * 3
    (archive,) = [
        each for each in field.images.archives(control_plane=True) if "apiserver" in each.name
    ]
    with archive.open("rb") as file:
        field.lab.host("cp1").run(*images, "import", "-", stdin=file)


def on_a_full_disk(field: Field) -> None:
    """The disk is full when kubeadm wants to keep what it replaces."""
    say("a full disk while kubeadm works")
    with full(field.lab, "/etc/kubernetes/tmp"):
        stands = field.fails_at("cp1/control-plane-1")
    assert "No space left" in stands["broken"]["message"]
    assert field.control_plane == [OLD] * 3


@contextmanager
def full(lab: Lab, place: str) -> Generator[None]:
    """A folder of the control plane that holds next to nothing."""
    lab.run("cp1", "mkdir", "-p", place)
    lab.run("cp1", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place)
    try:
        yield
    finally:
        lab.run("cp1", "umount", place)


def with_a_setting_that_the_target_refuses(field: Field) -> None:
    """A feature gate that the target does not know: it is seen, and nothing is begun."""
    say("a setting that the target refuses")
    before = field.status()
    with given(field.kubectl, "feature-gates", GATE):
        told = field.user.run("upgrade", "check", "--to", NEW, "-o", "json")
        assert GATE.partition("=")[0] in json.dumps(told.result["findings"])
        refused = field.user.run(*field.words())
    assert refused.process.returncode == 5, refused.said
    assert f"do not know the feature gate {GATE.partition('=')[0]}" in refused.said
    assert field.status() == before


def with_an_api_server_that_does_not_start(field: Field) -> None:
    """It ends at once, over and over; shipkeeper dies, too, and is told why by the next one.

    kubeadm puts the old one back.
    """
    say("an API server that does not start")
    with given(field.kubectl, FLAG, "1"):
        with field.user.start(*field.words()) as command:
            eventually(lambda: crashes(field.lab), lambda: command.said, command.process)
            command.process.send_signal(signal.SIGKILL)
            assert command.ends() == -signal.SIGKILL
        stands = field.status()
        assert stands["state"] == "Stopped"
        assert stands["next"].startswith("shipkeeper upgrade resume")
        assert "restoring etcd from the snapshot" in stands["wayBack"]
        # Nothing can be taken back while no API server tells what there is.
        aborted = field.user.run("upgrade", "abort")
        assert aborted.process.returncode == 1, aborted.said
        assert field.status() == stands
        with field.user.start("upgrade", "resume", "-o", "json") as gone_on:
            gone_on.process.wait(LIMIT_SECONDS)
        assert gone_on.process.returncode == 1, gone_on.said
        stands = field.stands_failed("cp1/control-plane-1")
        told = f"kube-apiserver does not stay up: Error: unknown flag: --{FLAG}"
        assert "kubeadm upgrade apply" in stands["broken"]["message"]
        assert told in stands["broken"]["message"]
        eventually(lambda: is_served(field.kubectl))
    assert field.control_plane == [OLD] * 3
    aborted = field.user.run("upgrade", "abort")
    assert not aborted.process.returncode, aborted.said
    assert field.status()["state"] == "Aborted"


def crashes(lab: Lab) -> bool:
    """Whether an API server was started with the flag, and said that it does not know it."""
    words = ("grep", "-rqs", f"unknown flag: --{FLAG}", "/var/log/pods")
    return not lab.host("cp1").run(*words, check=False).returncode


@contextmanager
def given(kubectl: Kubectl, name: str, value: str) -> Generator[None]:
    """A flag in what kubeadm starts API servers with."""
    words = ("-n", "kube-system", "get", "configmap", "kubeadm-config", "-o", "json")
    before = json.loads(kubectl(*words))["data"]["ClusterConfiguration"]
    changed = yaml.safe_load(before)
    flags = changed.setdefault("apiServer", {}).setdefault("extraArgs", [])
    flags.append({"name": name, "value": value})
    patch(kubectl, yaml.safe_dump(changed))
    try:
        yield
    finally:
        eventually(lambda: is_served(kubectl))
        patch(kubectl, before)


def patch(kubectl: Kubectl, configuration: str) -> None:
    """Change what kubeadm knows of the cluster."""
    body = json.dumps({"data": {"ClusterConfiguration": configuration}})
    kubectl("-n", "kube-system", "patch", "configmap", "kubeadm-config", "--patch", body)


def killed_while_kubeadm_works(field: Field) -> None:
    """Shipkeeper dies: kubeadm goes on, and so does the next shipkeeper, further below."""
    say("shipkeeper is killed")
    with field.user.start(*field.words()) as command:
        command.hears(lambda event: "kubeadm upgrade apply" in str(event.get("message")))
        command.process.send_signal(signal.SIGKILL)
        assert command.ends() == -signal.SIGKILL
    stands = field.status()
    assert stands["state"] == "Stopped"
    assert stands["next"].startswith("shipkeeper upgrade resume")


def with_a_kubelet_that_does_not_start(field: Field) -> None:
    """The kubelet knows a flag no more: it says so, and an abort gives the node its old one."""
    say("a kubelet that does not start")
    flags = f"KUBELET_EXTRA_ARGS=--feature-gates={GATE}"
    field.lab.run("w1", "sh", "-c", f"echo '{flags}' >/etc/default/kubelet")
    with field.user.start("upgrade", "resume", "-o", "json") as gone_on:
        gone_on.process.wait(LIMIT_SECONDS)
    assert gone_on.process.returncode == 1, gone_on.said
    # kubeadm was started once, however often shipkeeper was.
    began = [event for event in gone_on.events if "kubeadm upgrade apply" in str(event)]
    assert len(began) <= 1
    stands = field.stands_failed("w1/update")
    assert "the kubelet does not stay up" in stands["broken"]["message"]
    assert GATE.partition("=")[0] in stands["broken"]["message"]
    assert field.control_plane == [NEW] * 3
    assert field.cordoned == ["w1"]
    aborted = field.user.run("upgrade", "abort")
    assert not aborted.process.returncode, aborted.said
    assert field.kubelets == dict.fromkeys(HOSTS, OLD)
    assert field.cordoned == []
    field.lab.run("w1", "rm", "/etc/default/kubelet")


def to_the_end(field: Field) -> None:
    """The same command, from where the cluster is."""
    say("to the end")
    with field.user.start(*field.words()) as done:
        done.process.wait(LIMIT_SECONDS)
    assert not done.process.returncode, done.said
    assert done.result["outcome"] == "Succeeded"
    stands = field.status()
    assert {each["state"] for each in stands["steps"]} == {"Done"}


def is_served(kubectl: Kubectl) -> bool:
    """Whether all pods are Ready; an API server that has just started may refuse to tell."""
    try:
        all_ready(kubectl)
    except AssertionError:
        return False
    return True
