"""The upgrade page: versions against the policy, what is found, the hops, and what is missing."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.upgrade.bands import picture
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.component import Component, Name
from shipkeeper.upgrade.versions import ClusterVersions, violations
from tests.nodes.world import World
from tests.web.served import Served, Tab, tab_of
from tests.web.visitors import served_to_all, token_of, visitor


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
        planned = await ask(tab, f"plan?minor={minor}")
        assert planned["target"] == seen["targets"][-1]["version"]
        for nonsense in ("0", "-1", "9999", "x", ""):
            status, _ = await tab.get(f"/api/upgrade/plan?minor={nonsense}")
            assert status == 400


async def test_what_is_missing_is_named(newest: Sandbox, world: World, tmp_path: Path) -> None:
    token = await token_of(world, "nobody")
    async with served_to_all(newest, tmp_path) as console, visitor(console, token) as tab:
        status, body = await tab.get("/api/upgrade/versions")
        assert status == 403
        assert "nodes" in body["message"]


async def test_a_stranger_learns_nothing(console: Served) -> None:
    async with tab_of(console, logs_in=False) as tab:
        for what in ("versions", "check?minor=37", "plan?minor=37"):
            assert (await tab.get(f"/api/upgrade/{what}"))[0] == 401
