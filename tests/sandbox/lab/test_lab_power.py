"""Reboots and power cuts."""

import subprocess
import time
from collections.abc import Callable

import pytest

from shipkeeper.sandbox import SandboxError
from shipkeeper.sandbox.lab import Lab
from tests.cli.run import SHIPKEEPER
from tests.lab import Ssh

from .trace import Kubectl, node

LIMIT = 400.0


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_reboot_typed_on_the_host_brings_it_back_with_another_boot_id(
    lab: Lab, ssh: Ssh, kubectl: Kubectl
) -> None:
    host = lab.host("w1")
    before = host.boot_id
    host.run("touch", "/root/kept", "/run/lost")
    ssh(f"{Lab.user}@w1", "sudo systemctl reboot")
    eventually(lambda: host.boot_id != before)
    host.wait_until_up()
    assert ssh("root@w1", "cat /proc/sys/kernel/random/boot_id").stdout.strip() == host.boot_id
    assert ssh("root@w1", "ls /root/kept /run/lost").stdout == "/root/kept\n"
    eventually(lambda: node(kubectl, "w1") == (host.boot_id, True))
    last = host.run("journalctl", "--boot=-1", "--unit=reboot.target", "--output=cat").stdout
    assert "Reached target reboot.target" in last


def test_a_host_without_power_is_silent_until_it_gets_it_back(
    lab: Lab, ssh: Ssh, kubectl: Kubectl
) -> None:
    host = lab.host("w2")
    before = host.boot_id
    # What runs at that moment ends in the middle, and hears nothing more from the host.
    hanging = subprocess.Popen(host.command("sleep", "600"))
    run_cli("power-cut", "w2", lab)
    assert hanging.wait(30)
    try:
        assert not host.is_on
        states = {each.name: each.state for each in lab.status().components}
        assert states == {"cp1": "Running", "w1": "Running", "w2": "Stopped", "w3": "Running"}
        silent = ssh("root@w2", "true", "-o", "ConnectTimeout=3")
        assert silent.returncode == 255
        assert "refused" not in silent.stderr
        with pytest.raises(SandboxError, match="host w2 is not up"):
            host.run("true")
    finally:
        run_cli("power-on", "w2", lab)
    assert host.boot_id != before
    eventually(lambda: node(kubectl, "w2") == (host.boot_id, True))


def test_a_control_plane_host_comes_back_with_its_objects(lab: Lab, kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "kept", "--from-literal=a=b")
    run_cli("reboot", "cp1", lab)
    eventually(lambda: answers(lab))
    eventually(lambda: node(kubectl, "cp1") == (lab.host("cp1").boot_id, True))
    assert kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"
    kubectl("delete", "configmap", "kept")


def answers(lab: Lab) -> bool:
    command = ("kubectl", "get", "--raw", "/readyz")
    return not lab.run("cp1", *command, check=False).returncode


def run_cli(action: str, host: str, lab: Lab) -> None:
    command = [SHIPKEEPER, "sandbox", "host", action, host, "--sandbox", lab.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert not done.returncode, done.stderr
