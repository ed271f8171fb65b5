"""A cluster that somebody else upgrades: the run watches the control plane, and holds its nodes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.journal import Journal, Outcome, Phase
from shipkeeper.engine.plan import Step
from shipkeeper.engine.run import RunResult
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.resources import NODES
from shipkeeper.nodes.awaited import Aspect, Awaited
from shipkeeper.nodes.fleet.steps import Gate
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.upgrade import procedure
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.options import UpgradeOptions
from shipkeeper.upgrade.replaced import unless_replaced
from tests.faults.faults import Answer, Drop, status
from tests.faults.proxy import FaultProxy
from tests.nodes.world import World, options_of

OLD, NEW = "v1.36.3", "v1.37.2"
OPTIONS = UpgradeOptions(
    target=NEW,
    via=(OLD,),
    goes_without_backup=True,
    nodes=MaintenanceOptions(
        drain=DrainOptions(),
        wait_for=(Awaited(aspect=Aspect.KUBELET),),
        steer=False,
        ready_timeout=60.0,
    ),
)


IMPATIENT = msgspec.structs.replace(
    OPTIONS, nodes=msgspec.structs.replace(OPTIONS.nodes, ready_timeout=5.0)
)


class Cloud:
    """A world whose API server is seen through a proxy, as an old one until it is upgraded."""

    def __init__(self, world: World, proxy: FaultProxy, seen: Connection) -> None:
        self.world = world
        self.proxy = proxy
        self.seen = seen
        self.old = proxy.inject(Answer(200, {"gitVersion": OLD}), path="^/version", times=None)

    async def begin(self, options: UpgradeOptions = OPTIONS) -> "asyncio.Task[RunResult]":
        """An upgrade that waits for the control plane."""
        planned = await procedure.prepare(self.seen, options, catalog())
        assert {each.action for each in planned.steps} >= {"await", "update"}
        running = asyncio.create_task(
            procedure.execute(self.seen, self.world.journal, planned, self.world.events.append)
        )
        await self.old.met(self.old.count + 2)
        assert set(written(self.world.journal)) == {"cluster/await-1"}
        return running

    async def upgrade(self, running: "asyncio.Task[RunResult]", *nodes: str) -> None:
        """What the provider does, as far as it shows: the control plane, then each node."""
        self.proxy.heal()
        for name in nodes:
            await worked_on(self.world, running, name)
            assert (await self.world.node(name)).spec.unschedulable
            info = {"status": {"nodeInfo": {"kubeletVersion": NEW}}}
            await self.world.writer.patch(NODES, name, info, subresource="status")
        result = await running
        assert result.outcome is Outcome.SUCCEEDED, result.failures
        for name in nodes:
            assert not (await self.world.node(name)).spec.unschedulable


@pytest.fixture
async def cloud(newest: Sandbox, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with (
        connect(options_of(newest)) as connection,
        World(newest, connection, tmp_path) as world,
        FaultProxy(newest.kubeconfig, tmp_path) as proxy,
        connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as seen,
    ):
        yield Cloud(world, proxy, seen)


async def test_the_provider_is_waited_for(cloud: Cloud) -> None:
    nodes = await cloud.world.add_nodes(2, kubelet_version=OLD)
    await cloud.upgrade(await cloud.begin(), *nodes)


async def test_nodes_that_the_provider_replaces_are_done(cloud: Cloud) -> None:
    drained, early = await cloud.world.add_nodes(2, kubelet_version=OLD)
    running = await cloud.begin(IMPATIENT)
    cloud.proxy.heal()
    await worked_on(cloud.world, running, drained)
    await asyncio.to_thread(cloud.world.sandbox.hollow.remove_nodes, (drained, early))
    cloud.world.nodes = ()
    result = await running
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    assert said(cloud.world, f"no node has come in the place of {drained}")


async def test_the_next_node_waits_for_the_replacement_of_the_last(cloud: Cloud) -> None:
    first, second = await cloud.world.add_nodes(2, kubelet_version=OLD)
    running = await cloud.begin()
    cloud.proxy.heal()
    await worked_on(cloud.world, running, first)
    await asyncio.to_thread(cloud.world.sandbox.hollow.remove_nodes, (first,))
    async with asyncio.timeout(60):
        while not said(cloud.world, f"waits for another node in the place of {first}"):
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)
    assert f"{first}/ready" not in ended(cloud.world.journal)
    assert not (await cloud.world.node(second)).spec.unschedulable
    cloud.world.nodes = (second,)
    await cloud.world.add_nodes(1, kubelet_version=NEW)
    await cloud.upgrade(running, second)
    assert not said(cloud.world, "no node has come")


class Watched:
    """A health watch that tells which nodes it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def hold(self, before: object, done: list[str], say: object) -> tuple[()]:
        self.asked = done
        return ()


async def test_a_gate_asks_for_the_nodes_that_are_there(cloud: Cloud) -> None:
    (node,) = await cloud.world.add_nodes(1, kubelet_version=OLD)
    watch: Any = Watched()
    none: Any = None
    tell = cloud.world.events.append
    gates = unless_replaced({"gate": Gate(watch, none, tell)}, cloud.world.reader, tell, none)
    # Between two stages of an upgrade steps have a number.
    after = (f"{node}/uncordon-1", "gone/uncordon-1")
    step = Step(id="gate-1", action="gate", target="fleet", effect="", after=after)
    await gates["gate"].perform(step, none)
    assert watch.asked == [node]


async def test_a_provider_chooses_the_patch(cloud: Cloud) -> None:
    (node,) = await cloud.world.add_nodes(1, kubelet_version=OLD)
    running = await cloud.begin()
    cloud.proxy.heal()
    await worked_on(cloud.world, running, node)
    info = {"status": {"nodeInfo": {"kubeletVersion": "v1.37.0-eks-1a2b3c"}}}
    await cloud.world.writer.patch(NODES, node, info, subresource="status")
    result = await running
    assert result.outcome is Outcome.SUCCEEDED, result.failures


async def test_a_provider_may_be_quicker_than_the_drain(cloud: Cloud) -> None:
    (node,) = await cloud.world.add_nodes(1, kubelet_version=OLD)
    running = await cloud.begin()
    # An older patch than was asked for: of the minor all are as good.
    info = {"status": {"nodeInfo": {"kubeletVersion": "v1.37.0-eks-1a2b3c"}}}
    await cloud.world.writer.patch(NODES, node, info, subresource="status")
    cloud.proxy.heal()
    async with asyncio.timeout(120):
        result = await running
    assert result.outcome is Outcome.SUCCEEDED, result.failures


async def test_nodes_that_stay_old_are_named(cloud: Cloud) -> None:
    (node,) = await cloud.world.add_nodes(1, kubelet_version=OLD)
    running = await cloud.begin(IMPATIENT)
    # It comes after everything was planned.
    (late,) = await cloud.world.add_nodes(1, kubelet_version=OLD)
    cloud.proxy.heal()
    await worked_on(cloud.world, running, node)
    info = {"status": {"nodeInfo": {"kubeletVersion": NEW}}}
    await cloud.world.writer.patch(NODES, node, info, subresource="status")
    result = await running
    assert result.outcome is Outcome.FAILED
    (failure,) = result.failures
    assert failure.reason == "OldKubelets"
    assert f"the kubelets of {late} are older" in failure.message


async def test_a_control_plane_that_stays_old_is_said_to(cloud: Cloud) -> None:
    await cloud.world.add_nodes(1, kubelet_version=OLD)
    nodes = msgspec.structs.replace(OPTIONS.nodes, wait_limit=0.1)
    options = msgspec.structs.replace(OPTIONS, nodes=nodes)
    planned = await procedure.prepare(cloud.seen, options, catalog())
    result = await procedure.execute(
        cloud.seen, cloud.world.journal, planned, cloud.world.events.append
    )
    assert [each.reason for each in result.failures] == ["NotUpgraded"]
    assert "is not of 1.37 yet" in result.failures[0].message


async def test_it_is_gone_on_with_while_the_api_server_is_away(cloud: Cloud) -> None:
    (node,) = await cloud.world.add_nodes(1, kubelet_version=OLD)
    stopped = await cloud.begin()
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    away = cloud.proxy.inject(Drop(), times=None)
    (record,) = cloud.world.journal.runs()
    tell = cloud.world.events.append
    running = asyncio.create_task(procedure.resume(cloud.seen, cloud.world.journal, record, tell))
    async with asyncio.timeout(60):
        while not said(cloud.world, "trying again"):
            assert not running.done(), running.exception()
            await asyncio.sleep(0.05)
    assert away.count
    # A server that has just started knows no roles yet, and so refuses to tell which cluster it is.
    cloud.proxy.heal()
    denied = cloud.proxy.inject(
        Answer(403, status(403, "Forbidden")), path="^/api/v1/namespaces/kube-system", times=2
    )
    await denied.met(2)
    await cloud.upgrade(running, node)


def said(world: World, text: str) -> bool:
    """Whether the run told something."""
    return any(text in str(each) for each in world.events)


def ended(journal: Journal) -> list[str]:
    """The steps that came to their end."""
    (run,) = journal.runs()
    return [each.step for each in journal.entries(run.id) if each.phase is Phase.AFTER]


def written(journal: Journal) -> list[str]:
    """The step of each entry."""
    (run,) = journal.runs()
    return [entry.step for entry in journal.entries(run.id)]


async def worked_on(world: World, running: "asyncio.Task[RunResult]", node: str) -> None:
    """Wait until a node is empty and it is written down as what: its provider may replace it."""
    async with asyncio.timeout(60):
        while not running.done() and written(world.journal).count(f"{node}/update") < 2:
            await asyncio.sleep(0.05)
    assert not running.done(), running.result()
