#!/usr/bin/env -S .venv/bin/python
"""The operator at 2,000 nodes, 20,000 pods and 500 resources: memory, reconciles, rest, hand-over.

    python bench/in_cluster.py [--json] [--nodes 2000] [--pods 20000] [--objects 500]

Two replicas run as the ServiceAccount of the emitted manifests, and are given objects of each kind
(operator_mix.py): all that these ask for is done, and some maintenances drain their nodes. All the
while a MaintenanceWindow is created every second, and an onlooker sees how long it takes until its
status is there. Then nothing changes for a while, and the requests of both replicas are counted in
the audit log. At last the leader is killed with SIGKILL as yet another window is created.

`memory_mb` is the most that was resident in one replica, as the kernel tells it (VmHWM);
`reconcile_p99_seconds` is that of the slowest kind, by the operator's own metric;
`answer_p99_seconds` and `failover_seconds` are from outside, until the status is there.
(A script named operator.py would stand in the place of Python's own module of that name.)
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

import operator_mix as mix
from placed import place
from shipkeeper.backup.opening import Place, create_repository
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.version import Version
from shipkeeper.operator.api.backups import BACKUP, BACKUP_REPOSITORY
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from shipkeeper.operator.manifests import ManifestOptions, as_text, manifests
from shipkeeper.operator.run import LEASE
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.rollout import apply, wait_ready
from shipkeeper.sandbox.sandbox import Sandbox
from world import KUBECTL, SHIPKEEPER, bench_sandbox, print_figures, say

NAMESPACE = "shipkeeper-system"
ACCOUNT = "shipkeeper-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
ALLOWED = ("backups", "restores", "access-reports", "certificate-reports", "upgrade-checks")
_APPS = 20
# Thousands of nodes whose heartbeats are late would be marked, and marked again, all at once; and
# their leases, which nobody here looks at, would be more than half of all that is written.
_NODE_GRACE = 600
_REST = 120.0
_PROBE_EVERY = 1.0
_TOLD_EVERY = 10.0
_PORTS = (19_464, 19_465)
_P99 = 'shipkeeper_operator_reconcile_seconds{kind="'


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
                    # As its image has it.
                    "PYTHONMALLOC": "malloc",
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

    def tail(self) -> str:
        """The last that it said."""
        return "\n".join(self._log.read_text().splitlines()[-20:])

    @property
    def peak_mb(self) -> float:
        """The most memory that was resident at a time, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(each for each in status.splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6

    @property
    def leads(self) -> bool:
        """Whether it leads now."""
        return "shipkeeper_operator_leader 1.0" in self._metrics()

    def _metrics(self) -> list[str]:
        command = ["curl", "-s", "--noproxy", "*", f"http://127.0.0.1:{self._port}/metrics"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        return answer.stdout.splitlines()

    def p99(self) -> dict[str, float]:
        """Within how many seconds 99 in 100 of its last reconciles of each kind were done."""
        lines = (each for each in self._metrics() if each.startswith(_P99))
        found = (each.removeprefix(_P99) for each in lines if 'quantile="0.99"' in each)
        return {each.split('"')[0]: float(each.split()[-1]) for each in found}


class Onlooker:
    """What somebody outside sees of all objects; its context follows them."""

    def __init__(self, connection: Connection) -> None:
        self._writer = Writer(connection)
        self._following = {
            kind.kind: Reflector(Reader(connection), kind.resource)
            for kind in (*(each for each, _ in mix.MIX), BACKUP_REPOSITORY)
        }

    @asynccontextmanager
    async def looking_on(self) -> AsyncGenerator[None]:
        """Follow every kind."""
        async with AsyncExitStack() as stack:
            for each in self._following.values():
                await stack.enter_async_context(each)
            yield

    async def create(self, wanted: Iterable[tuple[Kind[Any], str, dict[str, Any]]]) -> None:
        """Ask for objects."""
        for kind, name, spec in wanted:
            body = {
                "apiVersion": kind.api_version,
                "kind": kind.kind,
                "metadata": {"name": name},
                "spec": spec,
            }
            await self._writer.create(kind.resource, body)

    async def probe(self, name: str) -> float:
        """How many seconds it takes until a new window is judged."""
        began = time.monotonic()
        spec = {"cron": "0 0 * * *", "length": "1h"}
        await self.create([(MAINTENANCE_WINDOW, name, spec)])

        def is_judged(objects: Mapping[str, CustomObject]) -> bool:
            return name in objects and mix.standing(objects[name]).observed_generation > 0

        await self._following[MAINTENANCE_WINDOW.kind].wait_for(is_judged)
        took = time.monotonic() - began
        await self._writer.delete(MAINTENANCE_WINDOW.resource, name)
        return took

    async def keep_probing(self, took: list[float]) -> None:
        """Probe every second until cancelled."""
        while True:
            took.append(await self.probe(f"probe-{len(took)}"))
            await asyncio.sleep(_PROBE_EVERY)

    async def settled(self, count: int, replica: Replica) -> None:
        """Return once so many objects are there, and all that they ask for is done."""
        said_at = 0.0
        while True:
            now = Counter(
                (kind, mix.is_settled(kind, each))
                for kind, following in self._following.items()
                for each in following.objects.values()
                if not each.name.startswith("probe-")
            )
            done = sum(number for (_, is_settled), number in now.items() if is_settled)
            if done >= count:
                return
            if replica.process.poll() is not None:
                raise SystemExit(f"the leader ended:\n{replica.tail()}")
            if time.monotonic() - said_at > _TOLD_EVERY:
                said_at = time.monotonic()
                left = ", ".join(
                    f"{number} {kind}" for (kind, is_), number in now.items() if not is_
                )
                say(f"  {done} of {count} done, {replica.peak_mb:.0f} MB; left: {left}")
            await asyncio.sleep(0.5)

    def backup_of_everything(self) -> str:
        """The id of the first Backup."""
        return mix.standing(self._following[BACKUP.kind].objects["bench-0"]).id


def main() -> None:
    """Bring a cluster up, let the operator loose on it, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--pods", type=int, default=20_000)
    parser.add_argument("--objects", type=int, default=500)
    arguments = parser.parse_args()
    with (
        bench_sandbox(NEWEST, node_grace=_NODE_GRACE) as sandbox,
        tempfile.TemporaryDirectory() as folder,
    ):
        asyncio.run(bring_cluster_up(sandbox, arguments.nodes, arguments.pods))
        found = asyncio.run(measure(sandbox, Path(folder), arguments.nodes, arguments.objects))
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


def to(sandbox: Sandbox) -> ConnectionOptions:
    """The administrator's connection."""
    return ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))


async def bring_cluster_up(sandbox: Sandbox, nodes: int, pods: int) -> None:
    """Nodes with pods on them."""
    say(f"{pods} pods on {nodes} nodes")
    began = time.monotonic()
    group = NodeGroup(count=nodes, prefix="n", zones=3, cpu="4")
    await asyncio.to_thread(sandbox.hollow.add_nodes, group)
    say(f"  the nodes are there after {time.monotonic() - began:.0f} s")
    shape = workloads.PodShape(ready_after="1s", cpu="100m")
    each = pods // _APPS
    names = [f"app-{number}" for number in range(_APPS)]
    sets = [workloads.replica_set(name, "fleet", replicas=each, shape=shape) for name in names]
    budgets = [
        workloads.budget(
            name, "fleet", {workloads.APP_LABEL: name}, max_unavailable=max(each // 10, 1)
        )
        for name in names
    ]
    async with connect(to(sandbox)) as connection:
        reader = Reader(connection)
        places = [node.name for node in (await reader.list(NODES)).items]
        await place(sandbox, connection, "fleet", sets, places)
        await apply(reader, Writer(connection), budgets)
        await wait_ready(reader, "fleet", timeout=timedelta(minutes=20))
    say(f"  the pods are ready after {time.monotonic() - began:.0f} s")


async def measure(sandbox: Sandbox, directory: Path, nodes: int, objects: int) -> dict[str, Any]:
    """Let two replicas work, rest, and hand over."""
    kubeconfig = await install(sandbox, directory)
    replicas = [Replica(kubeconfig, directory, _PORTS[0])]
    try:
        replicas[0].wait_for("leads")
        replicas.append(Replica(kubeconfig, directory, _PORTS[1]))
        replicas[1].wait_for("standing by")
        async with connect(to(sandbox)) as connection:
            onlooker = Onlooker(connection)
            async with onlooker.looking_on():
                return await observe(sandbox, onlooker, replicas, nodes, objects)
    except BaseException:
        for each in replicas:
            say(each.tail())
        raise
    finally:
        for each in replicas:
            with suppress(ProcessLookupError):
                each.process.kill()
            each.process.wait()


async def observe(
    sandbox: Sandbox, onlooker: Onlooker, replicas: list[Replica], nodes: int, objects: int
) -> dict[str, Any]:
    """Every figure."""
    took = await work(onlooker, replicas[0], nodes, objects)
    # On a machine that is too busy to renew a Lease the other may lead by now.
    leader, other = sorted(replicas, key=lambda each: not each.leads)
    if leader is not replicas[0]:
        say("the leader lost its Lease on the way: this machine is busy")
    p99 = leader.p99()
    say(f"p99 of reconciles by kind: {json.dumps(p99)}")
    rest = await requests_at_rest(sandbox)
    killed = time.monotonic()
    leader_peak = leader.peak_mb
    leader.process.send_signal(signal.SIGKILL)
    await onlooker.probe("after-death")
    failover = time.monotonic() - killed
    # The new leader reads all that the old one knew.
    await asyncio.sleep(_REST / 4)
    say(f"most resident: {leader_peak:.0f} MB, after the hand-over {other.peak_mb:.0f} MB")
    return {
        "memory_mb": round(max(leader_peak, other.peak_mb), 1),
        "reconcile_p99_seconds": round(max(p99.values()), 3),
        "answer_p99_seconds": round(took[int(len(took) * 0.99)], 3),
        "answer_p50_seconds": round(took[len(took) // 2], 3),
        "requests_per_second_at_rest": round(rest, 2),
        "failover_seconds": round(failover, 1),
    }


async def work(onlooker: Onlooker, leader: Replica, nodes: int, objects: int) -> list[float]:
    """Have everything done; how long the probes took meanwhile, sorted."""
    began, took = time.monotonic(), list[float]()
    probing = asyncio.create_task(onlooker.keep_probing(took))
    first = list(mix.first(objects, nodes))
    await onlooker.create(first)
    await onlooker.settled(len(first) + 1, leader)
    restores = list(mix.restores(objects, onlooker.backup_of_everything()))
    await onlooker.create(restores)
    await onlooker.settled(len(first) + 1 + len(restores), leader)
    probing.cancel()
    with suppress(asyncio.CancelledError):
        await probing
    say(f"everything is done after {time.monotonic() - began:.0f} s, {len(took)} probes")
    return sorted(took)


async def requests_at_rest(sandbox: Sandbox) -> float:
    """How many requests a second both replicas send while nothing changes."""
    with sandbox.audit_log.open("rb") as log:
        # What was just told comes back by the watches.
        await asyncio.sleep(_PROBE_EVERY * 5)
        log.seek(0, os.SEEK_END)
        await asyncio.sleep(_REST)
        lines = [json.loads(each) for each in log if each.endswith(b"\n")]
    sent = Counter(
        f"{each['verb']} {each['requestURI'].split('?')[0]}"
        for each in lines
        if each["user"]["username"] == USER
    )
    for what, count in sent.most_common():
        say(f"  at rest: {count:4} {what}")
    return sent.total() / _REST


async def install(sandbox: Sandbox, directory: Path) -> Path:
    """Apply the manifests, without pods, and a repository; log in as the ServiceAccount."""
    options = ManifestOptions(
        version=Version.parse(sandbox.version),
        image="shipkeeper:bench",
        lease=LEASE,
        replicas=0,
        allowed=ALLOWED,
    )
    await kubectl(sandbox, as_text(manifests(options)))
    await kubectl(sandbox, "\n---\n".join(map(json.dumps, await repository(directory))))
    async with connect(to(sandbox)) as connection:
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


async def kubectl(sandbox: Sandbox, manifests: str) -> None:
    """Apply manifests; those of kinds that are just defined are tried again."""
    command = [KUBECTL, f"--kubeconfig={sandbox.kubeconfig}", "apply", "--server-side", "-f", "-"]
    for is_last in (False, False, False, True):
        done = await asyncio.to_thread(
            subprocess.run, command, input=manifests, text=True, capture_output=True, check=is_last
        )
        if done.returncode == 0:
            return
        await asyncio.sleep(2)


async def repository(directory: Path) -> list[dict[str, Any]]:
    """A repository in a folder: its keys in Secrets, and what declares it."""
    place = Place(
        url=str(directory / "repository"),
        key=str(directory / "writer.key"),
        identity=str(directory / "reader.age"),
    )
    await create_repository(place, ())
    secrets = {
        name: {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "stringData": {file: (directory / file).read_text()},
        }
        for name, file in (("writer", "writer.key"), ("reader", "reader.age"))
    }
    spec = {
        "url": place.url,
        "keySecret": {"name": "writer"},
        "identitySecret": {"name": "reader"},
    }
    declared = {
        "apiVersion": BACKUP_REPOSITORY.api_version,
        "kind": BACKUP_REPOSITORY.kind,
        "metadata": {"name": mix.REPOSITORY},
        "spec": spec,
    }
    return [*secrets.values(), declared]


if __name__ == "__main__":
    main()
