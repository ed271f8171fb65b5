"""Several clusters in one console: each its own, none in the way of another."""

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Route

from shipkeeper.engine.journal import RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.session import cluster_identity
from shipkeeper.errors import UsageError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.web.app import Application
from shipkeeper.web.clusters import Member, mark_of
from shipkeeper.web.opening import Shared
from shipkeeper.web.server import ServeOptions, require_safe
from tests.cli.run import SHIPKEEPER
from tests.nodes.world import World, audit_lines, options_of
from tests.web.many import (
    BROKEN,
    CONTEXTS,
    EAST,
    GONE,
    WEST,
    clusters,
    kubeconfig_of_all,
    owner_in,
    served_for_all,
    turn_to,
)
from tests.web.served import WITHIN, Served, Tab, served, tab_of
from tests.web.test_backups import Kept, kept
from tests.web.test_runs import begun, form, planned
from tests.web.test_strangers import ASKED, OPEN, operations, require_harmless, routes, send
from tests.web.visitors import rule, token_of

__all__ = ["kept", "routes"]


@pytest.fixture
async def many(newest: Sandbox, oldest: Sandbox, tmp_path: Path) -> Path:
    return kubeconfig_of_all(tmp_path, newest, oldest)


@pytest.fixture
async def consoles(many: Path) -> AsyncIterator[Served]:
    """A console of all, for who started it."""
    async with served(many, contexts=CONTEXTS) as found:
        yield found


@pytest.fixture
async def west(oldest: Sandbox, tmp_path: Path) -> AsyncIterator[World]:
    """A corner of the western cluster; `world` is one of the eastern."""
    folder = tmp_path / "west"
    folder.mkdir()
    async with (
        connect(options_of(oldest)) as connection,
        World(oldest, connection, folder) as found,
    ):
        yield found


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


async def test_if_none_can_be_used_nothing_is_served(many: Path) -> None:
    with pytest.raises(Exception, match="nowhere"):
        async with served(many, contexts=(BROKEN, "no-such-context")):
            pass


async def test_no_address_without_a_cluster_is_guessed_about(consoles: Served) -> None:
    async with owner_in(consoles, EAST) as tab:
        for base in ("", "/clusters/north"):
            tab.base = base
            status, body = await tab.get("/api/session")
            assert (status, body["reason"]) == (404, "NoCluster")
            assert (await tab.post("/api/fleet/plan", form("a")))[0] in (404, 405)
            async with tab.http.get(f"{tab.url}{base}/fleet") as page:
                assert page.status == 200


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


async def test_a_bug_is_reported_once_however_often_it_is_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shipkeeper.web.clusters._TRY_AGAIN", 0.0)
    bugs: list[Exception] = []
    said: list[str] = []
    tries = 0
    is_enough = asyncio.Event()

    @asynccontextmanager
    async def opening() -> AsyncGenerator[Application]:
        nonlocal tries
        tries += 1
        if tries == 10:
            is_enough.set()
        raise KeyError("first" if tries < 5 else "second")
        yield

    member = Member(EAST, opening, shared(said), bugs.append, lambda _: True)
    task = asyncio.create_task(member.run())
    async with asyncio.timeout(WITHIN):
        await is_enough.wait()
    task.cancel()
    assert [repr(each) for each in bugs] == ["KeyError('first')", "KeyError('second')"]
    assert len(said) == 2


def shared(said: list[str]) -> Shared:
    """What a member needs that is never opened."""
    nothing: Any = None
    return Shared(
        url="http://127.0.0.1:1",
        is_local=True,
        takes_certificates=False,
        files=nothing,
        journal=nothing,
        directory=Path(),
        place=None,
        planning=nothing,
        say=said.append,
    )


def test_what_cannot_be_of_several_is_refused() -> None:
    common = ServeOptions(
        host="127.0.0.1",
        port=0,
        certificate=Path("a"),
        key=Path("b"),
        connection=ConnectionOptions(),
        flags=(),
        directory=Path(),
        contexts=("a", "b"),
        client_ca=Path("c"),
    )
    with pytest.raises(UsageError, match="of one cluster"):
        require_safe(common)


@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=6, unique=True))
def test_every_context_has_a_mark_of_its_own(names: list[str]) -> None:
    marks = [mark_of(name) for name in names]
    assert len(set(marks)) == len(names)
    for mark in marks:
        assert mark.isascii()
        assert mark[0].isalnum()
        assert len(mark) <= 63
        assert not set(mark) - set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
        )


async def test_the_command_takes_patterns(many: Path) -> None:
    words = ("serve", "--port=0", f"--kubeconfig={many}", "--context", "e*", "--context", WEST)
    process = await asyncio.create_subprocess_exec(
        SHIPKEEPER, *words, env=dict(os.environ), stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(WITHIN):
            said = [(await process.stderr.readline()).decode() for _ in range(2)]
        link = next(line.split()[-1] for line in said if "?link=" in line)
        url = link.partition("/?")[0]
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            async with http.get(link):
                pass
            assert list(await clusters(Tab(url, http))) == [EAST, WEST]
    finally:
        process.terminate()
        await process.wait()
