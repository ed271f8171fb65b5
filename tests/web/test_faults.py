"""Whatever happens on the way to the API server: the page shows the cluster again, or says not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from shipkeeper.kube.resources import NODES
from tests.faults.faults import Cut, Drop, Freeze, StreamFault, expired_event
from tests.faults.proxy import FaultProxy
from tests.nodes.world import World
from tests.web.served import Served, Tab, served, tab_of


@asynccontextmanager
async def behind(world: World, tmp_path: Path) -> AsyncGenerator[tuple[FaultProxy, Served]]:
    async with (
        FaultProxy(world.sandbox.kubeconfig, tmp_path) as proxy,
        served(proxy.kubeconfig) as console,
    ):
        yield proxy, console


async def test_a_watch_that_ends_anyhow_loses_nothing(world: World, tmp_path: Path) -> None:
    names = await world.add_nodes(2)
    async with (
        behind(world, tmp_path) as (proxy, console),
        tab_of(console) as tab,
        tab.watching("fleet", q=world.name),
    ):
        await tab.until(lambda tab: len(tab.order) == 2)
        for turn, fault in enumerate((Cut(), Cut(and_bytes=40), expired_event())):
            await strike(proxy, fault, "/nodes")
            await toggle(world, names[0], is_on=turn % 2 == 0)
            await shows(tab, names[0], "cordoned" if turn % 2 == 0 else "ready")
    assert tab.wholes == 1


async def test_a_dead_network_is_said_and_outlived(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    async with (
        behind(world, tmp_path) as (proxy, console),
        tab_of(console) as tab,
        tab.watching("fleet", q=world.name),
    ):
        await tab.until(lambda tab: len(tab.order) == 1)
        assert "trouble" not in tab.heard
        proxy.inject(Drop(), times=None)
        await strike(proxy, Freeze(), "/nodes")
        proxy.strike(Freeze())
        await toggle(world, name, is_on=True)
        await tab.until(lambda tab: bool(tab.heard.get("trouble")))
        assert tab.heard["trouble"]["since"]
        assert tab.items[f"row/{name}"]["fitness"] == "ready"
        proxy.heal()
        await shows(tab, name, "cordoned")
        await tab.until(lambda tab: "trouble" not in tab.heard)


async def test_a_server_that_restarts_is_said_and_seen_again(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    async with (
        behind(world, tmp_path) as (proxy, console),
        tab_of(console) as tab,
        tab.watching("fleet", q=world.name),
    ):
        await tab.until(lambda tab: len(tab.order) == 1)
        await proxy.close()
        await tab.until(lambda tab: bool(tab.heard.get("trouble")))
        await toggle(world, name, is_on=True)
        async with FaultProxy(world.sandbox.kubeconfig, tmp_path, port=proxy.port):
            await shows(tab, name, "cordoned")
            await tab.until(lambda tab: "trouble" not in tab.heard)


async def test_a_server_that_is_away_at_first_is_waited_for(world: World, tmp_path: Path) -> None:
    await world.add_nodes(1)
    async with behind(world, tmp_path) as (proxy, console):
        pass
    async with (
        served(proxy.kubeconfig) as console,
        tab_of(console) as tab,
        tab.watching("fleet", q=world.name),
    ):
        await tab.until(lambda tab: bool(tab.heard.get("trouble")))
        assert "cannot reach" in tab.heard["trouble"]["message"]
        assert tab.heard["trouble"]["hint"]
        async with FaultProxy(world.sandbox.kubeconfig, tmp_path, port=proxy.port):
            await tab.until(lambda tab: len(tab.order) == 1)
            assert "trouble" not in tab.heard


async def strike(proxy: FaultProxy, fault: StreamFault, path: str) -> None:
    """Harm a watch; between two watches there is none for a moment."""
    while not proxy.strike(fault, path=path):
        await asyncio.sleep(0.01)


async def toggle(world: World, name: str, *, is_on: bool) -> None:
    await world.writer.patch(NODES, name, {"spec": {"unschedulable": is_on or None}})


async def shows(tab: Tab, name: str, fitness: str) -> None:
    await tab.until(lambda tab: tab.items.get(f"row/{name}", {}).get("fitness") == fitness)
