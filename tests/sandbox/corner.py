"""A corner of a real cluster for one test: hollow nodes and a namespace of its own."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import NAMESPACES, NODES, PODS, Resource
from shipkeeper.kube.writer import Writer
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.node import Node
from shipkeeper.sandbox import Sandbox, workloads
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.hollow.pod import BOUND_PODS, BoundPod
from shipkeeper.sandbox.rollout import apply

T = TypeVar("T", bound=KubeObject)

CORNER_LABEL = "corner"
LIMIT = 400
_numbers = itertools.count(1)


class Corner:
    """Hollow nodes `<name>-1…` and the namespace `<name>`, whose pods stay on them."""

    def __init__(self, sandbox: Sandbox, connection: Connection) -> None:
        self.sandbox = sandbox
        self.hollow = sandbox.hollow
        self.reader = Reader(connection)
        self.writer = Writer(connection)
        self.name = f"corner{next(_numbers)}"

    async def add(self, count: int = 1, **wishes: Any) -> tuple[str, ...]:
        """Register nodes."""
        labels = {CORNER_LABEL: self.name, **wishes.pop("labels", {})}
        group = NodeGroup(count=count, prefix=self.name, labels=labels, **wishes)
        return await asyncio.to_thread(self.hollow.add_nodes, group)

    async def leave(self) -> None:
        """Remove what is left of the nodes, and the namespace."""
        left = [each.name for each in self.hollow.nodes() if each.name.startswith(f"{self.name}-")]
        await asyncio.to_thread(self.hollow.remove_nodes, left)
        await self.writer.delete(NAMESPACES, self.name)

    def shape(self, *, node: str = "", **wishes: Any) -> workloads.PodShape:
        """A pod that stays on the nodes of this corner, or on one of them."""
        selector = {CORNER_LABEL: self.name}
        selector |= {workloads.HOSTNAME_LABEL: node} if node else {}
        return workloads.PodShape(node_selector=selector, **wishes)

    async def pod(self, name: str, *, node: str = "", **wishes: Any) -> BoundPod:
        """Start a bare pod and return it as soon as its containers run."""
        await self.apply(workloads.bare_pod(name, self.name, shape=self.shape(node=node, **wishes)))
        pods = await self.until(BOUND_PODS, lambda pods: self.runs(pods, name))
        return pods[f"{self.name}/{name}"]

    async def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply manifests in their order."""
        await apply(self.reader, self.writer, manifests)

    async def delete(self, pod: str, grace_seconds: int | None = None) -> None:
        """Ask for the deletion of a pod."""
        await self.writer.delete(PODS, pod, namespace=self.name, grace_period_seconds=grace_seconds)

    async def until(
        self,
        resource: Resource[T],
        holds: Callable[[Mapping[str, T]], bool],
        *,
        namespace: str = "",
    ) -> Mapping[str, T]:
        """Wait for something to hold on the objects of a kind; returns them as they are then."""
        if resource.namespaced:
            namespace = namespace or self.name
        async with Reflector(self.reader, resource, namespace=namespace) as reflector:
            async with asyncio.timeout(LIMIT):
                await reflector.wait_for(holds)
            return dict(reflector.objects)

    async def node_until(self, name: str, holds: Callable[[Node], bool]) -> Node:
        """Wait for something to hold on a node."""
        nodes = await self.until(NODES, lambda nodes: name in nodes and holds(nodes[name]))
        return nodes[name]

    async def pod_until(self, name: str, holds: Callable[[BoundPod], bool]) -> BoundPod:
        """Wait for something to hold on a pod."""
        key = f"{self.name}/{name}"
        pods = await self.until(BOUND_PODS, lambda pods: key in pods and holds(pods[key]))
        return pods[key]

    async def gone(self, *names: str) -> None:
        """Wait until pods are gone."""
        keys = {f"{self.name}/{name}" for name in names}
        await self.until(PODS, keys.isdisjoint)

    async def get(self, pod: str) -> BoundPod:
        """A pod as it is now."""
        return await self.reader.get(BOUND_PODS, pod, self.name)

    def runs(self, pods: Mapping[str, BoundPod], name: str) -> bool:
        """Whether a pod's containers run."""
        pod = pods.get(f"{self.name}/{name}")
        return pod is not None and pod.status.phase == "Running"


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for something that tells nobody when it holds."""
    async with asyncio.timeout(LIMIT):
        while True:
            if await asyncio.to_thread(holds):
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def corner_of(sandbox: Sandbox) -> AsyncGenerator[Corner]:
    """A corner that is gone afterwards."""
    async with connect(ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))) as connection:
        corner = Corner(sandbox, connection)
        await corner.apply(workloads.namespace(corner.name))
        try:
            yield corner
        finally:
            await corner.leave()
