"""What the fleet's page is told is the cluster, whoever looks and however it changes."""

from datetime import UTC, datetime
from typing import Any

from shipkeeper.engine.journal import Journal
from shipkeeper.kube.identity import Identity
from shipkeeper.kube.resources import NODES
from shipkeeper.nodes.current import CurrentInventory
from shipkeeper.nodes.inventory import take_inventory
from shipkeeper.nodes.observe import observe, observe_nodes
from shipkeeper.paths import state_dir
from shipkeeper.web.console import Console, Settings
from shipkeeper.web.observer import Observer
from shipkeeper.web.pages.fleet import FleetPage, FleetQuery
from shipkeeper.web.person import Person
from shipkeeper.web.sessions import Sessions
from shipkeeper.web.view import changes
from tests.nodes.world import World
from tests.web.served import Served, Tab, tab_of


async def test_nodes_come_change_and_go(console: Served, world: World) -> None:
    async with tab_of(console) as tab, tab.watching("fleet", q=world.name):
        await tab.until(lambda tab: "head" in tab.items)
        names = await world.add_nodes(3, zones=3)
        await tab.until(lambda tab: sorted(tab.order) == sorted(f"row/{name}" for name in names))
        assert tab.items["head"]["matching"] == 3
        await world.writer.patch(NODES, names[0], {"spec": {"unschedulable": True}})
        await tab.until(lambda tab: tab.items[f"row/{names[0]}"]["fitness"] == "cordoned")
        await tab.post("/api/look", {"stream": _key(tab), "query": {"q": names[1]}})
        await tab.until(lambda tab: tab.order == [f"row/{names[1]}"])
        assert not tab.items[f"cell/{names[0]}"]["match"]
    assert tab.wholes == 1


async def test_a_node_tells_what_would_block_its_drain(console: Served, world: World) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.bare_pod("alone"))
    async with tab_of(console) as tab, tab.watching("fleet", node=name):
        await tab.until(lambda tab: tab.items.get("detail", _NONE)["explanation"]["pods"])
        detail = tab.items["detail"]
        assert detail["explanation"]["drainable"] is False
        (pod,) = detail["explanation"]["pods"]
        (verdict,) = pod["verdicts"]
        assert verdict["reason"] == "Unreplicated"
        assert verdict["remedy"]
        assert tab.items[f"cell/{name}"]["fitness"] == "blocked"


_NONE: dict[str, Any] = {"explanation": {"pods": []}}


async def test_a_stream_goes_on_where_it_broke_off(console: Served, world: World) -> None:
    async with tab_of(console) as tab:
        async with tab.watching("fleet", q=world.name):
            await tab.until(lambda tab: "head" in tab.items)
        names = await world.add_nodes(2)
        async with tab.watching("fleet", q=world.name):
            await tab.until(lambda tab: len(tab.order) == len(names))
        assert tab.wholes == 1
        assert tab.numbers == sorted(set(tab.numbers))
        # Who says nonsense about how far they came gets everything anew.
        for nonsense in (f"{_key(tab)}.99999", f"{_key(tab)}.x", "gone.1"):
            before = tab.wholes
            tab.last = nonsense
            async with tab.watching("fleet", q=world.name):
                await tab.until(lambda tab, before=before: tab.wholes == before + 1)


async def test_who_look_at_the_same_see_one_view(world: World) -> None:
    (name,) = await world.add_nodes(1)
    observer = Observer(world.connection)
    journal = Journal(state_dir() / "journal.db")
    async with CurrentInventory(world.reader) as current:
        observer.inventory = current
        page = FleetPage(console_of(world, observer, journal))
        person = Person(Identity(username="ann"), world.connection)
        views = [
            await page.look(person, FleetQuery(q=q)) for q in (world.name, world.name, "", *"ab")
        ]
        assert views[0] is views[1]
        assert len({id(each) for each in views}) == 4
        await world.writer.patch(NODES, name, {"spec": {"unschedulable": True}})
        await current.nodes.wait_for(lambda nodes: nodes[name].spec.unschedulable)
        later = await page.look(person, FleetQuery(q=world.name))
        assert set(changes(views[0], later).set) >= {"head", f"cell/{name}", f"row/{name}"}
    journal.close()


def console_of(world: World, observer: Observer, journal: Journal) -> Console:
    credentials = world.connection.credentials
    return Console(
        settings=Settings(is_local=True, cluster=credentials.server),
        connection=world.connection,
        observer=observer,
        journal=journal,
        sessions=Sessions(lambda: 0.0, cookie="c", is_tls=False),
        directory=state_dir() / "console",
    )


async def test_a_filter_that_makes_no_sense_is_said(console: Served) -> None:
    async with tab_of(console) as tab:
        status, body = await tab.get("/api/stream/fleet?q=colour:red")
        assert (status, body["reason"]) == (400, "UnknownFilter")
        status, body = await tab.get("/api/stream/fleet?sort=colour")
        assert (status, body["reason"]) == (400, "UnknownOrder")
        assert (await tab.get("/api/stream/nothing"))[0] == 404


async def test_the_current_inventory_is_that_of_the_cluster(world: World) -> None:
    names = await world.add_nodes(3)
    await world.up(world.deployment("web", 4), world.budget("web", min_available=4))
    async with CurrentInventory(world.reader) as current:
        before = dict(current.rows())
        assert before.keys() >= set(names)
        await world.up(world.deployment("more", 3), world.bare_pod("alone"))
        await current.pods.wait_for(lambda pods: f"{world.name}/alone" in pods)
        state = await observe(world.reader, await observe_nodes(world.reader, names, ""))
        told = {row.name: row for row in take_inventory(state, datetime.now(UTC))}
        await current.pods.wait_for(lambda _: {n: current.rows()[n] for n in names} == told)


def _key(tab: Tab) -> str:
    return tab.last.partition(".")[0]
