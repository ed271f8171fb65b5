"""Work on real hosts through a pod: real kubelets, containerd, systemd and reboots."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.images import BUSYBOX
from tests.cli.run import SHIPKEEPER

KUBECTL = str(Path(sys.executable).parent / "kubectl")
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force")


class Operator:
    """Somebody at the lab's console, with a journal of their own."""

    def __init__(self, lab: Lab, state: Path) -> None:
        self._lab = lab
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(lab.kubeconfig),
            "XDG_STATE_HOME": str(state),
        }

    async def maintain(
        self, node: str, work: str, *more: str, image: str = BUSYBOX
    ) -> "subprocess.CompletedProcess[str]":
        """Maintain a node through a pod."""
        words = ("maintain", "run", node, "--pod", work, "--pod-image", image, *DRAIN, *more)
        return await self._run(SHIPKEEPER, *words)

    async def get(self, *what: str) -> str:
        """What kubectl gets."""
        return (await self.kubectl("get", *what)).stdout

    async def kubectl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run kubectl."""
        return await self._run(KUBECTL, *words)

    async def boot_id(self, node: str) -> str:
        """The boot ID that a node shows."""
        return json.loads(await self.get("node", node, "-o", "json"))["status"]["nodeInfo"][
            "bootID"
        ]

    async def work_pods(self) -> list[str]:
        """The pods of ours that are there and not leaving."""
        text = await self.get("pods", "-A", "-l", "shipkeeper.dev/work-of", "-o", "json")
        return [
            each["metadata"]["name"]
            for each in json.loads(text)["items"]
            if "deletionTimestamp" not in each["metadata"]
        ]

    async def _run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(
            subprocess.run,
            self._lab.inside(*words),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )


@pytest.fixture
def operator(lab: Lab, tmp_path: Path) -> Operator:
    return Operator(lab, tmp_path / "state")


async def test_a_host_is_rebooted_through_a_pod(lab: Lab, operator: Operator) -> None:
    node = lab.hosts[1].name
    before = await operator.boot_id(node)
    done = await operator.maintain(node, "reboot-always", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert await operator.boot_id(node) != before
    shown = json.loads(await operator.get("node", node, "-o", "json"))
    assert "unschedulable" not in shown["spec"]
    assert await operator.work_pods() == []


async def test_work_outlives_the_kubelet_and_the_pod(
    lab: Lab, operator: Operator, tmp_path: Path
) -> None:
    node, script = lab.hosts[2].name, tmp_path / "work.sh"
    script.write_text(
        "echo x >> /root/count; cat /proc/self/cgroup >&2\n"
        "until [ -e /root/go ]; do sleep 0.2; done; hostname\n"
    )
    running = asyncio.create_task(operator.maintain(node, str(script)))
    async with asyncio.timeout(120):
        while lab.run(node, "test", "-e", "/root/count", check=False).returncode:
            assert not running.done(), (await running).stderr
            await asyncio.sleep(0.3)
    # The way in breaks, and then the pod is gone as well.
    await asyncio.to_thread(lab.run, node, "systemctl", "restart", "kubelet")
    (pod,) = await operator.work_pods()
    await operator.kubectl("delete", "pod", "-n", "kube-system", pod, "--wait=true")
    await asyncio.to_thread(lab.run, node, "touch", "/root/go")
    done = await running
    assert done.returncode == 0, done.stderr
    assert lab.run(node, "cat", "/root/count").stdout == "x\n"
    assert f"{node}: {node}" in done.stderr
    assert "kubepods" not in done.stderr
    assert await operator.work_pods() == []


async def test_an_image_that_cannot_be_pulled_is_named(lab: Lab, operator: Operator) -> None:
    node = lab.hosts[1].name
    wishes = ("--pod-timeout", "15s", "--if-work-fails", "returned")
    done = await operator.maintain(node, "reboot", *wishes, image="localhost/none:lab")
    assert done.returncode == 1
    assert "ErrImagePull" in done.stderr or "ImagePullBackOff" in done.stderr
    assert "with --pod-image" in done.stderr
    assert "it takes pods again" in done.stdout
    shown = json.loads(await operator.get("node", node, "-o", "json"))
    assert "unschedulable" not in shown["spec"]
    assert await operator.work_pods() == []
