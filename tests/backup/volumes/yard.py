"""Volumes in a real cluster, on a host that a real sshd and a played kubelet lead to."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from shipkeeper.backup.volumes.world import VOLUMES
from shipkeeper.kube.resources import PERSISTENT_VOLUME_CLAIMS
from shipkeeper.kube.writer import Writer
from tests.cli.run import SHIPKEEPER
from tests.cli.user import User
from tests.hosts.sshd import SshServer
from tests.nodes.world import World

Manifest = dict[str, Any]


class Yard:
    """One node; `user` is an administrator at the command line."""

    def __init__(self, world: World, server: SshServer, node: str, directory: Path) -> None:
        self.world = world
        self.server = server
        self.node = node
        self.directory = directory
        self.user = User(world.sandbox, directory)
        self.repository = directory / "repository"

    @property
    def ssh(self) -> tuple[str, ...]:
        """The flags that lead to the host over SSH."""
        home = self.server.home
        return (
            *("--ssh-user", "root", "--ssh-port", str(self.server.port)),
            *("--ssh-address", "hostname", "--ssh-key", str(home / "user_key")),
            *("--ssh-known-hosts", str(home / "known_hosts")),
        )

    @property
    def pod(self) -> tuple[str, ...]:
        """The flags that lead there through a pod."""
        return ("--hosts", "pod", "--pod-image", "none", "--pod-namespace", self.world.name)

    async def init(self) -> None:
        """Make the repository."""
        done = await self.run("init")
        assert done.returncode == 0, done.stderr

    async def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a backup command."""
        return await self.user.run("backup", *words, "--repo", str(self.repository))

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        """A backup command that is at work."""
        command = (SHIPKEEPER, "backup", *words, "--repo", str(self.repository))
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.user.kubeconfig),
            "XDG_STATE_HOME": str(self.user.state),
        }
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    async def create(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Make a backup of this world's namespace; what the command printed."""
        done = await self.run("create", "-n", self.world.name, "-o", "json", *words)
        assert done.returncode == code, done.stderr
        return {**json.loads(done.stdout), "said": done.stderr}

    async def claim(self, name: str, source: Manifest, **spec: Any) -> None:
        """A volume with its claim, bound to each other."""
        kept = f"{self.world.name}-{name}"
        volume: Manifest = {
            "metadata": {"name": kept},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "claimRef": {"namespace": self.world.name, "name": name},
                **source,
            },
        }
        if "local" in source:
            match = {"key": "kubernetes.io/hostname", "operator": "In", "values": [self.node]}
            terms = [{"matchExpressions": [match]}]
            volume["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
        claim = {
            "metadata": {"name": name, "namespace": self.world.name},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "volumeName": kept,
                "resources": {"requests": {"storage": "1Gi"}},
                **spec,
            },
        }
        writer = Writer(self.world.connection)
        await writer.create(VOLUMES, volume)
        await writer.create(PERSISTENT_VOLUME_CLAIMS, claim, namespace=self.world.name)
        async with asyncio.timeout(60):
            while not await self._is_bound(name):
                await asyncio.sleep(0.1)

    async def _is_bound(self, name: str) -> bool:
        found = await self.world.reader.get_raw(PERSISTENT_VOLUME_CLAIMS, name, self.world.name)
        return found["status"].get("phase") == "Bound"

    async def pod_with(
        self, name: str, volumes: list[Manifest], annotations: dict[str, str] | None = None
    ) -> None:
        """A pod that runs and uses volumes."""
        pod = self.world.bare_pod(name)
        pod["spec"]["volumes"] = volumes
        pod["metadata"]["annotations"] = {
            **pod["metadata"].get("annotations", {}),
            **(annotations or {}),
        }
        await self.world.up(pod)


def of_claim(name: str) -> Manifest:
    """A pod's volume that is a claim."""
    return {"name": name, "persistentVolumeClaim": {"claimName": name}}


def volumes_of(backup: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The records of a backup's volumes, by id."""
    return {each["volume"]["id"]: each for each in backup["volumes"]}
