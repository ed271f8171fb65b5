"""Maintenance of real hosts over SSH: reboots, power cuts, and a shipkeeper that is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.images import BUSYBOX
from tests.nodes.fleet.lab_user import LabUser, eventually
from tests.sandbox.lab.trace import Kubectl, node

REPLICAS, BUDGET, PORT = 6, 5, 8080
ASKER = Path(__file__).with_name("asker.py")


@pytest.fixture
def user(lab: Lab, tmp_path: Path) -> LabUser:
    return LabUser(lab, tmp_path)


@pytest.fixture(scope="module")
def kubectl(lab: Lab) -> Kubectl:
    program = Path(sys.executable).parent / "kubectl"
    return Kubectl(lab.inside(str(program), "--kubeconfig", str(lab.kubeconfig)))


@pytest.fixture(scope="module")
def workload(kubectl: Kubectl) -> Iterator[None]:
    """A Deployment under a budget."""
    with serving(kubectl):
        yield


@contextmanager
def serving(kubectl: Kubectl) -> Generator[None]:
    """A Deployment under a budget; its pods answer until the end of their grace."""
    serve = f"mkdir /www; hostname >/www/index.html; exec httpd -f -p {PORT} -h /www"
    container = {
        "name": "web",
        "image": BUSYBOX,
        "command": ["sh", "-c", serve],
        "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
    }
    labels = {"app": "web"}
    kubectl("apply", "-f", "-", stdin=manifest("v1", "Namespace", "fleet", None))
    deployment = {
        "replicas": REPLICAS,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]},
        },
    }
    budget = {"minAvailable": BUDGET, "selector": {"matchLabels": labels}}
    policy = "policy/v1" if "policy/v1\n" in kubectl("api-versions") else "policy/v1beta1"
    kubectl("apply", "-f", "-", stdin=manifest("apps/v1", "Deployment", "web", deployment))
    kubectl("apply", "-f", "-", stdin=manifest(policy, "PodDisruptionBudget", "web", budget))
    all_ready(kubectl)
    yield
    kubectl("delete", "namespace", "fleet", "--wait=false")


def manifest(version: str, kind: str, name: str, spec: Any) -> str:
    metadata = {"name": name} if kind == "Namespace" else {"name": name, "namespace": "fleet"}
    found = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return json.dumps({**found, **({"spec": spec} if spec else {})})


def all_ready(kubectl: Kubectl) -> None:
    kubectl("-n", "fleet", "rollout", "status", "deployment/web", "--timeout=900s")


def boots(lab: Lab, name: str) -> int:
    """How often a host was booted, as it tells itself."""
    return len(lab.run(name, "journalctl", "--list-boots", "--quiet").stdout.splitlines())


def cordon_of(kubectl: Kubectl, name: str) -> str:
    """Who of shipkeeper cordoned a node; `-` if it takes pods."""
    found = json.loads(kubectl("get", "node", name, "-o", "json"))
    if not found["spec"].get("unschedulable"):
        return "-"
    return found["metadata"]["annotations"]["shipkeeper.dev/cordoned-by"].partition("/")[0]


def states(result: dict[str, Any]) -> dict[str, str]:
    return {each["node"]: each["state"] for each in result["nodes"]}


class Asker:
    """The client that keeps asking, in a process of its own."""

    def __init__(self, lab: Lab, report: Path) -> None:
        self._report = report
        words = (sys.executable, str(ASKER), str(lab.kubeconfig), "fleet", "web", str(PORT))
        self._process = subprocess.Popen(lab.inside(*words, str(report)))
        try:
            eventually(lambda: self.answering[-1:] == [REPLICAS], lambda: str(self._lines))
        except BaseException:
            self.end()
            raise
        self._from = len(self.answering) - 1

    @property
    def _lines(self) -> list[dict[str, Any]]:
        text = self._report.read_text() if self._report.exists() else ""
        return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]

    @property
    def answering(self) -> list[int]:
        """How many pods answered, change by change."""
        return [each["answering"] for each in self._lines if "answering" in each]

    @property
    def fewest(self) -> int:
        """The fewest pods that answered at once since all did."""
        return min(self.answering[self._from :])

    @property
    def saw_api_away(self) -> bool:
        """Whether the API server went away and came back meanwhile."""
        return [each["away"] for each in self._lines if "away" in each][:2] == [True, False]

    def end(self) -> None:
        is_asking = self._process.poll() is None
        self._process.terminate()
        self._process.wait(30)
        assert is_asking, "it ended before it was told to"


@pytest.fixture
def asker(lab: Lab, workload: None, tmp_path: Path) -> Iterator[Asker]:
    found = Asker(lab, tmp_path / "asked.jsonl")
    yield found
    found.end()


def test_a_rolling_reboot_of_the_whole_cluster_keeps_the_budget(
    lab: Lab, user: LabUser, kubectl: Kubectl, asker: Asker
) -> None:
    names = [host.name for host in lab.hosts]
    before = {host.name: (host.boot_id, boots(lab, host.name)) for host in lab.hosts}
    done = user.run(*user.maintain("reboot-always", "--all"))
    assert not done.process.returncode, done.said
    assert (done.result["outcome"], states(done.result)) == (
        "Succeeded",
        dict.fromkeys(names, "Done"),
    )
    for host in lab.hosts:
        assert node(kubectl, host.name) == (host.boot_id, True)
        assert host.boot_id != before[host.name][0]
        assert boots(lab, host.name) == before[host.name][1] + 1
        assert cordon_of(kubectl, host.name) == "-"
    assert asker.saw_api_away
    assert asker.fewest >= BUDGET, done.said
    assert done.result["podsMoved"] >= REPLICAS
    all_ready(kubectl)


def test_a_power_cut_in_the_middle_of_the_work_is_told_and_mended(
    lab: Lab, user: LabUser, kubectl: Kubectl, workload: None, tmp_path: Path
) -> None:
    script = tmp_path / "work.sh"
    script.write_text('echo begun; [ -e /root/quick ] || sleep 600; echo "$NODE_NAME" >>/root/did')
    lab.run("w2", "touch", "/root/quick")
    words = (*user.maintain(str(script), "w1", "w2"), "--ready-timeout", "20s")
    with user.start(*words) as command:
        command.hears(lambda event: event.get("message") == "w1: begun")
        lab.cut_power("w1")
        try:
            assert command.ends() == 1
            assert "cannot connect to ops@10.77.0.12" in command.said
            assert states(command.result) == {"w1": "Failed", "w2": "Pending"}
            assert [cordon_of(kubectl, name) for name in ("w1", "w2")] == ["maintain", "-"]
        finally:
            lab.power_on("w1")
    lab.run("w1", "touch", "/root/quick")
    again = user.run(*words)
    assert not again.process.returncode, again.said
    assert [cordon_of(kubectl, name) for name in ("w1", "w2")] == ["-", "-"]
    for name in ("w1", "w2"):
        assert lab.run(name, "cat", "/root/did").stdout == f"{name}\n"
        lab.run(name, "rm", "/root/did", "/root/quick")
    all_ready(kubectl)


@pytest.mark.skipif(
    os.environ.get("SHIPKEEPER_EXHAUSTIVE") != "1",
    reason="the same in the middle of a drain: SHIPKEEPER_EXHAUSTIVE=1",
)
def test_a_power_cut_in_the_middle_of_a_drain_is_told_and_mended(
    lab: Lab, user: LabUser, kubectl: Kubectl, workload: None, tmp_path: Path
) -> None:
    script = tmp_path / "work.sh"
    script.write_text('echo "$NODE_NAME" >>/root/drained')
    words = (*user.maintain(str(script), "w1", "w2"), "--ready-timeout", "20s")
    with user.start(*words) as command:
        command.hears(lambda event: event.get("state") == "Evicting")
        lab.cut_power("w1")
        try:
            assert command.ends() in {1, 5}
            assert "node/w1: its kubelet" in command.said
            assert states(command.result)["w2"] == "Pending"
            assert states(command.result)["w1"] in {"Failed", "Blocked"}
            assert cordon_of(kubectl, "w2") == "-"
            assert lab.run("w2", "cat", "/root/drained", check=False).returncode
        finally:
            lab.power_on("w1")
    kubectl("wait", "--for=condition=Ready", "node/w1", "--timeout=900s")
    again = user.run(*words)
    assert not again.process.returncode, again.said
    assert [cordon_of(kubectl, name) for name in ("w1", "w2")] == ["-", "-"]
    for name in ("w1", "w2"):
        assert lab.run(name, "cat", "/root/drained").stdout == f"{name}\n"
        lab.run(name, "rm", "/root/drained")
    all_ready(kubectl)


def test_shipkeeper_killed_while_a_host_reboots_goes_on(
    lab: Lab, user: LabUser, kubectl: Kubectl
) -> None:
    host = lab.host("w2")
    boot_id, count = host.boot_id, boots(lab, "w2")
    words = user.maintain("reboot-always", "w2")
    with user.start(*words) as command:
        command.hears(lambda event: str(event.get("message")).startswith("w2: reboot: soon"))
        command.process.send_signal(signal.SIGKILL)
        assert command.ends() == -signal.SIGKILL
    assert host.boot_id == boot_id, "it was killed before the host went down"
    eventually(lambda: host.boot_id != boot_id)
    again = user.run(*words)
    assert not again.process.returncode, again.said
    assert any(event.get("resumed") for event in again.events)
    assert node(kubectl, "w2") == (host.boot_id, True)
    assert boots(lab, "w2") == count + 1
    assert cordon_of(kubectl, "w2") == "-"
