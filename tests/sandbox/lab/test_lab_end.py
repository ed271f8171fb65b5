"""Labs side by side, and what is left of one whose maker was killed."""

import os
import signal
import subprocess

import pytest

from shipkeeper.sandbox import SandboxError
from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.layout import LabLayout
from tests.cli.run import SHIPKEEPER

from .trace import traces


def test_a_lab_whose_maker_was_killed_is_taken_down_without_a_trace(lab: Lab) -> None:
    boots = [host.boot_id for host in lab.hosts]
    name = f"killed-lab-{os.getpid()}"
    command = (SHIPKEEPER, "sandbox", "up", name, "--nodes=real", "--workers=1")
    options = ("--kubernetes-version", lab.version)
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as maker:
        assert maker.stderr
        for line in maker.stderr:
            if line.startswith("kubeadm init"):
                break
        maker.send_signal(signal.SIGKILL)
    try:
        killed = Lab.load(name)
        assert {each.state for each in killed.status().components} == {"Running"}
        assert killed.status().state == "Degraded"
        # Both have a host of this name and address, and neither sees the other's.
        assert killed.host("w1").address == lab.host("w1").address
        assert killed.host("w1").boot_id != lab.host("w1").boot_id
        assert traces(name) == {"namespace", "cgroup", "mount", "process", "directory"}
        LabLayout.of(name).record.write_text("{")
        with pytest.raises(SandboxError, match="is damaged"):
            Lab.load(name)
    finally:
        subprocess.run([SHIPKEEPER, "sandbox", "down", name], timeout=600, check=True)
    assert traces(name) == set()
    assert LabLayout.of(name).name not in Lab.names()
    assert {host.is_on for host in lab.hosts} == {True}
    assert [host.boot_id for host in lab.hosts] == boots
