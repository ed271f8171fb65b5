"""Velero beside a backup: its server, its plugin and an S3 server as real processes.

The server runs outside of the cluster, and backs up the objects that are asked for alone.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

# The S3 server is that of the tests.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.store import s3

from other_tools import ToolError, built, run
from shipkeeper.errors import ShipkeeperError
from shipkeeper.sandbox.sandbox import Sandbox
from world import KUBECTL

SERVER = ("github.com/vmware-tanzu/velero", "v1.18.0", "./cmd/velero")
PLUGIN = (
    "github.com/vmware-tanzu/velero-plugin-for-aws",
    "v1.14.3",
    "./velero-plugin-for-aws",
)
NAMESPACE = "velero"
PATIENCE = 120  # seconds until the server has looked at its storage


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A backup: seconds by the wall clock, and the objects that are in it."""

    seconds: float
    objects: int


def velero_backup(sandbox: Sandbox, kinds: Iterable[str]) -> Taken:
    """Back all objects of some kinds up; ToolError where that is not possible."""
    velero, plugin = built(*SERVER), built(*PLUGIN)
    try:
        s3.server_binary()
    except (ShipkeeperError, subprocess.SubprocessError) as error:
        raise ToolError(f"there is no S3 server: {error}") from error
    with tempfile.TemporaryDirectory() as scratch, s3.serving(Path(scratch, "s3")) as endpoint:
        place = Path(scratch)
        (place / "plugins").mkdir()
        (place / "plugins" / plugin.name).symlink_to(plugin)
        _install(velero, sandbox, endpoint)
        with _served(velero, sandbox, place):
            return _taken(velero, sandbox, kinds)


def _install(velero: Path, sandbox: Sandbox, endpoint: str) -> None:
    definitions = run([str(velero), "install", "--crds-only", "--dry-run", "-o", "yaml"])
    _apply(sandbox, definitions)
    _apply(sandbox, json.dumps(_kind("v1", "Namespace", NAMESPACE)))
    for plural in ("backups", "backupstoragelocations"):
        _kubectl(sandbox, "wait", "--for=condition=Established", f"crd/{plural}.velero.io")
    location = _kind("velero.io/v1", "BackupStorageLocation", "default", namespace=NAMESPACE)
    location["spec"] = {
        "provider": "aws",
        "default": True,
        "objectStorage": {"bucket": s3.BUCKET},
        "config": {
            "region": "us-east-1",
            "s3ForcePathStyle": "true",
            "s3Url": endpoint,
            "checksumAlgorithm": "",
        },
    }
    _apply(sandbox, json.dumps(location))


def _kind(version: str, kind: str, name: str, **metadata: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}}


@contextmanager
def _served(velero: Path, sandbox: Sandbox, place: Path) -> Generator[None]:
    command = [str(velero), "server", "--plugin-dir", str(place / "plugins")]
    command += ["--kubeconfig", str(sandbox.kubeconfig), "--namespace", NAMESPACE]
    command += ["--metrics-address", "127.0.0.1:0", "--profiler-address", "127.0.0.1:0"]
    command += ["--log-level", "warning"]
    secrets = {"AWS_ACCESS_KEY_ID": s3.ACCESS, "AWS_SECRET_ACCESS_KEY": s3.SECRET}
    log = place / "server.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            command, env={**os.environ, **secrets}, cwd=place, stdout=sink, stderr=sink
        )
    try:
        _wait_until_usable(server, sandbox, log)
        yield
    finally:
        server.terminate()
        server.wait()


def _wait_until_usable(server: subprocess.Popen[bytes], sandbox: Sandbox, log: Path) -> None:
    query = ("get", "backupstoragelocation", "default", "-n", NAMESPACE, "-o")
    until = time.monotonic() + PATIENCE
    while _kubectl(sandbox, *query, "jsonpath={.status.phase}") != "Available":
        if server.poll() is not None or time.monotonic() > until:
            raise ToolError(f"its server does not serve: {log.read_text()[-2000:]}")
        time.sleep(0.5)


def _taken(velero: Path, sandbox: Sandbox, kinds: Iterable[str]) -> Taken:
    words = ["backup", "create", "bench", "--snapshot-volumes=false", "--wait"]
    words += ["--include-resources", ",".join(kinds)]
    began = time.monotonic()
    run([str(velero), *words, "--kubeconfig", str(sandbox.kubeconfig)])
    seconds = time.monotonic() - began
    answer = _kubectl(sandbox, "get", "backups.velero.io", "bench", "-n", NAMESPACE, "-o", "json")
    status = json.loads(answer)["status"]
    if status["phase"] != "Completed":
        raise ToolError(f"its backup ended as {status['phase']}: {status}")
    return Taken(seconds=seconds, objects=status["progress"]["itemsBackedUp"])


def _apply(sandbox: Sandbox, manifest: str) -> None:
    _kubectl(sandbox, "apply", "--server-side", "-f", "-", given=manifest)


def _kubectl(sandbox: Sandbox, *words: str, given: str | None = None) -> str:
    return run([KUBECTL, "--kubeconfig", str(sandbox.kubeconfig), *words], given=given)
