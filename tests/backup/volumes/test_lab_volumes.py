"""Must-show 7: volumes of real hosts, saved over SSH and brought back byte for byte."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.images import BUSYBOX
from tests.backup.volumes.folder import furnish, seen
from tests.backup.volumes.yard import of_claim, volumes_of
from tests.nodes.fleet.lab_user import Command, LabUser
from tests.sandbox.lab.trace import Kubectl

NAMESPACE = "volumes"
SMALL_FILES = 100_000
LOCAL, HOST = "/srv/local", "/srv/host path"
CLAIM = f"claim/{NAMESPACE}/local"


@pytest.fixture(scope="module")
def kubectl(lab: Lab) -> Kubectl:
    program = Path(sys.executable).parent / "kubectl"
    return Kubectl(lab.inside(str(program), "--kubeconfig", str(lab.kubeconfig)))


def manifests(log: str) -> list[dict[str, Any]]:
    """A local volume with its claim on w1, and pods that use it and a directory of w2."""
    match = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["w1"]}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [match]}]}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "volumes-local"},
            "spec": {
                **common,
                "capacity": {"storage": "5Gi"},
                "local": {"path": LOCAL},
                "nodeAffinity": affinity,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "local", "namespace": NAMESPACE},
            "spec": {
                **common,
                "volumeName": "volumes-local",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        pod("db", "w1", of_claim("local"), "sleep 100000", {}),
        pod(
            "web",
            "w2",
            {"name": "host", "hostPath": {"path": HOST}},
            f"while true; do echo line >>/data/{log}; done",
            {
                "backup.shipkeeper.dev/volumes": "host",
                "hook.shipkeeper.dev/before": "echo dump >/data/dump",
                "hook.shipkeeper.dev/after": "rm /data/dump; touch /data/after",
            },
        ),
    ]


def pod(
    name: str, node: str, volume: dict[str, Any], script: str, annotations: dict[str, str]
) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": BUSYBOX,
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": volume["name"], "mountPath": "/data"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [volume],
        },
    }


@pytest.fixture(scope="module")
def folders(lab: Lab, kubectl: Kubectl) -> Iterator[tuple[Path, Path]]:
    """The directories on both hosts; a pod writes to a log of the second one without end."""
    found: list[Path] = []
    for name, path, small in (("w1", LOCAL, SMALL_FILES), ("w2", HOST, 100)):
        folder = lab.host(name).root / path.lstrip("/")
        folder.mkdir(parents=True)
        furnish(folder, small)
        found.append(folder)
    made = {"apiVersion": "v1", "kind": "List", "items": manifests("log")}
    kubectl("apply", "-f", "-", stdin=json.dumps(made))
    ready = ("wait", "--for=condition=Ready", "pod/db", "pod/web", "--timeout=400s")
    try:
        kubectl("-n", NAMESPACE, *ready)
    except AssertionError as error:
        error.add_note(kubectl("-n", NAMESPACE, "describe", "pods"))
        raise
    yield found[0], found[1]
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


class Keeper:
    """Somebody who backs the lab up."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self._user = LabUser(lab, directory)
        self._repository = str(directory / "repository")
        self._ssh = (
            *("--ssh-user", Lab.user, "--sudo", "--ssh-key", str(lab.ssh_key)),
            *("--ssh-known-hosts", str(lab.known_hosts)),
        )

    def run(self, *words: str, code: int = 0) -> Command:
        """Run a backup command."""
        done = self._user.run("backup", *words, "--repo", self._repository)
        assert done.process.returncode == code, done.said
        return done

    def create(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Back volumes up; what the command printed."""
        words = ("create", "-n", NAMESPACE, "-o", "json", *self._ssh, *words)
        return self.run(*words, code=code).result

    def restore(self, *words: str) -> Command:
        """Bring volumes back."""
        return self.run("restore", *words, "-n", NAMESPACE, *self._ssh)


def test_volumes_of_real_hosts(
    lab: Lab, kubectl: Kubectl, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    local, host = folders
    host_id = f"hostpath/w2{HOST}"
    keeper = Keeper(lab, tmp_path)
    keeper.run("init")

    # A file that never stands still is named, and all else is saved.
    first = keeper.create("--volumes", "all", code=3)
    saved = volumes_of(first)
    assert saved[CLAIM]["state"] == "Saved"
    assert saved[CLAIM]["files"]["files"] > SMALL_FILES
    assert saved[host_id]["reason"] == "FilesChanged"
    assert saved[host_id]["files"]["changed"] == ["log: file changed as we read it"]
    assert (host / "after").exists()
    assert not (host / "dump").exists()
    keeper.run("verify")

    kubectl("-n", NAMESPACE, "delete", "pod", "web", "--wait")
    (host / "after").unlink()
    before = seen(local), seen(host)
    second = keeper.create("--volume", CLAIM)
    assert second["state"] == "Complete"
    assert second["contentBytes"] > saved[CLAIM]["files"]["contentBytes"]
    assert second["addedBytes"] < 100_000

    (local / "d" / "large").write_bytes(b"spoilt")
    (local / "many" / "000007").unlink()
    (local / "more").touch()
    keeper.restore("--volumes", "in-place", "--volume", CLAIM)
    assert seen(local) == before[0]
    keeper.restore(
        *("--volumes", "new", "--volume", CLAIM, "--volume-map", f"{CLAIM}=w3:/srv/elsewhere")
    )
    assert seen(lab.host("w3").root / "srv/elsewhere") == before[0]

    # Without its pod the directory of the node is asked for by its name no more: it is not listed.
    assert host_id not in volumes_of(second)
    (host / "d" / "large").unlink()
    keeper.restore(first["name"], "--volumes", "in-place", "--volume", host_id)
    now = seen(host)
    assert now.pop("dump")
    # The hooks and the writer have changed these since.
    assert {**now, "log": 0, ".": 0} == {**before[1], "log": 0, ".": 0}
