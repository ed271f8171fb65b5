"""What nobody hopes to see, in a real browser: nothing there, nothing to be read, nothing moves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from shipkeeper.backup.opening import Place, create_repository, open_repository
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.take import take
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.resources import NODES
from shipkeeper.sandbox.sandbox import Sandbox
from tests.faults.faults import Answer, status
from tests.faults.proxy import FaultProxy
from tests.nodes.world import World
from tests.web.chromium import browser, look, page_of, press_until_focused
from tests.web.served import Served, served
from tests.web.test_backups import Kept, kept
from tests.web.test_runs import end_driver
from tests.web.test_walk import open_part
from tests.web.visitors import rule, served_to_all, token_of

__all__ = ["kept"]

PAGES = (
    *("fleet", "run", "upgrade", "backups", "backups/browse", "backups/compare", "access"),
    *("access/explain?q=get+nodes", "access/escalation", "access/matrix", "access/certificates"),
    "journal",
)
LONG = "a-name-that-is-as-long-as-names-of-nodes-may-be-where-a-cloud-makes-them-of-everything"
SEES_FLEET = (
    rule("get,list,watch", "nodes,pods,replicationcontrollers"),
    rule("get,list,watch", "poddisruptionbudgets", "policy"),
    rule("get,list,watch", "*", "apps"),
    rule("get,list,watch", "*", "batch"),
)


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


def named(prefix: str, part: str) -> str:
    """What the pictures of a part of a page are called."""
    return f"{prefix}-{part.partition('?')[0].replace('/', '-')}"


async def look_at_all(page: Page, console: Served, prefix: str) -> None:
    for part in PAGES:
        await open_part(page, console, part)
        await look(page, named(prefix, part))


async def test_a_first_visit_says_what_to_do(
    chromium: Browser, secluded: Sandbox, tmp_path: Path
) -> None:
    place = Place(
        url=str(tmp_path / "repository"),
        key=str(tmp_path / "writer.key"),
        identity=str(tmp_path / "reader.age"),
    )
    await create_repository(place, ())
    async with served(secluded.kubeconfig) as console, page_of(chromium, console) as page:
        await expect(page.get_by_text("This cluster has no nodes yet")).to_be_visible()
        await look_at_all(page, console, "first")
    async with (
        served(secluded.kubeconfig, place=place) as console,
        page_of(chromium, console) as page,
    ):
        await open_part(page, console, "backups")
        await expect(page.get_by_text("There is no backup in this repository yet")).to_be_visible()
        await look(page, "first-backups-none")


async def test_an_api_server_that_is_gone_is_said_everywhere(
    chromium: Browser, kept: Kept, world: World, tmp_path: Path
) -> None:
    await world.add_nodes(3, zones=3)
    async with (
        FaultProxy(world.sandbox.kubeconfig, tmp_path) as proxy,
        served(proxy.kubeconfig, place=kept.place) as console,
        page_of(chromium, console) as page,
    ):
        await expect(page.locator("tbody tr")).not_to_have_count(0)
        await proxy.close()
        await expect(page.locator(".pill")).to_contain_text("Stale since")
        for part in PAGES:
            await open_part(page, console, part)
            # A backup is read from its repository, and needs no cluster.
            if part not in ("backups", "backups/browse"):
                await expect(page.locator("main")).to_contain_text("Connection refused")
            await look(page, named("gone", part))


async def test_who_may_only_read_sees_what_is_missing(
    chromium: Browser, kept: Kept, world: World, tmp_path: Path
) -> None:
    await world.add_nodes(2)
    await world.up(world.deployment("web", 2))
    token = await token_of(world, "reader", *SEES_FLEET)
    nobody = await token_of(world, "nobody")
    async with served_to_all(world.sandbox, tmp_path, place=kept.place) as console:
        async with page_of(chromium, console, token=token) as page:
            await open_part(page, console, f"fleet?q={world.name}")
            await page.get_by_role("button", name="Select the 2 found").click()
            await page.get_by_role("button", name="Plan a maintenance").click()
            await expect(page.get_by_text("and not carry it out")).to_be_visible()
            await look(page, "reader-plan")
            await page.locator(".menu summary").click()
            await look(page, "reader-menu")
            await look_at_all(page, console, "reader")
            await open_part(page, console, "access/explain?q=get+nodes")
            await expect(page.get_by_text("Not by what could be read")).to_be_visible()
        async with page_of(chromium, console, token=nobody) as page:
            await expect(page.get_by_text("You may not see this page")).to_be_visible()
            await look_at_all(page, console, "nobody")
            await open_part(page, console, "access/escalation")
            await expect(page.get_by_text("is seen in what could be read")).to_be_visible()


async def test_long_names_break_nothing(chromium: Browser, console: Served, world: World) -> None:
    names = await world.add_nodes(4, zones=2)
    labels = {
        "topology.kubernetes.io/zone": LONG[:63],
        "node.kubernetes.io/instance-type": LONG[:63],
        f"{'long.' * 20}example/label": LONG[:63],
    }
    info = dict.fromkeys(("osImage", "kernelVersion", "containerRuntimeVersion"), LONG + "<b>")
    for name in names[:2]:
        await world.writer.patch(NODES, name, {"metadata": {"labels": labels}})
        await world.writer.patch(NODES, name, {"status": {"nodeInfo": info}}, subresource="status")
    await world.up(
        world.deployment(LONG[:50], 3),
        world.budget(f"{LONG}-{LONG}"[:200], LONG[:50], max_unavailable=1),
        world.bare_pod(LONG[:63]),
    )
    async with page_of(chromium, console) as page:
        await open_part(page, console, f"fleet?q={world.name}")
        await look(page, "long-fleet")
        await page.get_by_role("button", name=names[0], exact=True).click()
        await expect(page.locator(".drawer")).to_contain_text("label")
        await page.get_by_text("labels").click()
        await look(page, "long-node")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Select the 4 found").click()
        await page.get_by_role("button", name="Plan a maintenance").click()
        await page.get_by_label("give up pods without a controller").check()
        await expect(page.locator(".gantt-row")).to_have_count(4)
        await look(page, "long-plan")


async def test_many_nodes_fit_on_the_map(chromium: Browser, console: Served, world: World) -> None:
    count = 0
    for pool in ("batch", "front", "stateful", "gpu"):
        found = await world.add_nodes(
            60, zones=4, labels={"node.kubernetes.io/instance-type": pool, "pool": pool}
        )
        count += len(found)
        for name in found[:5]:
            await world.writer.patch(NODES, name, {"spec": {"unschedulable": True}})
    await world.up(
        world.deployment("web", 40, spread_over="topology.kubernetes.io/zone"),
        world.budget("web", max_unavailable=0),
        world.deployment("api", 40),
        world.budget("api", max_unavailable=2),
    )
    async with page_of(chromium, console) as page:
        await open_part(page, console, "fleet")
        # Other tests may have nodes there, too.
        await expect(page.locator(f"[data-node^='{world.name}']")).to_have_count(count)
        await look(page, "many-fleet")
        await page.locator("[data-node]").first.focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Space")
        await expect(page.get_by_text("1 node selected")).to_be_visible()
        await look(page, "many-fleet-focus")
        await page.get_by_role("button", name="Clear").click()
        await press_until_focused(page, "/", page.get_by_role("searchbox"))
        await page.keyboard.type("zone:zone-1 is:ready")
        await page.get_by_role("button", name="found").click()
        await page.get_by_role("button", name="Plan a maintenance").click()
        await expect(page.locator(".gantt-row")).not_to_have_count(0)
        await look(page, "many-plan")


async def test_a_run_that_waits_for_good_is_told_why(
    chromium: Browser, console: Served, world: World
) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", 3), world.budget("web", max_unavailable=1))
    await world.add_nodes(1, ready_after=3600.0)
    async with page_of(chromium, console) as page:
        await open_part(page, console, f"fleet?q={world.name}")
        await page.get_by_label(f"Select {name}", exact=True).check()
        await page.get_by_role("button", name="Plan a maintenance").click()
        await page.get_by_role("button", name="Start on 1 node").click()
        await page.wait_for_url("**/run/*")
        # Nothing that comes anew gets Ready, so the budget lets nothing more go.
        await expect(page.locator(".way-why")).not_to_have_count(0)
        await look(page, "run-stuck")
        end_driver()
        await expect(page.get_by_role("button", name="Resume")).to_be_visible()
        await look(page, "run-interrupted")
        await page.get_by_role("button", name="Abort").click()
        await look(page, "run-abort")
        await page.get_by_role("button", name="Give it up").click()
        await expect(page.locator(".run-state")).to_contain_text("Aborted")
        await expect(page.locator(".node-card header")).to_contain_text("Undone")
        await look(page, "run-aborted")
        await open_part(page, console, "journal")
        await look(page, "journal-aborted")
        await page.get_by_role("link", name="Plan of").click()
        await expect(page.get_by_label("The plan, word for word")).to_contain_text("cordon")
        await expect(page.locator("summary", has_text="The plan, word for word")).to_be_focused()
        await expect(page.get_by_label("The plan, word for word")).to_be_in_viewport()
        await look(page, "run-plan")


async def test_a_run_that_fails_shows_its_verdict(
    chromium: Browser, console: Served, world: World
) -> None:
    (name,) = await world.add_nodes(1)
    async with page_of(chromium, console) as page:
        await open_part(page, console, f"fleet?q={world.name}")
        await page.get_by_label(f"Select {name}", exact=True).check()
        await page.get_by_role("button", name="Plan a maintenance").click()
        await page.get_by_label("At each drained node").select_option("hook")
        await page.get_by_role("textbox", name="Command").fill("echo no room left; exit 3")
        await page.get_by_role("textbox", name="Command").press("Tab")
        await expect(page.locator(".plan-foot .command")).to_contain_text("--hook")
        await look(page, "fleet-plan-hook")
        await page.get_by_role("button", name="Start on 1 node").click()
        await page.wait_for_url("**/run/*")
        await expect(page.get_by_role("heading", name="What stands in the way")).to_be_visible()
        await expect(page.locator(".run-state")).to_contain_text("Failed")
        await expect(page.locator(".log")).to_contain_text("no room left")
        await look(page, "run-failed")


async def test_what_could_not_be_read_is_said(
    chromium: Browser, world: World, kept: Kept, tmp_path: Path
) -> None:
    chosen = Selection(namespaces=(world.name,))
    async with FaultProxy(world.sandbox.kubeconfig, tmp_path) as proxy:
        proxy.inject(Answer(500, status(500, "InternalError")), path="/configmaps", times=None)
        options = ConnectionOptions(kubeconfig=str(proxy.kubeconfig))
        async with (
            connect(options) as connection,
            open_repository(kept.place) as opened,
            opened.writing() as writer,
        ):
            await take(connection, writer, chosen, lambda _: None)
        async with (
            served(proxy.kubeconfig, place=kept.place) as console,
            page_of(chromium, console) as page,
        ):
            await open_part(page, console, "backups")
            await expect(page.get_by_text("without configmaps")).to_be_visible()
            await look(page, "unread-backups")
            await open_part(page, console, f"backups/compare?old={kept.name}")
            await expect(page.get_by_text("could not be compared")).to_be_visible()
            await look(page, "unread-compare")
        sealed = Place(url=kept.place.url, key=kept.place.key)
        async with (
            served(world.sandbox.kubeconfig, place=sealed) as console,
            page_of(chromium, console) as page,
        ):
            await open_part(page, console, "backups")
            await expect(page.get_by_text("no key that reads backups")).to_be_visible()
            await look(page, "sealed-backups")


async def test_focus_can_be_seen_wherever_tab_leads(
    chromium: Browser, console: Served, world: World
) -> None:
    await world.add_nodes(6, zones=3)
    async with page_of(chromium, console) as page:
        for part in ("fleet", "access?q=get+nodes", "access/matrix", "upgrade", "journal"):
            await open_part(page, console, part)
            await require_focus_seen(page)


_LEAST_STOPS = 10  # those of the header alone
_SEEN = """() => {
  const at = document.activeElement
  if (!at || at === document.body) return 'end'
  const box = at.getBoundingClientRect()
  const style = getComputedStyle(at)
  if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2)
    return `no outline: ${at.outerHTML.slice(0, 160)}`
  const x = Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 1)
  const y = Math.min(Math.max(box.top + Math.min(box.height / 2, 20), 1), innerHeight - 1)
  const over = document.elementFromPoint(x, y)
  const isSeen = over && (at.contains(over) || over.contains(at))
  return isSeen ? '' : `covered: ${at.outerHTML.slice(0, 160)}`
}"""


async def require_focus_seen(page: Page) -> None:
    """Through everything that Tab leads to, the focus has a ring, and nothing covers it."""
    wrong: list[str] = []
    stops = 0
    for _ in range(80):
        await page.keyboard.press("Tab")
        await asyncio.sleep(0)
        found = await page.evaluate(_SEEN)
        if found == "end":
            break
        stops += 1
        if found:
            wrong.append(found)
    assert not wrong, "\n".join(wrong)
    assert stops >= _LEAST_STOPS, f"Tab led to {stops} places"
