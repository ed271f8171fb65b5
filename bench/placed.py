"""Thousands of pods where they are to run, put there while nobody else decides about them.

To schedule twenty thousand pods, and to count them each time that one of them changes, takes two
processors half an hour, in which nothing is measured.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.resources import NAMESPACES, PODS, REPLICA_SETS
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.names import CONTROLLER_MANAGER, SCHEDULER
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.sandbox.workloads import Manifest, namespace
from world import say

_AT_ONCE = 32
_POLL_SECONDS = 0.1
_TOLD_EVERY = 10


async def place(
    sandbox: Sandbox,
    connection: Connection,
    where: str,
    sets: Sequence[Manifest],
    nodes: Sequence[str],
) -> None:
    """Create a namespace, ReplicaSets in it, and all their pods on the nodes in turn."""
    writer = Writer(connection)
    await writer.create(NAMESPACES, namespace(where))
    await _account(connection, where)
    places = cycle(nodes)
    async with _undecided(sandbox):
        for number, each in enumerate(sets, 1):
            await _filled(writer, each, places)
            if number % _TOLD_EVERY == 0:
                say(f"  the pods of {number} ReplicaSets are made")


async def _account(connection: Connection, where: str) -> None:
    """Wait for the ServiceAccount without which the server takes no pod."""
    while True:
        try:
            await connection.send("GET", f"/api/v1/namespaces/{where}/serviceaccounts/default")
        except NotFoundError:
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return


@asynccontextmanager
async def _undecided(sandbox: Sandbox) -> AsyncGenerator[None]:
    """Without a controller manager and a scheduler."""
    for each in (CONTROLLER_MANAGER, SCHEDULER):
        await asyncio.to_thread(sandbox.stop_component, each)
    yield
    for each in (CONTROLLER_MANAGER, SCHEDULER):
        await asyncio.to_thread(sandbox.start_component, each)


async def _filled(writer: Writer, manifest: Manifest, places: Iterator[str]) -> None:
    """A ReplicaSet with as many pods as it asks for, so that its controller has nothing to do."""
    name, where = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    owner = await writer.create(REPLICA_SETS, manifest, namespace=where)
    reference: dict[str, Any] = {
        "apiVersion": REPLICA_SETS.api_version,
        "kind": REPLICA_SETS.kind,
        "name": name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    template, gate = manifest["spec"]["template"], asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> None:
        metadata = {**template["metadata"], "name": f"{name}-{number}", "namespace": where}
        pod = {
            "apiVersion": PODS.api_version,
            "kind": PODS.kind,
            "metadata": {**metadata, "ownerReferences": [reference]},
            "spec": {**template["spec"], "nodeName": next(places)},
        }
        async with gate:
            await writer.create(PODS, pod, namespace=where)

    await asyncio.gather(*map(one, range(manifest["spec"]["replicas"])))
