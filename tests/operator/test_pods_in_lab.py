"""The operator as pods of a real cluster: its image, its manifests, real kubelets and evictions.

With SHIPKEEPER_EXHAUSTIVE=1 on the oldest version, too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.backup.volumes.programs import STAGE
from shipkeeper.sandbox.assets import NEWEST, OLDEST
from shipkeeper.sandbox.lab import Host, Lab
from shipkeeper.sandbox.lab.images import BUSYBOX
from shipkeeper.sandbox.lab.network import Switch
from tests.cli.run import SHIPKEEPER
from tests.lab import require_lab
from tests.nodes.fleet.lab_user import eventually
from tests.nodes.fleet.test_lab_maintenance import BUDGET, REPLICAS, Asker, boots, serving
from tests.operator.harbour import KUBECTL, NAMESPACE
from tests.operator.lab_bucket import ENDPOINT, URL, LabBucket, bucket_in
from tests.operator.onlooker import Onlooker, cordons, ended, evicted, evictions, holders
from tests.sandbox.lab.trace import Kubectl, node
from tests.store import s3

pytestmark = pytest.mark.usefixtures("operator")

NAME = "shipkeeper-operator"
USER = 65532
WORK = "kube-system"
REBOOT = {"pod": {"work": "reboot-always", "image": BUSYBOX, "namespace": WORK}}
LIST = {"apiVersion": "v1", "kind": "List"}
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}
# So large that there is time to kill who writes it.
FILE_BYTES = 96 * 1024 * 1024
VERSIONS = (NEWEST, OLDEST) if os.environ.get("SHIPKEEPER_EXHAUSTIVE") else (NEWEST,)


class Ship:
    """A lab, and the operator's pods in it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.command = lab.inside(KUBECTL, "--kubeconfig", str(lab.kubeconfig))
        self.kubectl = Kubectl(self.command)

    def get(self, *what: str) -> Any:
        """What kubectl gets."""
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    @property
    def pods(self) -> dict[str, Any]:
        """The operator's pods by name, but for those that are leaving."""
        found = self.get("pods", "-n", NAMESPACE)["items"]
        return {
            pod["metadata"]["name"]: pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }

    @property
    def leader(self) -> str:
        """The name of the pod that leads; empty if none does."""
        lease = self.get("lease", NAME, "-n", NAMESPACE)
        return (lease["spec"].get("holderIdentity") or "").partition("_")[0]

    def node_of(self, pod: str) -> str:
        """The node of one of the operator's pods."""
        return self.get("pod", pod, "-n", NAMESPACE)["spec"]["nodeName"]

    @property
    def free_worker(self) -> str:
        """A worker that has none of the operator's pods."""
        taken = {pod["spec"]["nodeName"] for pod in self.pods.values()}
        workers = (host.name for host in self.lab.hosts if host.role == "worker")
        return next(each for each in workers if each not in taken)

    def restarts(self, pod: str) -> int:
        """How often the container of one of the operator's pods was started again."""
        (container,) = self.pods[pod]["status"]["containerStatuses"]
        return container["restartCount"]

    def pid(self, pod: str) -> int:
        """The process of a pod of the operator's, or of a Restore's Job, as its host numbers it."""
        uid = self.get("pod", pod, "-n", NAMESPACE)["metadata"]["uid"]
        script = (
            'for each in $(pgrep -f "[o]perator r"); do grep -l "$0" /proc/$each/cgroup; done; true'
        )
        (found,) = self.lab.run(self.node_of(pod), "sh", "-c", script, uid).stdout.split()
        return int(found.split("/")[2])

    @contextmanager
    def about_to_kill(self, pod: str) -> Generator[Callable[[], None]]:
        """What kills the process of a pod at once: to look for it first would take too long."""
        wait = ("sh", "-c", 'read -r word && kill -9 "$0"', str(self.pid(pod)))
        words = self.lab.host(self.node_of(pod)).command(*wait)
        with subprocess.Popen(words, stdin=subprocess.PIPE) as shell:

            def kill() -> None:
                shell.communicate(b"now\n")
                assert shell.returncode == 0

            yield kill

    def create(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        """Create an object of ours."""
        manifest = {
            "apiVersion": "shipkeeper.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        self.kubectl("create", "-f", "-", stdin=json.dumps(manifest))

    def maintain(self, name: str, **spec: Any) -> None:
        """Create a NodeMaintenance."""
        self.create("NodeMaintenance", name, {"action": {"wait": "1s"}, **spec})

    def secret(self, name: str, *content: str) -> None:
        """Create a Secret beside the operator."""
        self.kubectl("create", "secret", "generic", name, "-n", NAMESPACE, *content)

    def backup(self, name: str, **spec: Any) -> dict[str, Any]:
        """The status of a new Backup, once it came to an end."""
        self.create("Backup", name, {"repository": "bucket", **spec})
        over = {"Completed", "Incomplete", "Failed"}
        eventually(
            lambda: self.get("bk", name).get("status", {}).get("phase") in over,
            lambda: self.kubectl("get", "bk,jobs,pods", "-A", "-o", "wide") + self.said(),
        )
        return self.get("bk", name)["status"]

    def restore(self, name: str) -> dict[str, Any]:
        """How a Restore stands."""
        return self.get("rst", name).get("status", {})

    def pod_of(self, restore: str) -> str:
        """The pod that works on a Restore; empty if none runs."""
        job = self.restore(restore).get("job")
        found = self.get("pods", "-n", NAMESPACE, "-l", f"job-name={job}")["items"] if job else ()
        running = (each for each in found if each["status"]["phase"] == "Running")
        return next((each["metadata"]["name"] for each in running), "")

    def status(self, name: str) -> dict[str, Any]:
        """How a NodeMaintenance stands."""
        return self.get("nodemaintenance", name).get("status", {})

    def succeeds(self, name: str) -> None:
        """Return when a NodeMaintenance has succeeded."""
        over = {"Succeeded", "Incomplete", "Blocked", "Failed", "Aborted"}
        eventually(lambda: self.status(name).get("phase") in over, self.said)
        status = self.status(name)
        assert status["phase"] == "Succeeded", f"{json.dumps(status, indent=1)}\n{self.said()}"

    def said(self) -> str:
        """What the operator's pods are and say."""
        words = ("logs", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=shipkeeper", "--prefix")
        return self.kubectl("get", "pods", "-A", "-o", "wide") + self.kubectl(*words, "--tail=40")


def tell(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


@pytest.fixture(scope="module", params=VERSIONS)
def ship(request: pytest.FixtureRequest) -> Iterator[Ship]:
    """A lab of its own: in the newest version namespaces enforce what pods may be.

    One of its three workers has none of the operator's pods.
    """
    require_lab()
    name = f"ship-lab-{os.getpid()}"
    made = Lab.up(name, request.param, tell, workers=3)
    yield Ship(made)
    made.down()


@pytest.fixture(scope="module")
def operator(ship: Ship) -> None:
    """The operator, installed as the page says, once it is ready."""
    image = ship.lab.provide_shipkeeper(tell)
    words = (SHIPKEEPER, "operator", "manifests", "--image", image, "--host-pods", WORK)
    words += ("--allow", "backups", "--allow", "backup-jobs", "--allow", "restore-jobs")
    words += ("--kubernetes-version", ship.lab.version)
    made = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    ship.kubectl("apply", "--server-side", "-f", "-", stdin=made)
    try:
        ship.kubectl("rollout", "status", f"deployment/{NAME}", "-n", NAMESPACE, "--timeout=400s")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{ship.said()}") from None
    eventually(lambda: ship.leader in ship.pods, ship.said)


def test_two_pods_run_with_no_more_rights_than_they_need(ship: Ship) -> None:
    assert len({pod["spec"]["nodeName"] for pod in ship.pods.values()}) == 2
    assert {pod["spec"]["serviceAccountName"] for pod in ship.pods.values()} == {NAME}
    for name in ship.pods:
        node, process = ship.node_of(name), f"/proc/{ship.pid(name)}"
        status = ship.lab.run(node, "cat", f"{process}/status").stdout
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert facts["Uid"].split() == facts["Gid"].split() == [str(USER)] * 4
        assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
        assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
        mounts = ship.lab.run(node, "cat", f"{process}/mountinfo").stdout.splitlines()
        (root,) = (line.split() for line in mounts if line.split()[4] == "/")
        assert "ro" in root[5].split(",")


def test_its_connections_are_those_that_its_network_policy_allows(ship: Ship) -> None:
    (rule,) = ship.get("networkpolicy", NAME, "-n", NAMESPACE)["spec"]["egress"]
    allowed = {port["port"] for port in rule["ports"] if port["protocol"] == "TCP"}
    (pod,) = (pod for name, pod in ship.pods.items() if name == ship.leader)
    enter = ("nsenter", f"--net=/proc/{ship.pid(ship.leader)}/ns/net")
    listed = ship.lab.run(pod["spec"]["nodeName"], *enter, "ss", "-Htn", "state", "established")
    sockets = [line.split()[2:4] for line in listed.stdout.splitlines()]
    asked = [peer for own, peer in sockets if not own.endswith(":9464")]
    assert asked
    assert {int(peer.rpartition(":")[2]) for peer in asked} <= allowed


def test_a_leader_that_drains_itself_carries_on_elsewhere(ship: Ship, tmp_path: Path) -> None:
    leader = ship.leader
    last = ship.node_of(leader)
    before = evictions(ship.kubectl("get", "--raw", "/metrics"))
    with serving(ship.kubectl):
        asker = Asker(ship.lab, tmp_path / "asked.jsonl")
        nodes = Onlooker(ship.command, "nodes", tmp_path / "nodes.json")
        pods = Onlooker(ship.command, "pods", tmp_path / "pods.json")
        ship.maintain("all", nodes={"selector": "!node-role.kubernetes.io/control-plane"})
        ship.succeeds("all")
        for each in (asker, nodes, pods):
            each.end()
    workers = {host.name for host in ship.lab.hosts if host.role == "worker"}
    cordoned = cordons(nodes.seen)
    assert len(cordoned) == len(set(cordoned))
    assert set(cordoned) == workers
    assert cordoned[-1] == last
    assert leader not in ship.pods
    assert ship.leader in ship.pods
    # The API server granted one eviction for each pod that went by one, and no other.
    granted = evictions(ship.kubectl("get", "--raw", "/metrics")) - before
    went = ended(pods.seen) if ship.lab.version == OLDEST else evicted(pods.seen)
    assert granted == len(went) >= REPLICAS
    assert asker.fewest >= BUDGET
    assert not any(node["spec"].get("unschedulable") for node in ship.get("nodes")["items"])


def test_the_other_goes_on_when_the_leader_is_killed(ship: Ship, tmp_path: Path) -> None:
    leader = ship.leader
    (other,) = (name for name in ship.pods if name != leader)
    target, restarts = ship.free_worker, ship.restarts(leader)
    before, nodes = boots(ship.lab, target), Onlooker(ship.command, "nodes", tmp_path / "nodes")
    ship.maintain("killed", nodes={"names": [target]}, action=REBOOT)
    eventually(lambda: target in cordons(nodes.seen), ship.said)
    ship.lab.run(ship.node_of(leader), "kill", "-9", str(ship.pid(leader)))
    ship.succeeds("killed")
    nodes.end()
    assert ship.leader == other
    assert cordons(nodes.seen) == [target]
    assert boots(ship.lab, target) == before + 1
    # Its container was started again, and stands by.
    eventually(lambda: ship.restarts(leader) > restarts, ship.said)
    eventually(lambda: stands_by(ship, leader, other), ship.said)


@pytest.mark.parametrize("what", ["power", "network"])
def test_the_other_goes_on_when_the_leaders_host_is_gone_and_comes_back(
    ship: Ship, tmp_path: Path, what: str
) -> None:
    """Without power it is silent; without network it goes on, and comes back in the midst of it."""
    leader = ship.leader
    (other,) = (name for name in ship.pods if name != leader)
    host, target = ship.lab.host(ship.node_of(leader)), ship.free_worker
    restarts = ship.restarts(leader)
    before, nodes = boots(ship.lab, target), Onlooker(ship.command, "nodes", tmp_path / "nodes")
    leases = Onlooker(ship.command, "leases", tmp_path / "leases")
    ship.maintain(f"no-{what}", nodes={"names": [target]}, action=REBOOT)
    eventually(lambda: target in cordons(nodes.seen), ship.said)
    take_away(ship.lab, host, what)
    try:
        eventually(lambda: ship.leader == other, ship.said)
        if what == "power":
            ship.succeeds(f"no-{what}")
    finally:
        give_back(ship.lab, host, what)
    ship.succeeds(f"no-{what}")
    eventually(lambda: node(ship.kubectl, host.name) == (host.boot_id, True), ship.said)
    if what == "power":
        eventually(lambda: ship.restarts(leader) > restarts, ship.said)
    eventually(lambda: stands_by(ship, leader, other), ship.said)
    for each in (nodes, leases):
        each.end()
    assert cordons(nodes.seen) == [target]
    assert boots(ship.lab, target) == before + 1
    # Whoever came back took nothing back: one led after the other, each once.
    assert [each.partition("_")[0] for each in holders(leases.seen, NAME)] == [leader, other]
    told = ship.get("events", "--field-selector", f"involvedObject.name=no-{what}")["items"]
    assert "Resumed" in {each["reason"] for each in told}


def take_away(lab: Lab, host: Host, what: str) -> None:
    if what == "power":
        lab.cut_power(host.name)
    else:
        Switch(lab.layout.tag).unplug(host.name)


def give_back(lab: Lab, host: Host, what: str) -> None:
    if what == "power":
        lab.power_on(host.name)
    else:
        plug = lab.inside("ip", "link", "set", host.name, "up")
        subprocess.run(plug, check=True, timeout=30)


def stands_by(ship: Ship, pod: str, leader: str) -> bool:
    """Whether the last that a pod said of leading is that another does."""
    said = ship.kubectl("logs", "-n", NAMESPACE, pod).splitlines()
    (*_, last) = ("", *(line for line in said if line.endswith(" leads")))
    return last.startswith(f"standing by: {leader}_")


@pytest.fixture(scope="module")
def bucket(
    ship: Ship, operator: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabBucket]:
    """A bucket in the lab's network, declared as the BackupRepository `bucket`."""
    with bucket_in(ship.lab, tmp_path_factory.mktemp("bucket")) as found:
        ship.secret("key", f"--from-file=writer.key={found.key}")
        ship.secret("identity", f"--from-file=reader.age={found.identity}")
        store = {"AWS_ACCESS_KEY_ID": s3.ACCESS, "AWS_SECRET_ACCESS_KEY": s3.SECRET}
        ship.secret("store", *(f"--from-literal={key}={value}" for key, value in store.items()))
        names = ("key", "identity", "store")
        secrets = {f"{each}Secret": {"name": each} for each in names}
        ship.create("BackupRepository", "bucket", {"url": URL, "endpoint": ENDPOINT, **secrets})
        yield found


def test_jobs_save_volumes_and_have_their_limits(ship: Ship, bucket: LabBucket) -> None:
    host = ship.lab.host("w1")
    host.run("sh", "-c", "mkdir /srv/shop; echo of the shop >/srv/shop/file")
    ship.kubectl("apply", "-f", "-", stdin=json.dumps(keeper("shop", "default", host.name)))
    ship.kubectl("wait", "--for=condition=Ready", "pod/shop", "--timeout=400s")
    objects = {"namespaces": ["default"], "kinds": ["pods"]}
    volumes = {"only": ["hostpath/*/srv/shop"], "image": BUSYBOX, "namespace": WORK}
    saved = ship.backup("saved", objects=objects, volumes=volumes)
    assert (saved["phase"], saved["attempts"], saved["volumes"]) == ("Completed", 1, 1), saved
    shown = json.loads(bucket.run("show", saved["id"], "-o", "json"))
    (volume,) = (each for each in shown["volumes"] if each["state"] == "Saved")
    assert volume["volume"]["id"] == f"hostpath/{host.name}/srv/shop"
    assert volume["files"]["contentBytes"] == len("of the shop\n")
    large = ship.backup("large", objects=objects, job={"memoryLimit": "24Mi"})
    assert (large["phase"], large["attempts"]) == ("Failed", 1), large
    (succeeded,) = (each for each in large["conditions"] if each["type"] == "Succeeded")
    assert succeeded["reason"] == "OutOfMemory", large


@pytest.mark.usefixtures("bucket")
def test_jobs_bring_objects_and_files_back_though_one_is_killed(ship: Ship) -> None:
    host, words = ship.lab.host("w2"), ("-n", "cargo")
    folder = host.root / "srv/cargo"
    content = os.urandom(FILE_BYTES)
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(content)
    ship.kubectl("create", "namespace", "cargo")
    ship.kubectl("apply", "-f", "-", stdin=json.dumps(keeper("cargo", "cargo", host.name)))
    ship.kubectl("wait", "--for=condition=Ready", "pod/cargo", *words, "--timeout=400s")
    listed = {f"c{number}" for number in range(50)}
    made = [{**CONFIG_MAP, "metadata": {"name": name, "namespace": "cargo"}} for name in listed]
    ship.kubectl("create", "-f", "-", stdin=json.dumps({**LIST, "items": made}))
    through = {"only": ["hostpath/*/srv/cargo"], "image": BUSYBOX, "namespace": WORK}
    objects = {"namespaces": ["cargo"], "kinds": ["configmaps"]}
    saved = ship.backup("cargo", objects=objects, volumes=through)
    assert (saved["phase"], saved["volumes"]) == ("Completed", 1), saved
    ship.kubectl("delete", "configmaps", *words, *listed)
    (folder / "file").write_bytes(b"spoilt")
    asked = {"repository": "bucket", "backup": saved["id"], "objects": objects, "job": {}}
    volumes = {"how": "in-place", **through}
    ship.create("Restore", "cargo", {**asked, "volumes": volumes, "approved": True})
    eventually(lambda: bool(ship.pod_of("cargo")), ship.said)
    with ship.about_to_kill(ship.pod_of("cargo")) as kill:
        eventually(lambda: any((folder / STAGE).glob("*/file")), ship.said)
        kill()
    eventually(lambda: "retryAt" in ship.restore("cargo"), ship.said)
    assert (folder / "file").stat().st_size == len(b"spoilt")
    # Whoever changes its limits does not wait for the next attempt.
    longer = json.dumps({"spec": {"job": {"timeLimit": "1h"}}})
    ship.kubectl("patch", "rst", "cargo", "--type=merge", "-p", longer)
    eventually(lambda: "finishedAt" in ship.restore("cargo"), ship.said)
    status = ship.restore("cargo")
    assert (status["phase"], status["attempts"]) == ("Succeeded", 2), status
    # Compared beside the assertion, which would spend half an hour on showing the difference.
    is_back = (folder / "file").read_bytes() == content
    assert is_back
    found = {each["metadata"]["name"] for each in ship.get("configmaps", *words)["items"]}
    assert listed <= found


def keeper(name: str, namespace: str, node: str) -> dict[str, Any]:
    """A pod that asks for a directory of its node, /srv/NAME, to be saved."""
    container = {"name": "main", "image": BUSYBOX, "command": ["sleep", "100000"]}
    mounts = [{"name": "data", "mountPath": "/data"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {"backup.shipkeeper.dev/volumes": "data"},
        },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{**container, "volumeMounts": mounts}],
            "volumes": [{"name": "data", "hostPath": {"path": f"/srv/{name}"}}],
        },
    }
