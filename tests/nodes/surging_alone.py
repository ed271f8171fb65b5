"""A surge in a process of its own that kills itself after one of its requests."""

import asyncio
import os
import signal
from typing import Any

import msgspec

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.eviction import Accepted, evict
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import PODS
from shipkeeper.kube.writer import Writer
from shipkeeper.nodes.observe import observe, observe_nodes
from shipkeeper.nodes.surge import SurgeOptions
from shipkeeper.nodes.surging import Surges

OPTIONS = SurgeOptions(enabled=True, timeout=60)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Whose only pod to move, and after which request to die (0 for never)."""

    kubeconfig: str
    namespace: str
    run: str
    dies_after: int = 0


def surge(encoded: bytes) -> None:
    """Raise, evict, end; exit code 0 when it gets there."""
    asyncio.run(_surge(msgspec.json.decode(encoded, type=Request)))


async def _surge(request: Request) -> None:
    async with connect(ConnectionOptions(kubeconfig=request.kubeconfig)) as connection:
        reader, writer = Reader(connection), Writer(connection)
        (pod,) = (await reader.list(PODS, namespace=request.namespace)).items
        nodes = await observe_nodes(reader, (pod.spec.node_name,), "")
        state = await observe(reader, nodes)
        version = await reader.eviction_version()
        send, left = connection.send, request.dies_after

        async def send_and_die(*arguments: Any, **options: Any) -> bytes:
            nonlocal left
            answer = await send(*arguments, **options)
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        connection.send = send_and_die
        async with Surges(reader, writer, OPTIONS, request.run).during_drain(state):
            outcome = await evict(writer, pod, version=version)
            if not isinstance(outcome, Accepted):
                raise SystemExit(f"not evicted: {outcome}")
