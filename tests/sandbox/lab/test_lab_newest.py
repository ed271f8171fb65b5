"""The newest Kubernetes on three control-plane hosts and a worker."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.lab import Host, Lab
from shipkeeper.sandbox.lab.images import BUSYBOX
from tests.access.lab_robbery import rights, walk, walk_in_vain
from tests.access.lab_town import LabTown, lab_town
from tests.cli.run import SHIPKEEPER
from tests.lab import require_lab, ssh_to
from tests.sandbox.lab.test_lab_power import eventually, run_cli
from tests.sandbox.lab.trace import Kubectl, node, traces

pytestmark = pytest.mark.skipif(
    os.environ.get("SHIPKEEPER_EXHAUSTIVE") != "1",
    reason="a further cluster of real hosts takes minutes: SHIPKEEPER_EXHAUSTIVE=1",
)

_PKI = "etc/kubernetes/pki/etcd"
_MEMBERS = """
import json, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=f"{sys.argv[2]}/ca.crt")
context.load_cert_chain(f"{sys.argv[2]}/server.crt", f"{sys.argv[2]}/server.key")
url = f"https://{sys.argv[1]}:2379/v3/cluster/member/list"
answer = urllib.request.urlopen(urllib.request.Request(url, b"{}"), context=context, timeout=30)
print(json.dumps(sorted(each["name"] for each in json.load(answer)["members"])))
"""


@pytest.fixture(scope="module")
def newest_lab() -> Iterator[Lab]:
    """Made by the command line, and without a trace when it is taken down."""
    require_lab()
    name = f"newest-lab-{os.getpid()}"
    size = ("--nodes=real", "--control-planes=3", "--workers=1")
    up = [SHIPKEEPER, "sandbox", "up", name, *size, "--kubernetes-version", NEWEST]
    try:
        subprocess.run(up, check=True, timeout=900)
        yield Lab.load(name)
    finally:
        subprocess.run([SHIPKEEPER, "sandbox", "down", name], check=True, timeout=600)
    assert traces(name) == set()


def test_the_newest_version_on_three_control_planes(newest_lab: Lab) -> None:
    lab = newest_lab
    program = str(Path(sys.executable).parent / "kubectl")
    kubectl = Kubectl(lab.inside(program, "--kubeconfig", str(lab.kubeconfig)))
    assert [host.name for host in lab.hosts] == ["cp1", "cp2", "cp3", "w1"]
    for host in lab.hosts:
        assert node(kubectl, host.name) == (host.boot_id, True)
        assert ssh_to(lab, f"{Lab.user}@{host.name}", "hostname").stdout == f"{host.name}\n"
    versions = kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.kubeletVersion}")
    assert versions.split() == [NEWEST] * 4
    assert etcd_members(lab, lab.host("cp2")) == ["cp1", "cp2", "cp3"]
    run_a_pod(kubectl)

    run_cli("power-cut", "cp1", lab)
    # Two of three members are a quorum: what is written now is kept.
    kubectl("create", "configmap", "kept", "--from-literal=a=b")
    worker, before = lab.host("w1"), lab.host("w1").boot_id
    assert lab.reboot("w1") != before
    eventually(lambda: node(kubectl, "w1") == (worker.boot_id, True))
    run_cli("power-on", "cp1", lab)
    eventually(lambda: is_back(kubectl, lab.host("cp1")))
    eventually(lambda: holds(lab.host("cp1"), "kept"))


@pytest.fixture(scope="module")
async def lab_of_ways(
    newest_lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LabTown]:
    async with lab_town(newest_lab, tmp_path_factory.mktemp("ways"), rights()) as made:
        yield made


@pytest.mark.parametrize("name", ["node-proxy", "volume", "relabel"])
async def test_ways_to_more_power_on_the_newest_version(lab_of_ways: LabTown, name: str) -> None:
    """What is otherwise than on the oldest one: see test_escalation_in_lab."""
    await walk_in_vain(lab_of_ways, name)
    await walk(lab_of_ways, name)


def run_a_pod(kubectl: Kubectl) -> None:
    words = ("--restart=Never", f"--image={BUSYBOX}", "--command", "--", "echo", "hello")
    kubectl("run", "hello", *words)
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/hello", "--timeout=400s")
    assert kubectl("logs", "hello") == "hello\n"


def etcd_members(lab: Lab, host: Host) -> list[str]:
    """The members that a host's etcd knows of."""
    words = (sys.executable, "-c", _MEMBERS, host.address, str(host.root / _PKI))
    answer = subprocess.run(lab.inside(*words), capture_output=True, text=True, check=False)
    assert not answer.returncode, answer.stderr
    return json.loads(answer.stdout)


def is_back(kubectl: Kubectl, host: Host) -> bool:
    """Whether a host is a Ready node of this boot; an API server that starts refuses everybody."""
    try:
        return node(kubectl, host.name) == (host.boot_id, True)
    except AssertionError:
        return False


def holds(host: Host, name: str) -> bool:
    """Whether a host's own API server, on its own etcd, has a ConfigMap."""
    here = f"--server=https://{host.address}:6443"
    return not host.run("kubectl", here, "get", "configmap", name, check=False).returncode
