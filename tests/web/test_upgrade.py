"""The upgrade page: versions against the policy, what is found, the hops, and what is missing."""

import threading
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shipkeeper.backup.opening import Place
from shipkeeper.nodes import procedure as nodes_procedure
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.upgrade import procedure as upgrade_procedure
from shipkeeper.upgrade.bands import picture
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.component import Component, Name
from shipkeeper.upgrade.versions import ClusterVersions, violations
from shipkeeper.web.pages import upgrade as upgrade_page
from tests.nodes.world import World
from tests.upgrade.test_managed import NEW, OLD, Cloud, cloud
from tests.web.served import Served, Tab, served, tab_of
from tests.web.test_runs import end_driver
from tests.web.visitors import rule, served_to_all, token_of, visitor

__all__ = ["cloud"]


async def ask(tab: Tab, what: str) -> Any:
    status, body = await tab.get(f"/api/upgrade/{what}")
    assert status == 200, body
    return body


def component(name: Name, minor: int, node: str) -> Component:
    return Component(name=name, text=f"v1.{minor}.0", node=node)


@pytest.mark.parametrize(("kubelet", "is_fine"), [(36, True), (33, True), (32, False), (37, False)])
def test_the_picture_and_the_rules_say_the_same(kubelet: int, is_fine: bool) -> None:
    versions = ClusterVersions(
        server="v1.36.0",
        components=(
            component(Name.API_SERVER, 36, "a"),
            component(Name.KUBELET, kubelet, "b"),
            component(Name.KUBELET, kubelet, "c"),
            Component(name=Name.ETCD, text="3.5.24", node="a"),
        ),
    )
    drawn = picture(versions, catalog(), date(2026, 1, 1))
    bands = {each.name: each for each in drawn.bands}
    (place,) = bands[Name.KUBELET].places
    assert (place.minor, place.count, place.nodes) == (kubelet, 2, ("b", "c"))
    assert kubelet in drawn.minors
    assert (kubelet not in bands[Name.KUBELET].breaks) is is_fine
    assert is_fine is not bool(violations(versions))
    assert [each.name for each in drawn.others] == [Name.ETCD]


async def test_versions_findings_and_hops_are_shown(console: Served, world: World) -> None:
    await world.add_nodes(2)
    async with tab_of(console) as tab:
        seen = await ask(tab, "versions")
        kubelet = next(each for each in seen["picture"]["bands"] if each["name"] == "kubelet")
        assert sum(each["count"] for each in kubelet["places"]) >= 2
        minor = seen["targets"][-1]["minor"]
        checked = await ask(tab, f"check?minor={minor}")
        assert checked["findings"]["passed"]
        target = seen["targets"][-1]["version"]
        status, planned = await tab.post("/api/upgrade/plan", {"to": target})
        assert status == 200, planned
        assert planned["target"] == target
        assert planned["words"].startswith("hops: ")
        for nonsense in ("0", "-1", "9999", "x", ""):
            status, _ = await tab.get(f"/api/upgrade/check?minor={nonsense}")
            assert status == 400
            status, _ = await tab.post("/api/upgrade/plan", {"to": nonsense})
            assert status == 400


async def test_planning_and_checking_keep_nobody_waiting(
    console: Served, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.add_nodes(1)
    threads: dict[str, threading.Thread] = {}

    def watch(module: ModuleType, name: str) -> None:
        real = getattr(module, name)

        def watched(*given: Any) -> Any:
            threads[name] = threading.current_thread()
            return real(*given)

        monkeypatch.setattr(module, name, watched)

    watch(upgrade_procedure, "plan_upgrade")
    watch(upgrade_page, "judge")
    watch(nodes_procedure, "plan_fleet")
    watch(nodes_procedure, "forecast_moves")
    async with tab_of(console) as tab:
        await ask(tab, "check?minor=37")
        assert (await tab.post("/api/upgrade/plan", {"to": "v1.37.2"}))[0] == 200
        (name,) = await world.add_nodes(1)
        shown = {"form": {"nodes": [name], "wait": "1s"}, "digest": "of another"}
        assert (await tab.post("/api/fleet/rehearse", shown))[0] == 200
    assert set(threads) == {"plan_upgrade", "judge", "plan_fleet", "forecast_moves"}
    assert threading.main_thread() not in threads.values()


async def test_nothing_is_begun_but_the_plan_that_was_shown(console: Served, world: World) -> None:
    await world.add_nodes(2)
    form = {"to": "v1.37.2", "wait": True, "backup": False}
    async with tab_of(console) as tab:
        status, body = await tab.post("/api/upgrade/start", {"form": form, "digest": "guessed"})
        assert (status, body["reason"]) == (409, "PlanChanged")
        _, planned = await tab.post("/api/upgrade/plan", {**form, "to": "v1.20.0"})
        assert planned["isRefused"]
        wish = {"form": {**form, "to": "v1.20.0"}, "digest": planned["digest"]}
        status, body = await tab.post("/api/upgrade/start", wish)
        assert status == 409
        assert (body["reason"], body["hint"]) in {
            (each["reason"], each["remedy"]) for each in planned["verdicts"]
        }
    assert console.journal.heads() == []


async def test_what_changed_since_the_plan_is_told(cloud: Cloud, state: Path) -> None:
    await cloud.world.add_nodes(1, kubelet_version=OLD)
    form = {"to": NEW, "via": [OLD], "wait": True, "backup": False}
    async with served(cloud.proxy.kubeconfig) as console, tab_of(console) as tab:
        status, planned = await tab.post("/api/upgrade/plan", form)
        assert status == 200, planned
        (second,) = await cloud.world.add_nodes(1, kubelet_version=OLD)
        wish = {"form": form, "digest": planned["digest"]}
        status, body = await tab.post("/api/upgrade/start", wish)
        assert (status, body["reason"]) == (409, "PlanChanged")
        assert f"node/{second}" in body["message"]
        assert not console.journal.heads()


async def test_an_upgrade_is_begun_as_the_command_line_begins_it(cloud: Cloud, state: Path) -> None:
    (node,) = await cloud.world.add_nodes(1, kubelet_version=OLD)
    form = {"to": NEW, "via": [OLD], "wait": True, "backup": False}
    async with served(cloud.proxy.kubeconfig) as console, tab_of(console) as tab:
        status, planned = await tab.post("/api/upgrade/plan", form)
        assert status == 200, planned
        assert planned["missing"] == []
        assert "--wait" in planned["command"]
        wish = {"form": form, "digest": planned["digest"]}
        status, body = await tab.post("/api/upgrade/start", wish)
        assert status == 201, body
        async with tab.watching("run", run=body["run"]):
            await tab.until(lambda tab: tab.items.get("run", {}).get("isDriven", False))
            head = tab.items["run"]
            assert (head["procedure"], head["door"]) == ("upgrade", "console")
            status, refused = await tab.post("/api/run/pause", {"run": body["run"]})
            assert (status, refused["reason"]) == (400, "NotRunning")
            status, refused = await tab.post("/api/run/abort", {"run": body["run"]})
            assert (status, refused["reason"]) == (409, "RunInProgress")
            end_driver()
            await tab.until(lambda tab: not tab.items["run"]["isDriven"])
            assert (await tab.post("/api/run/resume", {"run": body["run"]}))[0] == 200
            await tab.until(lambda tab: tab.items["run"]["isDriven"])
            end_driver()
            await tab.until(lambda tab: not tab.items["run"]["isDriven"])
            assert (await tab.post("/api/run/abort", {"run": body["run"]}))[0] == 200
            await tab.until(lambda tab: tab.items["run"]["outcome"] == "Aborted")
    assert not (await cloud.world.node(node)).spec.unschedulable


async def test_what_is_missing_is_named(newest: Sandbox, world: World, tmp_path: Path) -> None:
    token = await token_of(world, "nobody")
    async with served_to_all(newest, tmp_path) as console, visitor(console, token) as tab:
        status, body = await tab.get("/api/upgrade/versions")
        # Several things are asked at once, and the first refusal is told.
        assert (status, body["reason"]) == (403, "Forbidden")
        assert "not allowed to list" in body["message"]


async def test_where_backups_are_is_told_to_whom_they_serve(
    newest: Sandbox, world: World, tmp_path: Path
) -> None:
    place = Place(url=str(tmp_path / "repository"))
    token = await token_of(world, "looker", rule("get,list", "*", "*"))
    async with (
        served_to_all(newest, tmp_path, place=place) as console,
        visitor(console, token) as tab,
    ):
        assert (await ask(tab, "versions"))["repository"] is None
    async with served(newest.kubeconfig, place=place) as console, tab_of(console) as tab:
        assert (await ask(tab, "versions"))["repository"] == place.url


async def test_a_stranger_learns_nothing(console: Served) -> None:
    async with tab_of(console, logs_in=False) as tab:
        for what in ("versions", "check?minor=37"):
            assert (await tab.get(f"/api/upgrade/{what}"))[0] == 401
        for what in ("plan", "start"):
            assert (await tab.post(f"/api/upgrade/{what}", {"to": "v1.37.2"}))[0] == 401
