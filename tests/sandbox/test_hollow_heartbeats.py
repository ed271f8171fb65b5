"""Heartbeats of hollow nodes, where the controller manager is quick to miss them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import LEASES
from shipkeeper.model.lease import Lease
from shipkeeper.model.node import Node
from shipkeeper.sandbox import Sandbox
from shipkeeper.sandbox.assets import NEWEST, OLDEST
from shipkeeper.sandbox.hollow.node import LEASE_NAMESPACE
from tests.sandbox.corner import LIMIT, Corner, corner_of

GRACE_SECONDS = 8


@pytest.fixture(scope="module", params=[OLDEST, NEWEST])
def impatient(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A control plane that gives a silent node up after a few seconds."""
    sandbox = Sandbox.up(
        f"impatient-{request.param.replace('.', '-')}-{os.getpid()}",
        request.param,
        lambda line: print(line, file=sys.stderr),  # noqa: T201
        node_monitor_grace_seconds=GRACE_SECONDS,
    )
    yield sandbox
    sandbox.down()


@pytest.fixture
async def corner(impatient: Sandbox) -> AsyncIterator[Corner]:
    async with corner_of(impatient) as found:
        yield found


async def test_a_dead_kubelet_turns_its_node_unknown(corner: Corner) -> None:
    dead, alive = await corner.add(2)
    await corner.pod("stranded", node=dead)
    await asyncio.to_thread(corner.hollow.stop_heartbeat, dead)
    await corner.node_until(dead, lambda node: not node.is_reachable and is_tainted(node))
    await corner.node_until(alive, lambda node: node.is_ready)
    await asyncio.to_thread(corner.hollow.resume_heartbeat, dead)
    await corner.node_until(dead, lambda node: node.is_ready and not node.spec.taints)
    await corner.pod_until("stranded", lambda pod: pod.is_ready)


async def test_leases_are_renewed(corner: Corner) -> None:
    (name,) = await corner.add()
    key = f"{LEASE_NAMESPACE}/{name}"
    renewals: list[Lease] = []
    leases = Reflector(corner.reader, LEASES, namespace=LEASE_NAMESPACE)
    leases.subscribe(lambda change: renewals.append(change.object))
    async with leases, asyncio.timeout(LIMIT):
        await leases.wait_for(lambda _: len([each for each in renewals if each.key == key]) >= 3)
    times = [each.spec.renew_time for each in renewals if each.key == key]
    assert len(set(times)) == len(times)


def is_tainted(node: Node) -> bool:
    """Whether the controller manager keeps pods away from a node that it lost."""
    return "node.kubernetes.io/unreachable" in {taint.key for taint in node.spec.taints}
