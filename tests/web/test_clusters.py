"""Several clusters in one console: each its own, none in the way of another."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import yaml

from shipkeeper.engine.journal import RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.session import cluster_identity
from tests.nodes.world import World
from tests.web.many import (
    BROKEN,
    CONTEXTS,
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
from tests.web.served import WITHIN, Served, served, tab_of
from tests.web.test_backups import Kept, kept
from tests.web.test_runs import begun, form, planned
from tests.web.visitors import rule, token_of

__all__ = ["consoles", "kept", "many", "west"]


async def test_each_cluster_is_at_its_own_address(
    consoles: Served, world: World, west: World
) -> None:
    (eastern,), (western,) = await world.add_nodes(1), await west.add_nodes(1)
    async with owner_in(consoles, EAST) as tab, owner_in(consoles, WEST) as other:
        assert (await tab.get("/api/session"))[1]["context"] == EAST
        assert (await other.get("/api/session"))[1]["context"] == WEST
        async with tab.watching("fleet"), other.watching("fleet"):
            await tab.until(lambda tab: f"row/{eastern}" in tab.items)
            await other.until(lambda tab: f"row/{western}" in tab.items)
        assert f"cell/{western}" not in tab.items
        assert f"cell/{eastern}" not in other.items


async def test_a_dead_cluster_is_told_and_is_in_nobodys_way(consoles: Served) -> None:
    async with owner_in(consoles, EAST) as tab:
        async with tab.watching("fleet"):
            await tab.until(lambda tab: "head" in tab.items)
        async with asyncio.timeout(WITHIN):
            while "127.0.0.1:1" not in (found := await clusters(tab))[GONE]["why"]:
                await asyncio.sleep(0.1)
        assert {name: each["state"] for name, each in found.items()} == {
            EAST: "Live",
            WEST: "Live",
            GONE: "Away",
            BROKEN: "Away",
        }
        await turn_to(tab, GONE)
        tab.last = ""
        async with tab.watching("fleet"):
            await tab.until(lambda tab: bool(tab.heard.get("trouble")))
        tab.base = found[BROKEN]["path"]
        status, body = await tab.get("/api/session")
        assert status == 503
        assert "nowhere" in body["message"]
        assert body["message"].startswith(BROKEN)
        async with tab.http.get(f"{tab.url}{tab.base}/fleet") as page:
            assert '<div id="app">' in await page.text()


async def test_no_address_without_a_cluster_is_guessed_about(consoles: Served) -> None:
    async with owner_in(consoles, EAST) as tab:
        for base in ("", "/clusters/north"):
            tab.base = base
            status, body = await tab.get("/api/session")
            assert (status, body["reason"]) == (404, "NoCluster")
            assert (await tab.post("/api/fleet/plan", form("a")))[0] in (404, 405)
            async with tab.http.get(f"{tab.url}{base}/fleet") as page:
                assert page.status == 200


async def test_a_run_is_begun_in_the_cluster_whose_page_it_is(
    consoles: Served, west: World
) -> None:
    (name,) = await west.add_nodes(1)
    async with owner_in(consoles, WEST) as tab, owner_in(consoles, EAST) as other:
        plan = await planned(tab, form(name))
        assert plan["command"].endswith(f"'--context={WEST}'")
        assert (await other.post("/api/fleet/plan", form(name)))[1]["reason"] == "NodeNotFound"
        run = await begun(tab, form(name))
        async with tab.watching("run", run=run):
            await tab.until(lambda tab: tab.items.get("run", {}).get("outcome") == "Succeeded")
        tab.last = ""
        async with tab.watching("journal"), other.watching("journal"):
            await tab.until(lambda tab: f"run/{run}" in tab.items)
            await other.until(lambda tab: tab.items.get("head", {}).get("total") == 0)
        other.last = ""
        async with other.watching("run", run=run):
            await other.until(lambda tab: tab.items.get("none") == run)
        async with other.http.get(f"{other.url}{other.base}/api/run/{run}/export.html") as answer:
            assert answer.status == 404
        for act in ("pause", "resume", "abort"):
            status, body = await other.post(f"/api/run/{act}", {"run": run})
            assert (status, body["reason"]) == (404, "RunNotFound")
    assert consoles.journal.run(run).cluster == (await cluster_identity(west.reader))


async def test_runs_are_shown_whoever_may_see_what_tells_the_cluster_apart(
    many: Path, world: World, tmp_path: Path
) -> None:
    own = await token_of(world, "console", rule("create", "tokenreviews", "authentication.k8s.io"))
    token = await token_of(world, "reader", rule("get,list,watch", "*", "*"))
    let_in(many, EAST, own)
    uid = await cluster_identity(world.reader)
    url = world.connection.credentials.server
    async with (
        served_for_all(tmp_path, many) as console,
        tab_of(console, logs_in=False) as tab,
    ):
        for name, cluster in (("by-uid", uid), ("by-url", url), ("other", "other"), ("none", "")):
            console.journal.begin(run_of(name, cluster))
        tab.base = (await clusters(tab))[EAST]["path"]
        assert (await tab.post("/api/login", {"token": token}))[0] == 200
        await tab.know_session()
        async with tab.watching("journal"):
            await tab.until(lambda tab: "head" in tab.items)
        assert {*tab.order} == {"run/by-uid", "run/by-url"}
        assert all(tab.items[each]["isHere"] for each in tab.order)
        assert (await tab.post("/api/run/pause", {"run": "other"}))[1]["reason"] == "RunNotFound"
        assert (await tab.post("/api/run/pause", {"run": "by-url"}))[1]["reason"] == "NotRunning"


def let_in(kubeconfig: Path, name: str, token: str) -> None:
    """Have a user of a kubeconfig come with a token."""
    document = yaml.safe_load(kubeconfig.read_text())
    next(each for each in document["users"] if each["name"] == name)["user"] = {"token": token}
    kubeconfig.write_text(yaml.safe_dump(document))


def run_of(name: str, cluster: str) -> RunRecord:
    plan = Plan(procedure="maintain", request={}, steps=())
    return RunRecord(
        id=name, procedure="maintain", cluster=cluster, plan=plan, started_at=datetime.now(UTC)
    )


async def test_while_a_cluster_is_away_its_journal_does_not_say_that_it_is_empty(
    consoles: Served,
) -> None:
    async with owner_in(consoles, GONE) as tab, tab.watching("journal"):
        await tab.until(lambda tab: "head" in tab.items)
        assert not tab.items["head"]["knowsAll"]
    async with owner_in(consoles, EAST) as tab, tab.watching("journal"):
        await tab.until(lambda tab: tab.items.get("head", {}).get("knowsAll", False))


async def test_a_backup_is_shown_in_its_own_cluster_alone(many: Path, kept: Kept) -> None:
    async with (
        served(many, contexts=CONTEXTS, place=kept.place) as console,
        owner_in(console, EAST) as tab,
    ):
        objects = f"/api/backups/objects?backup={kept.name}&kind=secrets"
        async with tab.watching("fleet"):
            await tab.until(lambda tab: "head" in tab.items)
        (listed,) = (await tab.get("/api/backups/list"))[1]["backups"]
        assert listed["row"]["name"] == kept.name
        assert (await tab.get(objects))[0] == 200
        await turn_to(tab, WEST)
        tab.last = ""
        async with tab.watching("fleet"):
            await tab.until(lambda tab: "head" in tab.items)
        assert (await tab.get("/api/backups/list"))[1]["backups"] == []
        for name in (kept.name, "latest"):
            asked = objects.replace(kept.name, name)
            assert (await tab.get(asked))[1]["reason"] == "NoSuchBackup"
