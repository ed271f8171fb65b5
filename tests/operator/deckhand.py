"""Who plays the container of a Job's pod on a hollow node: it runs what the pod says, as whom."""

import asyncio
import base64
import os
import subprocess
from typing import Any

import msgspec

from shipkeeper.backup.skip import OF_BACKUP_LABEL, OF_RESTORE_LABEL
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import Resource
from shipkeeper.model.meta import KubeObject
from tests.cli.run import SHIPKEEPER
from tests.operator.harbour import NAMESPACE, Harbour

_PODS = Resource("", "v1", "pods", "Pod", KubeObject)
_SECRETS = Resource("", "v1", "secrets", "Secret", KubeObject)
JOBS = Resource("batch", "v1", "jobs", "Job", KubeObject)


class Deckhand:
    """Runs the containers of Jobs as processes, and tells what became of them as a kubelet does."""

    def __init__(self, harbour: Harbour) -> None:
        self._harbour = harbour
        self._reader = Reader(harbour.connection)
        self._started: list[subprocess.Popen[str]] = []

    async def jobs(self) -> list[str]:
        """The names of all Jobs beside the operator."""
        return sorted(
            each.name for each in (await self._reader.list(JOBS, namespace=NAMESPACE)).items
        )

    async def pod_of(self, uid: str, *, within: float = 400.0) -> dict[str, Any]:
        """A pod that runs for a Backup or a Restore, with every field that it has."""
        async with asyncio.timeout(within):
            while True:
                found = await self._reader.list(_PODS, namespace=NAMESPACE)
                for each in found.items:
                    labels = each.metadata.labels
                    if uid not in (labels.get(OF_BACKUP_LABEL), labels.get(OF_RESTORE_LABEL)):
                        continue
                    pod = await self._reader.get_raw(_PODS, each.name, NAMESPACE)
                    if pod["status"].get("phase") == "Running":
                        return pod
                await asyncio.sleep(0.1)

    async def run(self, pod: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
        """Run the container of a pod to its end, as `start` does."""
        process = await self.start(pod)
        out, err = await asyncio.to_thread(process.communicate, timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    async def start(self, pod: dict[str, Any]) -> "subprocess.Popen[str]":
        """Start the container of a pod, with the mounts and the account that it asks for."""
        (container,) = pod["spec"]["containers"]
        folder = self._harbour.directory / pod["metadata"]["name"]
        (folder / "key").mkdir(parents=True)
        words: list[str] = list(container["args"])
        for mount in container["volumeMounts"]:
            if mount["name"] != "key":
                continue  # the token of its account, which is logged in with below
            (volume,) = (each for each in pod["spec"]["volumes"] if each["name"] == "key")
            for name, content in (await self._secret(volume["secret"]["secretName"])).items():
                file = folder / "key" / name
                file.write_bytes(content)
                file.chmod(volume["secret"]["defaultMode"])
            words = [word.replace(mount["mountPath"], str(folder / "key")) for word in words]
        kubeconfig = folder / "kubeconfig"
        await self._harbour.log_in(pod["spec"]["serviceAccountName"], kubeconfig)
        environment = {"PATH": os.defpath, "KUBECONFIG": str(kubeconfig)}
        environment |= {each["name"]: str(folder) for each in container["env"]}
        for each in container.get("envFrom", ()):
            values = await self._secret(each["secretRef"]["name"])
            environment |= {name: value.decode() for name, value in values.items()}
        return self._start(words, environment)

    def _start(self, words: list[str], environment: dict[str, str]) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [SHIPKEEPER, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def end_all(self) -> None:
        """Kill what it started, and has not ended."""
        for each in self._started:
            each.kill()
            each.wait()
            for stream in (each.stdout, each.stderr):
                if stream is not None:
                    stream.close()

    async def ends(
        self,
        pod: dict[str, Any],
        *,
        code: int = 0,
        reason: str = "",
        message: str = "",
        **more: Any,
    ) -> None:
        """Tell that a pod's container has ended."""
        terminated = {
            "exitCode": code,
            "reason": reason or ("Error" if code else "Completed"),
            "message": message,
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:01Z",
        }
        phase = "Failed" if code else "Succeeded"
        await self._tell(pod, phase, {"terminated": terminated, "running": None}, **more)

    async def waits(self, pod: dict[str, Any], reason: str, message: str) -> None:
        """Tell that a pod's container cannot be started."""
        waiting = {"reason": reason, "message": message}
        await self._tell(pod, "Pending", {"waiting": waiting, "running": None})

    async def _tell(
        self, pod: dict[str, Any], phase: str, state: dict[str, Any], **more: Any
    ) -> None:
        (container,) = pod["status"]["containerStatuses"]
        now = {**container, "ready": False, "started": False, "state": state}
        status = {"phase": phase, "containerStatuses": [now], **more}
        await self._harbour.kubectl(
            *("patch", "pod", pod["metadata"]["name"], "-n", NAMESPACE, "--subresource=status"),
            f"-p={msgspec.json.encode({'status': status}).decode()}",
        )

    async def _secret(self, name: str) -> dict[str, bytes]:
        found = await self._reader.get_raw(_SECRETS, name, NAMESPACE)
        return {key: base64.b64decode(value) for key, value in found["data"].items()}
