"""A corner of a real cluster for one test: nodes and a namespace of its own."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.engine.journal import Journal
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Event, ItemChanged
from shipkeeper.engine.run import RunResult
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NAMESPACES, NODES, PODS
from shipkeeper.kube.writer import Writer
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.procedure import execute, prepare
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.rollout import apply, wait_ready
from shipkeeper.sandbox.sandbox import Sandbox

_numbers = itertools.count(1)
WORLD_LABEL = "world"
READY_WITHIN = timedelta(seconds=400)


class ObjectReference(KubeStruct, frozen=True, kw_only=True):
    """What a request was about."""

    namespace: str = ""
    name: str = ""
    resource: str = ""
    subresource: str = ""


class ResponseStatus(KubeStruct, frozen=True, kw_only=True):
    """How it was answered."""

    code: int = 0


class UserInfo(KubeStruct, frozen=True, kw_only=True):
    """Who sent it, or as whom."""

    username: str = ""
    groups: tuple[str, ...] = ()


class AuditLine(KubeStruct, frozen=True, kw_only=True):
    """One request, as the API server's audit log tells of it."""

    verb: str
    request_uri: str = msgspec.field(name="requestURI")
    user: UserInfo = UserInfo()
    impersonated_user: UserInfo = UserInfo()
    user_agent: str = ""
    object_ref: ObjectReference = ObjectReference()
    response_status: ResponseStatus = ResponseStatus()


_AUDIT_LINES = msgspec.json.Decoder(AuditLine)


def audit_lines(sandbox: Sandbox, since: int = 0) -> list[AuditLine]:
    """Every request that the API server answered so far, from a byte of its log on."""
    with sandbox.audit_log.open("rb") as lines:
        # One that grew too large was begun anew.
        lines.seek(since if since <= audit_end(sandbox) else 0)
        # The last one may not be written to its end.
        return [_AUDIT_LINES.decode(line) for line in lines if line.endswith(b"\n")]


def audit_end(sandbox: Sandbox) -> int:
    """How many bytes the API server's log of its requests has."""
    return sandbox.audit_log.stat().st_size


class World:
    """Hollow nodes named `<name>-1…` and the namespace `<name>`, whose pods stay on them."""

    def __init__(self, sandbox: Sandbox, connection: Connection, directory: Path) -> None:
        self.sandbox = sandbox
        self.connection = connection
        self.reader = Reader(connection)
        self.writer = Writer(connection)
        self.name = f"w{next(_numbers)}"
        self.directory = directory
        self.journal = Journal(directory / "journal.db")
        self.events: list[Event] = []
        self.nodes: tuple[str, ...] = ()
        # Of a worker's last tests, what came before is hundreds of megabytes.
        self._since = audit_end(sandbox)

    async def __aenter__(self) -> "World":
        await self.apply(workloads.namespace(self.name))
        # Pods can be created once a controller made the namespace's service account.
        await apply(self.reader, Writer(self.connection, dry_run=True), [self.bare_pod("trial")])
        return self

    async def __aexit__(self, *failure: object) -> None:
        self.journal.close()
        await asyncio.to_thread(self.sandbox.hollow.remove_nodes, self.nodes)
        with suppress(NotFoundError):
            await self.writer.delete(NAMESPACES, self.name)

    async def add_nodes(self, count: int, **wishes: Any) -> tuple[str, ...]:
        """Register nodes of this world."""
        labels = {WORLD_LABEL: self.name, **wishes.pop("labels", {})}
        group = NodeGroup(count=count, prefix=self.name, labels=labels, **wishes)
        names = await asyncio.to_thread(self.sandbox.hollow.add_nodes, group)
        self.nodes = (*self.nodes, *names)
        return names

    def shape(self, **wishes: Any) -> workloads.PodShape:
        """A pod that stays on the nodes of this world."""
        selector = {WORLD_LABEL: self.name, **wishes.pop("node_selector", {})}
        return workloads.PodShape(node_selector=selector, **wishes)

    def deployment(self, name: str, replicas: int = 1, **wishes: Any) -> dict[str, Any]:
        """A Deployment of this world."""
        shape = self.shape(**wishes)
        return workloads.deployment(name, self.name, replicas=replicas, shape=shape)

    def budget(self, name: str, app: str = "", **limits: Any) -> dict[str, Any]:
        """A budget over the pods of one app."""
        covered = {workloads.APP_LABEL: app or name}
        return workloads.budget(name, self.name, covered, **limits)

    def bare_pod(self, name: str, **wishes: Any) -> dict[str, Any]:
        """A pod without a controller."""
        return workloads.bare_pod(name, self.name, shape=self.shape(**wishes))

    async def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply manifests in their order."""
        await apply(self.reader, self.writer, manifests)

    async def up(self, *manifests: dict[str, Any]) -> None:
        """Apply manifests and wait until everything in the namespace is Ready."""
        await self.apply(*manifests)
        await wait_ready(self.reader, self.name, timeout=READY_WITHIN)

    async def node(self, name: str) -> Node:
        """A node as it is now."""
        return await self.reader.get(NODES, name)

    async def pods(self, node: str = "") -> list[Pod]:
        """The pods of this world's namespace, on one node or on all."""
        listing = await self.reader.list(PODS, namespace=self.name)
        return [pod for pod in listing.items if not node or pod.spec.node_name == node]

    async def set_phase(self, pod: str, phase: str) -> None:
        """Let a pod end (Succeeded, Failed) or fall back (Pending)."""
        patch = {"status": {"phase": phase, "conditions": [{"type": "Ready", "status": "False"}]}}
        await self.writer.patch(PODS, pod, patch, namespace=self.name, subresource="status")

    async def plan(self, *nodes: str, **options: Any) -> Plan:
        """The plan of a drain."""
        _, plan = await prepare(self.connection, nodes, "", DrainOptions(**options))
        return plan

    async def drain(
        self, *nodes: str, connection: Connection | None = None, **options: Any
    ) -> RunResult:
        """Drain nodes, through another connection if one is given."""
        return await self.execute(await self.plan(*nodes, **options), connection)

    async def execute(self, plan: Plan, connection: Connection | None = None) -> RunResult:
        """Run a plan."""
        return await execute(connection or self.connection, self.journal, plan, self.events.append)

    async def maintain(self, *nodes: str, options: MaintenanceOptions) -> RunResult:
        """Take nodes through a maintenance."""
        _, plan = await prepare(self.connection, nodes, "", options)
        return await execute(self.connection, self.journal, plan, self.events.append)

    def states(self, pod: str) -> list[str]:
        """What was told of one pod, in order."""
        return [
            event.state
            for event in self.events
            if isinstance(event, ItemChanged) and event.item == f"{self.name}/{pod}"
        ]

    def requests(self) -> list[AuditLine]:
        """The audit log's lines since this world was made, whatever they are about."""
        return audit_lines(self.sandbox, self._since)

    def audit(
        self, *, verb: str = "", resource: str = "", subresource: str = ""
    ) -> list[AuditLine]:
        """The audit log's lines about this world's namespace."""
        return [
            line
            for line in self.requests()
            if line.object_ref.namespace == self.name
            and line.object_ref.subresource == subresource
            and verb in ("", line.verb)
            and resource in ("", line.object_ref.resource)
        ]

    def accepted_evictions(self) -> list[str]:
        """Names of the pods whose evictions the API server accepted, once for each time."""
        sent = self.audit(verb="create", resource="pods", subresource="eviction")
        return [line.object_ref.name for line in sent if line.response_status.code == 201]


def options_of(sandbox: Sandbox) -> ConnectionOptions:
    """How to connect to a sandbox as its administrator."""
    return ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))


@asynccontextmanager
async def without_controllers(world: World) -> AsyncGenerator[None]:
    """A while in which no controller, nor the garbage collector, changes anything."""
    await asyncio.to_thread(world.sandbox.stop_component, "kube-controller-manager")
    try:
        yield
    finally:
        await asyncio.to_thread(world.sandbox.start_component, "kube-controller-manager")


async def settled(world: World, nodes: tuple[str, ...]) -> None:
    """Wait until the node lifecycle controller has made its taints follow the cordons."""
    async with asyncio.timeout(30):
        for node in nodes:
            while not _is_settled(await world.reader.get_raw(NODES, node)):
                await asyncio.sleep(0.05)


def _is_settled(node: Any) -> bool:
    taints = {taint["key"] for taint in node["spec"].get("taints", [])}
    is_tainted = "node.kubernetes.io/unschedulable" in taints
    return is_tainted is node["spec"].get("unschedulable", False)
