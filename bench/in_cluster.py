#!/usr/bin/env -S .venv/bin/python
"""The operator at 2,000 nodes, 20,000 pods and 500 resources: memory, reconciles, rest, hand-over.

    python bench/in_cluster.py [--json] [--nodes 2000] [--pods 20000] [--objects 500]

Two replicas run as the ServiceAccount of the emitted manifests. A fifth of the resources are
NodeMaintenances that wait for approval (each of them is planned on the whole cluster), the others
are MaintenanceWindows. Then nothing changes for a while, and the requests of both replicas are
counted in the audit log; at last the leader is killed with SIGKILL. (A script named operator.py
would stand in the place of Python's own module of that name.)
"""

import argparse
import asyncio
import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.model.version import Version
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE, NodeMaintenanceStatus
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from shipkeeper.operator.manifests import ManifestOptions, as_text, manifests
from shipkeeper.operator.run import LEASE
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.sandbox import Sandbox
from world import KUBECTL, SHIPKEEPER, bench_sandbox, bring_up, count_requests, print_figures, say

NAMESPACE = "shipkeeper-system"
ACCOUNT = "shipkeeper-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
_REST = 60.0
_PORTS = (19_464, 19_465)


class Replica:
    """One process of the operator."""

    def __init__(self, kubeconfig: Path, directory: Path, port: int) -> None:
        self._log = directory / f"{port}.log"
        self._port = port
        with self._log.open("wb") as target:
            self.process = subprocess.Popen(
                [SHIPKEEPER, "operator", "run", f"--metrics-address=127.0.0.1:{port}"],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(directory),
                    "KUBECONFIG": str(kubeconfig),
                    "XDG_STATE_HOME": str(directory / str(port)),
                    "POD_NAMESPACE": NAMESPACE,
                },
                stdout=target,
                stderr=target,
            )

    def wait_for(self, text: str, *, within: float = 60.0) -> None:
        """Return once it said something."""
        until = time.monotonic() + within
        while text not in self._log.read_text():
            if time.monotonic() > until or self.process.poll() is not None:
                raise SystemExit(f"never said {text!r}:\n{self._log.read_text()}")
            time.sleep(0.02)

    @property
    def peak_mib(self) -> float:
        """The most memory that was resident at a time."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(each for each in status.splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def quantile(self, share: str) -> float:
        """A quantile of its reconciles' times."""
        command = ["curl", "-s", "--noproxy", "*", f"http://127.0.0.1:{self._port}/metrics"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        start = f'shipkeeper_operator_reconcile_seconds{{quantile="{share}"}} '
        line = next(each for each in answer.stdout.splitlines() if each.startswith(start))
        return float(line.removeprefix(start))


def main() -> None:
    """Bring a cluster up, let the operator loose on it, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--pods", type=int, default=20_000)
    parser.add_argument("--objects", type=int, default=500)
    arguments = parser.parse_args()
    with bench_sandbox(NEWEST) as sandbox, tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        bring_cluster_up(sandbox, arguments.nodes, arguments.pods)
        kubeconfig = asyncio.run(install(sandbox, directory))
        found = asyncio.run(
            observe(sandbox, kubeconfig, directory, arguments.nodes, arguments.objects)
        )
    print_figures(
        {
            "kubernetes_version": NEWEST,
            "nodes": arguments.nodes,
            "pods": arguments.pods,
            "objects": arguments.objects,
            **found,
        },
        as_json=arguments.json,
    )


def bring_cluster_up(sandbox: Sandbox, nodes: int, pods: int) -> None:
    """Nodes with pods on them."""
    say(f"{pods} pods on {nodes} nodes")
    sandbox.hollow.add_nodes(NodeGroup(count=nodes, prefix="n", zones=3, cpu="4"))
    shape = workloads.PodShape(ready_after="1s", cpu="100m")
    found = [workloads.namespace("fleet")]
    for number in range(20):
        name = f"app-{number}"
        found += [
            workloads.replica_set(name, "fleet", replicas=pods // 20, shape=shape),
            workloads.budget(
                name, "fleet", {workloads.APP_LABEL: name}, max_unavailable=pods // 200
            ),
        ]
    bring_up(sandbox, "fleet", found, within=timedelta(minutes=30))


async def install(sandbox: Sandbox, directory: Path) -> Path:
    """Apply the manifests, without pods, and log in as the ServiceAccount."""
    options = ManifestOptions(
        version=Version.parse(sandbox.version), image="shipkeeper:bench", lease=LEASE, replicas=0
    )
    await asyncio.to_thread(
        subprocess.run,
        [KUBECTL, f"--kubeconfig={sandbox.kubeconfig}", "apply", "--server-side", "-f", "-"],
        input=as_text(manifests(options)),
        text=True,
        capture_output=True,
        check=True,
    )
    async with connect(ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))) as connection:
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
        body: dict[str, Any] = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 14_400},
        }
        answer = msgspec.json.decode(await connection.send("POST", path, body=body))
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    config["users"] = [{"name": "operator", "user": {"token": answer["status"]["token"]}}]
    for context in config["contexts"]:
        context["context"]["user"] = "operator"
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    return kubeconfig


async def observe(
    sandbox: Sandbox, kubeconfig: Path, directory: Path, nodes: int, objects: int
) -> dict[str, Any]:
    """Let two replicas work, rest, and hand over."""
    leader = Replica(kubeconfig, directory, _PORTS[0])
    leader.wait_for("leads")
    other = Replica(kubeconfig, directory, _PORTS[1])
    other.wait_for("standing by")
    try:
        began = time.monotonic()
        async with connect(ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))) as connection:
            await create(connection, nodes, objects)
            await settled(connection, objects // 5)
        say(f"everything is planned after {time.monotonic() - began:.0f}s")
        p99 = leader.quantile("0.99")
        before = count_requests(sandbox.audit_log, USER)
        await asyncio.sleep(_REST)
        rest = (count_requests(sandbox.audit_log, USER) - before) / _REST
        peak = max(leader.peak_mib, other.peak_mib)
        killed = time.monotonic()
        leader.process.send_signal(signal.SIGKILL)
        other.wait_for("leads")
        failover = time.monotonic() - killed
    finally:
        for each in (leader, other):
            with suppress(ProcessLookupError):
                each.process.kill()
            each.process.wait()
    return {
        "memory_mb": round(peak * 1.048576, 1),
        "reconcile_p99_seconds": round(p99, 3),
        "requests_per_second_at_rest": round(rest, 2),
        "failover_seconds": round(failover, 1),
    }


async def create(connection: Connection, nodes: int, objects: int) -> None:
    """Create every resource."""
    writer = Writer(connection)
    for number in range(objects):
        is_maintenance = number % 5 == 0
        kind = NODE_MAINTENANCE if is_maintenance else MAINTENANCE_WINDOW
        first = number % max(nodes - 20, 1) + 1
        names = [f"n-{each}" for each in range(first, min(first + 20, nodes + 1))]
        maintenance = {"nodes": {"names": names}, "action": {"wait": "1s"}, "approved": False}
        window = {"cron": f"{number % 60} {number % 24} * * *", "length": "1h"}
        await writer.create(
            kind.resource,
            {
                "apiVersion": kind.api_version,
                "kind": kind.kind,
                "metadata": {"name": f"bench-{number}"},
                "spec": maintenance if is_maintenance else window,
            },
        )


async def settled(connection: Connection, maintenances: int) -> None:
    """Return once every maintenance waits for approval."""
    reader = Reader(connection)
    while True:
        listing = await reader.list(NODE_MAINTENANCE.resource)
        waiting = sum(
            msgspec.json.decode(each.status, type=NodeMaintenanceStatus).phase == "AwaitingApproval"
            for each in listing.items
        )
        if waiting == maintenances:
            return
        await asyncio.sleep(1)


if __name__ == "__main__":
    main()
