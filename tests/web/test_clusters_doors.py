"""Several clusters in one console: who is in at one is in at no other by it."""

from pathlib import Path

from starlette.routing import Route

from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.web.clusters import mark_of
from tests.nodes.world import World, audit_lines
from tests.web.many import (
    BROKEN,
    EAST,
    GONE,
    WEST,
    clusters,
    consoles,
    many,
    owner_in,
    served_for_all,
    turn_to,
    west,
)
from tests.web.served import Served, tab_of
from tests.web.test_strangers import ASKED, OPEN, operations, require_harmless, routes, send
from tests.web.visitors import rule, token_of

__all__ = ["consoles", "many", "routes", "west"]


async def test_who_started_it_is_logged_in_to_all_or_none(consoles: Served) -> None:
    async with tab_of(consoles, logs_in=False) as stranger:
        assert await clusters(stranger) == {}
        for mark in map(mark_of, (EAST, WEST, GONE)):
            stranger.base = f"/clusters/{mark}"
            assert (await stranger.get("/api/session"))[0] == 401
            assert (await stranger.post("/api/login/elsewhere", {}))[0] == 401
    async with owner_in(consoles, EAST) as tab:
        east, csrf = tab.base, tab.csrf
        await turn_to(tab, WEST)
        # What one cluster's page knows does nothing in another.
        assert tab.csrf != csrf
        assert (await tab.post("/api/logout", {}, csrf=csrf))[0] == 403
        assert (await tab.post("/api/login/elsewhere", {}, Origin="http://evil.example"))[0] == 403
        assert (await tab.post("/api/logout", {}))[0] == 200
        for base in (tab.base, east):
            tab.base = base
            assert (await tab.get("/api/session"))[0] == 401
        assert await clusters(tab) == {}


async def test_who_started_it_logs_out_in_every_browser(consoles: Served) -> None:
    async with owner_in(consoles, EAST) as tab, owner_in(consoles, WEST) as other:
        csrf = other.csrf
        # A second tab that asks at once leaves the first one's session as it is.
        assert (await other.post("/api/login/elsewhere", {}))[0] == 200
        await other.know_session()
        assert other.csrf == csrf
        assert (await tab.post("/api/logout", {}))[0] == 200
        assert (await other.get("/api/session"))[0] == 401
        assert await clusters(other) == {}


async def test_a_session_of_one_cluster_gets_nothing_of_another(
    many: Path, world: World, oldest: Sandbox, routes: list[Route], tmp_path: Path
) -> None:
    token = await token_of(world, "reader", rule("get,list,watch", "*", "*"))
    user = f"system:serviceaccount:{world.name}:reader"
    async with (
        served_for_all(tmp_path, many) as console,
        tab_of(console, logs_in=False) as tab,
    ):
        found = await clusters(tab)
        assert {each["state"] for each in found.values()} == {None}
        tab.base = found[EAST]["path"]
        assert (await tab.post("/api/login", {"token": token}))[0] == 200
        await tab.know_session()
        assert (await clusters(tab))[EAST]["isIn"]
        tab.base = found[WEST]["path"]
        door = (await tab.get("/api/door"))[1]
        assert (door["context"], door["isElsewhere"]) == (WEST, False)
        asked_of_west = len(audit_lines(oldest))
        for operation in operations(list({each.path: each for each in routes}.values())):
            status, content = await send(tab, operation, ASKED[operation.path])
            require_harmless(status, content, operation)
            assert status == 401 or operation.path in {*OPEN}, operation
        tab.base = found[GONE]["path"]
        assert (await tab.get("/api/session"))[0] == 401
        # Why a cluster cannot be used names files of the console's machine.
        tab.base = found[BROKEN]["path"]
        status, body = await tab.get("/api/session")
        assert (status, body["reason"]) == (503, "ClusterAway")
        assert any("nowhere" in line for line in console.said)
        assert {each["why"] for each in (await clusters(tab)).values()} == {""}
    mine = [each for each in audit_lines(oldest)[asked_of_west:] if each.user.username == user]
    assert mine == []


async def test_a_token_goes_to_its_own_cluster_alone(
    many: Path, world: World, west: World, tmp_path: Path
) -> None:
    eastern = await token_of(world, "reader", rule("get,list,watch", "*", "*"))
    western = await token_of(west, "other", rule("get,list,watch", "*", "*"))
    async with (
        served_for_all(tmp_path, many) as console,
        tab_of(console, logs_in=False) as tab,
    ):
        paths = {name: each["path"] for name, each in (await clusters(tab)).items()}
        for name, token, world_of in ((EAST, eastern, world), (WEST, western, west)):
            tab.base = paths[name]
            assert (await tab.post("/api/login", {"token": token}))[0] == 200
            user = (await tab.get("/api/session"))[1]["user"]
            assert user.split(":")[2] == world_of.name
        # To log out of one leaves the other.
        await tab.know_session()
        assert (await tab.post("/api/logout", {}))[0] == 200
        assert (await tab.get("/api/session"))[0] == 401
        tab.base = paths[EAST]
        assert (await tab.get("/api/session"))[0] == 200


async def test_guessing_at_one_cluster_keeps_nobody_from_another(
    many: Path, world: World, tmp_path: Path
) -> None:
    token = await token_of(world, "reader", rule("get,list,watch", "*", "*"))
    async with (
        served_for_all(tmp_path, many) as console,
        tab_of(console, logs_in=False) as tab,
    ):
        paths = {name: each["path"] for name, each in (await clusters(tab)).items()}
        tab.base = paths[WEST]
        codes = [(await tab.post("/api/login", {"token": "guess"}))[0] for _ in range(11)]
        assert codes == [401] * 10 + [429]
        tab.base = paths[EAST]
        assert (await tab.post("/api/login", {"token": token}))[0] == 200
