"""A lab as a whole: its cluster, its hosts, its walls."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shipkeeper.errors import UsageError
from shipkeeper.sandbox import SandboxError
from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.images import BUSYBOX
from tests.cli.run import SHIPKEEPER
from tests.lab import Ssh

from .trace import Kubectl, node

PANIC = Path("/proc/sys/kernel/panic")


def test_every_host_is_a_ready_node_with_a_boot_id_of_its_own(lab: Lab, kubectl: Kubectl) -> None:
    assert [(host.name, host.role) for host in lab.hosts] == [
        ("cp1", "control-plane"),
        *((f"w{number}", "worker") for number in (1, 2, 3)),
    ]
    reported = {host.name: node(kubectl, host.name) for host in lab.hosts}
    assert reported == {host.name: (host.boot_id, True) for host in lab.hosts}
    assert len({boot_id for boot_id, _ in reported.values()}) == len(lab.hosts)
    versions = kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.kubeletVersion}")
    assert versions.split() == [lab.version] * len(lab.hosts)


def test_hosts_are_debian_under_a_systemd_without_complaints(lab: Lab) -> None:
    for host in lab.hosts:
        assert host.run("cat", "/proc/1/comm").stdout == "systemd\n"
        assert host.run("hostname").stdout == f"{host.name}\n"
        assert host.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""
        assert host.run("dpkg", "--audit").stdout == ""


@pytest.mark.parametrize("user", ["root", Lab.user])
def test_ssh_opens_every_host_whose_key_is_known(lab: Lab, ssh: Ssh, user: str) -> None:
    for host in lab.hosts:
        for target in (host.name, host.address):
            done = ssh(f"{user}@{target}", "hostname; id -un; sudo -n id -u")
            assert done.stdout.split() == [host.name, user, "0"], done.stderr


def test_a_host_with_another_key_is_refused(lab: Lab, ssh: Ssh, tmp_path: Path) -> None:
    known = dict(line.split(" ", 1) for line in lab.known_hosts.read_text().splitlines())
    names = lab.host("w1"), lab.host("w2")
    mine, other = (f"{host.name},{host.address}" for host in names)
    wrong = tmp_path / "known_hosts"
    wrong.write_text(f"{mine} {known[other]}\n")
    done = ssh("root@w1", "true", "-o", f"UserKnownHostsFile={wrong}")
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_nothing_leads_out_of_the_lab(lab: Lab) -> None:
    for command in (lab.inside("ip", "route"), lab.host("w1").command("ip", "route")):
        routes = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        targets = [line.split()[0] for line in routes.splitlines()]
        assert targets
        assert all(target.startswith(("10.77.0.", "10.244.")) for target in targets), routes


def test_pods_run_and_answer_at_their_addresses(lab: Lab, kubectl: Kubectl) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": "w3"},
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "web",
                    "image": BUSYBOX,
                    "command": ["sh", "-c", "echo hello >/tmp/index.html; httpd -f -h /tmp"],
                }
            ],
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    try:
        kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=400s")
        address = kubectl("get", "pod", "web", "-o", "jsonpath={.status.podIP}")
        assert address.startswith("10.244.")
        code = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).read())"
        fetch = lab.inside(sys.executable, "-c", code, f"http://{address}/index.html")
        answer = subprocess.run(fetch, capture_output=True, text=True, check=False)
        assert answer.stdout == "b'hello\\n'\n", answer.stderr
    finally:
        kubectl("delete", "pod", "web", "--wait=false")


def test_what_a_host_sets_in_the_kernel_stays_in_the_host(lab: Lab) -> None:
    before = PANIC.read_text()
    try:
        assert lab.run("w1", "cat", str(PANIC)).stdout.strip() == "10", "the kubelet sets it"
        lab.run("w1", "sh", "-c", f"echo 37 > {PANIC}")
        assert PANIC.read_text() == before
    finally:
        PANIC.write_text(before)


def test_a_command_that_fails_inside_is_told(lab: Lab) -> None:
    with pytest.raises(SandboxError, match=r"ls failed on w1 \(exit code 2\): .*No such file"):
        lab.run("w1", "ls", "/nowhere")
    assert lab.run("w1", "ls", "/nowhere", check=False).returncode == 2


def test_an_unknown_host_is_named(lab: Lab) -> None:
    with pytest.raises(UsageError, match="has no host 'w9'") as error:
        lab.run("w9", "true")
    assert error.value.hint == "its hosts are: cp1, w1, w2, w3"


def test_a_lab_with_other_hosts_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match="not what was asked for"):
        Lab.up(lab.name, lab.version, print, workers=1)


def test_the_command_line_knows_labs_and_sandboxes_by_one_set_of_names(lab: Lab) -> None:
    shown = json.loads(cli("status", lab.name, "-o", "json").stdout)["items"]
    assert [(each["name"], each["state"], each["version"]) for each in shown] == [
        (lab.name, "Running", lab.version)
    ]
    assert set(shown[0]["components"]) == {host.name for host in lab.hosts}
    assert lab.name in cli("status").stdout
    assert cli("kubeconfig", lab.name).stdout == f"{lab.kubeconfig}\n"
    script = "echo $KUBECONFIG; grep -c w3 /etc/hosts; exit 7"
    inside = cli("exec", lab.name, "--", "sh", "-c", script)
    assert (inside.returncode, inside.stdout) == (7, f"{lab.kubeconfig}\n1\n")
    hollow = cli("up", lab.name, "--nodes", "3")
    assert (hollow.returncode, "with real nodes" in hollow.stderr) == (2, True)
    assert cli("up", lab.name, "--nodes", "many").returncode == 2


def cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [SHIPKEEPER, "sandbox", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
