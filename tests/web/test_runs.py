"""Runs begun, held back, let go on and given up from the console, and those begun elsewhere."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.engine.agreement import PlanChangedError
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.kube.identity import Identity
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.procedure import execute, prepare
from shipkeeper.paths import state_dir
from shipkeeper.web.answers import read_body
from shipkeeper.web.commands import start
from shipkeeper.web.console import Console, Settings
from shipkeeper.web.observer import Observer
from shipkeeper.web.person import Person
from shipkeeper.web.sessions import Sessions
from tests.nodes.world import World
from tests.web.served import Served, Tab, tab_of

Json = dict[str, Any]


def form(*nodes: str, **more: Any) -> Json:
    return {"nodes": list(nodes), "wait": "200ms", **more}


async def planned(tab: Tab, asked: Json) -> Json:
    status, plan = await tab.post("/api/fleet/plan", asked)
    assert status == 200, plan
    return plan


async def begun(tab: Tab, asked: Json) -> str:
    plan = await planned(tab, asked)
    status, answer = await tab.post("/api/fleet/start", {"form": asked, "digest": plan["digest"]})
    assert status == 201, answer
    return answer["run"]


async def crowded(world: World) -> tuple[str, ...]:
    """Nodes of which the first has three pods whose budget lets one go at a time."""
    first = await world.add_nodes(1)
    await world.up(
        world.deployment("web", 3, ready_after="2s"), world.budget("web", max_unavailable=1)
    )
    return (*first, *await world.add_nodes(2))


async def test_a_plan_is_shown_and_rehearsed(console: Served, world: World) -> None:
    names = await crowded(world)
    async with tab_of(console) as tab:
        plan = await planned(tab, form(*names))
        assert plan["line"] == "maintain 3 nodes: 3 pods to move, 0 to leave"
        assert sorted(node for wave in plan["waves"] for node in wave) == sorted(names)
        assert plan["missing"] == plan["refused"] == []
        assert plan["command"].startswith(f"shipkeeper maintain run {names[0]}")
        shown = {"form": form(*names), "digest": plan["digest"]}
        status, played = await tab.post("/api/fleet/rehearse", shown)
        assert status == 200
        assert played["digest"] == plan["digest"]
        assert played["waves"] == plan["waves"]
        assert played["forecast"]["moves"] == len(played["moves"])
        assert all(move["from"] in names and move["to"] in names for move in played["moves"])
    assert not console.journal.heads()


async def test_what_is_rehearsed_is_the_plan_that_was_shown(console: Served, world: World) -> None:
    names = await crowded(world)
    async with tab_of(console) as tab:
        plan = await planned(tab, form(*names))
        await world.up(world.bare_pod("alone"))
        shown = {"form": form(*names), "digest": plan["digest"]}
        _, played = await tab.post("/api/fleet/rehearse", shown)
        assert (played["digest"], played["waves"]) == (plan["digest"], plan["waves"])
        # It is kept for one rehearsal; another is of what there is by now, and says so.
        _, again = await tab.post("/api/fleet/rehearse", shown)
        assert again["digest"] != plan["digest"]
        assert again["waves"] != plan["waves"]
        assert {each["node"] for each in again["forecast"]["nodes"]} == {
            node for wave in again["waves"] for node in wave
        }


async def test_a_plan_that_nobody_waits_for_is_not_made(
    console: Served, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = await world.add_nodes(1)
    came, made, go_on = 0, 0, asyncio.Event()

    async def arrived(*given: Any) -> Any:
        nonlocal came
        came += 1
        return await read_body(*given)

    async def held(*given: Any) -> Any:
        nonlocal made
        made += 1
        await go_on.wait()
        return await prepare(*given)

    monkeypatch.setattr("shipkeeper.web.pages.planning.read_body", arrived)
    monkeypatch.setattr("shipkeeper.web.pages.planning.prepare", held)
    async with tab_of(console) as tab:
        first = [asyncio.create_task(planned(tab, form(name))) for _ in range(2)]
        while made < len(first):
            await asyncio.sleep(0.01)
        async with tab_of(console) as leaving:
            late = asyncio.create_task(planned(leaving, form(name)))
            while came <= len(first):
                await asyncio.sleep(0.01)
            late.cancel()
            await asyncio.gather(late, return_exceptions=True)
        # What comes after it is answered, and so the console has heard that it left.
        assert (await tab.get("/api/session"))[0] == 200
        go_on.set()
        await asyncio.gather(*first)
        await planned(tab, form(name))
    assert made == len(first) + 1


async def test_a_run_is_begun_and_watched_to_its_end(console: Served, world: World) -> None:
    names = await crowded(world)
    async with tab_of(console) as tab:
        run = await begun(tab, form(names[0]))
        async with tab.watching("run", run=run):
            await tab.until(lambda tab: waits(tab, names[0]))
            (waiting,) = [w for w in ways(tab, names[0]) if w["pod"]["state"] == "Waiting"][:1]
            assert waiting["pod"]["budget"] == f"{world.name}/web"
            assert "disruption" in waiting["pod"]["message"].lower()
            await tab.until(lambda tab: tab.items["run"]["outcome"] == "Succeeded")
            node = tab.items[f"node/{names[0]}"]
            assert (node["state"], node["moved"], node["moving"]) == ("Done", 3, 3)
            gauge = tab.items[f"budget/{world.name}/web"]
            assert gauge["line"] == 2
            assert gauge["lowest"] == 2
        async with tab.http.get(f"{tab.url}/api/run/{run}/export.html") as response:
            page = await response.text()
            assert "script" not in response.headers["Content-Security-Policy"]
    assert names[0] in page
    assert "<script" not in page
    record = console.journal.run(run)
    assert record.door == "console"
    assert record.person == "admin"
    # Every pod has one that came for it.
    assert page.count("<td class=Gone>Gone</td>") == 3


async def test_a_run_from_elsewhere_is_watched(console: Served, world: World) -> None:
    names = await world.add_nodes(2)
    await world.up(world.deployment("web", 2))
    options = MaintenanceOptions(drain=DrainOptions(), wait=1.0)
    _, plan = await prepare(world.connection, names, "", options)
    other = Journal(console.journal.path)
    async with tab_of(console) as tab, tab.watching("journal"):
        await tab.until(lambda tab: tab.items.get("head", {}).get("total") == 0)
        running = asyncio.create_task(execute(world.connection, other, plan, world.events.append))
        await tab.until(lambda tab: tab.items["head"]["total"] == 1)
        await tab.until(lambda tab: tab.items[tab.order[0]]["outcome"] == "Running")
        async with tab_of(console) as second, second.watching("run"):
            await second.until(lambda tab: tab.items.get("run", {}).get("isDriven", False))
            result = await running
            await second.until(lambda tab: tab.items["run"]["outcome"] == result.outcome)
            assert {second.items[key]["state"] for key in second.order} == {"Done"}
        await tab.until(lambda tab: tab.items[tab.order[0]]["outcome"] == "Succeeded")
        assert tab.items[tab.order[0]]["door"] == "cli"
    other.close()


async def test_a_run_is_paused_and_goes_on(console: Served, world: World) -> None:
    names = await world.add_nodes(2)
    async with tab_of(console) as tab:
        run = await begun(tab, form(*names, wait="1s"))
        async with tab.watching("run", run=run):
            await tab.until(lambda tab: tab.items.get("run", {}).get("isDriven", False))
            assert (await tab.post("/api/run/pause", {"run": run}))[0] == 200
            await tab.until(lambda tab: tab.items["run"]["isPaused"])
            states = [tab.items[key]["state"] for key in tab.order]
            assert "Pending" in states
            assert (await tab.post("/api/run/abort", {"run": run}))[1]["reason"] == "RunInProgress"
            assert (await tab.post("/api/run/resume", {"run": run}))[0] == 200
            await tab.until(lambda tab: tab.items["run"]["outcome"] == "Succeeded")
        status, body = await tab.post("/api/run/resume", {"run": run})
        assert (status, body["reason"]) == (400, "RunEnded")


async def test_a_run_whose_process_was_killed_is_given_up(console: Served, world: World) -> None:
    (name,) = await world.add_nodes(1)
    options = MaintenanceOptions(drain=DrainOptions(), wait=3600.0)
    _, plan = await prepare(world.connection, (name,), "", options)
    other = Journal(console.journal.path)
    running = asyncio.create_task(execute(world.connection, other, plan, world.events.append))
    async with tab_of(console) as tab, tab.watching("run"):
        await tab.until(lambda tab: tab.items.get(f"node/{name}", {}).get("state") == "Working")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await tab.until(lambda tab: not tab.items["run"]["isDriven"])
        run = tab.items["run"]["id"]
        status, body = await tab.post("/api/run/abort", {"run": run})
        assert status == 200, body
        await tab.until(lambda tab: tab.items["run"]["outcome"] == Outcome.ABORTED)
    assert not (await world.node(name)).spec.unschedulable
    other.close()


async def test_what_changed_since_the_plan_is_not_begun(console: Served, world: World) -> None:
    names = await world.add_nodes(2)
    async with tab_of(console) as tab:
        plan = await planned(tab, form(*names))
        await world.up(world.bare_pod("alone"))
        wish = {"form": form(*names), "digest": plan["digest"]}
        status, body = await tab.post("/api/fleet/start", wish)
        assert (status, body["reason"]) == (409, "PlanChanged")
        assert any(f"node/{name}" in body["message"] for name in names)
        wish = {"form": {**form(*names), "wait": ""}, "digest": plan["digest"]}
        assert (await tab.post("/api/fleet/start", wish))[1]["reason"] == "NoAction"
        status, body = await tab.post("/api/fleet/plan", form("no-such-node"))
        assert (status, body["reason"]) == (404, "NodeNotFound")
    assert not console.journal.heads()


async def test_pods_that_come_and_go_hold_no_start_up(console: Served, world: World) -> None:
    names = await crowded(world)
    asked = form(*names, max_unavailable="2")
    async with tab_of(console) as tab:
        plan = await planned(tab, asked)
        await world.up(world.deployment("late", 4), world.budget("late", max_unavailable=2))
        wish = {"form": {**asked, "wait": "300ms"}, "digest": plan["digest"]}
        status, body = await tab.post("/api/fleet/start", wish)
        assert (status, body["reason"]) == (409, "PlanChanged")
        wish["form"] = asked
        status, body = await tab.post("/api/fleet/start", wish)
        assert status == 201, body
        async with tab.watching("run", run=body["run"]):
            await tab.until(lambda tab: tab.items.get("run", {}).get("outcome") == "Succeeded")


async def test_few_plans_are_made_at_a_time(
    console: Served, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = await world.add_nodes(1)
    planning, most = 0, 0

    async def counted(*given: Any) -> Any:
        nonlocal planning, most
        planning += 1
        most = max(most, planning)
        # Long enough for all others to come.
        await asyncio.sleep(0.2)
        planning -= 1
        return await prepare(*given)

    monkeypatch.setattr("shipkeeper.web.pages.planning.prepare", counted)
    async with tab_of(console) as tab:
        await asyncio.gather(*(planned(tab, form(name)) for _ in range(5)))
    assert most == 2


async def test_an_older_run_of_the_same_is_not_gone_on_with(console: Served, world: World) -> None:
    (name,) = await world.add_nodes(1)
    asked = form(name, wait="1h")
    async with tab_of(console) as tab:
        run = await begun(tab, asked)
        async with tab.watching("run", run=run):
            await tab.until(lambda tab: tab.items.get(f"node/{name}", {}).get("state") == "Working")
            wish = {"form": asked, "digest": (await planned(tab, asked))["digest"]}
            status, body = await tab.post("/api/fleet/start", wish)
            assert status == 409, body
            assert f"run {run} is driven by another process" in body["message"]
            end_driver()
            await tab.until(lambda tab: not tab.items["run"]["isDriven"])
        wish = {"form": asked, "digest": (await planned(tab, asked))["digest"]}
        status, body = await tab.post("/api/fleet/start", wish)
        assert status == 409, body
        assert run in body["message"]
        assert "was interrupted" in body["message"]
        assert f"shipkeeper abort {run}" in body["hint"]
        assert (await tab.post("/api/run/abort", {"run": run}))[0] == 200
    assert [each.id for each in console.journal.heads()] == [run]


async def test_a_command_begins_the_plan_that_was_agreed_to_or_none(
    console: Served, world: World
) -> None:
    (name,) = await world.add_nodes(1)
    connection = world.connection
    person = Person(Identity(username="ann"), connection)
    shown = Console(
        settings=Settings(
            is_local=True,
            cluster=connection.credentials.server,
            flags=(f"--kubeconfig={world.sandbox.kubeconfig}",),
        ),
        connection=connection,
        observer=Observer(connection),
        journal=console.journal,
        sessions=Sessions(asyncio.get_running_loop().time, cookie="c", is_tls=False),
        directory=state_dir() / "console",
    )
    words = ("maintain", "run", name, "--wait=1s")
    command = start(shown, person, words, agreed="the digest of another plan")
    with pytest.raises(PlanChangedError):
        await command.begun()
    assert not console.journal.heads()
    assert not (await world.node(name)).spec.unschedulable


async def test_what_the_command_refuses_is_told(console: Served, world: World) -> None:
    (name,) = await world.add_nodes(1)
    async with tab_of(console) as tab:
        asked = form(name, wait="", hook="true", secret_env=["X"])
        status, body = await tab.post("/api/fleet/plan", asked)
        assert (status, body["reason"]) == (400, "BadRequest")
        options = MaintenanceOptions(drain=DrainOptions(), wait=3600.0)
        _, plan = await prepare(world.connection, (name,), "", options)
        other = Journal(console.journal.path)
        running = asyncio.create_task(execute(world.connection, other, plan, world.events.append))
        async with tab.watching("run"):
            await tab.until(lambda tab: tab.items.get(f"node/{name}", {}).get("state") == "Working")
        shown = await planned(tab, form(name))
        wish = {"form": form(name), "digest": shown["digest"]}
        status, body = await tab.post("/api/fleet/start", wish)
        assert status == 409, body
        assert body["hint"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        other.close()


def end_driver() -> None:
    """End the command that this process's console started, as if its machine went down."""
    for path in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for pid in path.read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"shipkeeper.cli.main" in words:
                os.kill(int(pid), signal.SIGKILL)


def ways(tab: Tab, node: str) -> list[Json]:
    return tab.items.get(f"ways/{node}", [])


def waits(tab: Tab, node: str) -> bool:
    return any(way["pod"]["state"] == "Waiting" for way in ways(tab, node))
