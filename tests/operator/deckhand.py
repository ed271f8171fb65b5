"""Who plays the container of a Job's pod on a hollow node: it runs what the pod says, as whom."""

import asyncio
import base64
import os
import subprocess
from typing import Any

import msgspec

from shipkeeper.backup.skip import OF_BACKUP_LABEL
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

    async def jobs(self) -> list[str]:
        """The names of all Jobs beside the operator."""
        return sorted(
            each.name for each in (await self._reader.list(JOBS, namespace=NAMESPACE)).items
        )

    async def pod_of(self, uid: str, *, within: float = 60.0) -> dict[str, Any]:
        """The newest pod that runs for a Backup, with every field that it has."""
        async with asyncio.timeout(within):
            while True:
                selector = f"{OF_BACKUP_LABEL}={uid}"
                found = await self._reader.list(_PODS, namespace=NAMESPACE, label_selector=selector)
                for each in found.items:
                    pod = await self._reader.get_raw(_PODS, each.name, NAMESPACE)
                    if pod["status"].get("phase") == "Running":
                        return pod
                await asyncio.sleep(0.1)

    async def run(self, pod: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
        """Run the container of a pod, with the mounts and the account that it asks for."""
        (container,) = pod["spec"]["containers"]
        folder = self._harbour.directory / pod["metadata"]["name"]
        (folder / "key").mkdir(parents=True)
        (mount,) = (each for each in container["volumeMounts"] if each["name"] == "key")
        (volume,) = (each for each in pod["spec"]["volumes"] if each["name"] == "key")
        for name, content in (await self._secret(volume["secret"]["secretName"])).items():
            file = folder / "key" / name
            file.write_bytes(content)
            file.chmod(volume["secret"]["defaultMode"])
        kubeconfig = folder / "kubeconfig"
        await self._harbour.log_in(pod["spec"]["serviceAccountName"], kubeconfig)
        environment = {"PATH": os.defpath, "KUBECONFIG": str(kubeconfig)}
        environment |= {each["name"]: str(folder) for each in container["env"]}
        for each in container.get("envFrom", ()):
            values = await self._secret(each["secretRef"]["name"])
            environment |= {name: value.decode() for name, value in values.items()}
        words = [
            word.replace(mount["mountPath"], str(folder / "key")) for word in container["args"]
        ]
        return await asyncio.to_thread(
            subprocess.run,
            [SHIPKEEPER, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

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
