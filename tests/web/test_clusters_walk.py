"""Several clusters in a real browser: whichever one looks at, its name is there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World
from tests.web.chromium import PHONE, browser, look, page_of
from tests.web.many import BROKEN, CONTEXTS, EAST, GONE, WEST, consoles, many, served_for_all, west
from tests.web.served import Served, served
from tests.web.visitors import rule, token_of

__all__ = ["consoles", "many", "west"]

WAITS = 400_000  # milliseconds


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


async def require_cluster(page: Page, name: str, server: str) -> None:
    """The page is of this cluster, and says so where one looks."""
    await expect(page.locator("header .cluster-name")).to_have_text(name, timeout=WAITS)
    await expect(page.locator(".cluster-switch summary")).to_have_attribute("title", server)
    await expect(page).to_have_title(f"Fleet · {name} · shipkeeper")


async def choose(page: Page, name: str) -> None:
    """Go to a cluster of the list that is open."""
    await page.locator(".clusters").get_by_role("link", name=name).click()


async def test_one_changes_clusters_and_always_sees_which_it_is(
    chromium: Browser, consoles: Served, world: World, west: World
) -> None:
    (eastern,), (western,) = await world.add_nodes(1), await west.add_nodes(1)
    async with page_of(chromium, consoles) as page:
        await expect(page.get_by_role("heading", name="Choose a cluster")).to_be_visible()
        for name, word in ((GONE, "Connection refused"), (BROKEN, "nowhere"), (EAST, "Live")):
            line = page.locator(".clusters li").filter(has_text=name)
            await expect(line).to_contain_text(word, timeout=WAITS)
        await look(page, "clusters-choice")
        await choose(page, EAST)
        await require_cluster(page, EAST, world.sandbox.server)
        await expect(page.get_by_label(f"Select {eastern}", exact=True)).to_be_visible()
        await page.locator(".cluster-switch summary").click()
        await expect(page.locator(".cluster-switch .clusters li")).to_have_count(len(CONTEXTS))
        await look(page, "clusters-switch")
        await choose(page, WEST)
        await require_cluster(page, WEST, west.sandbox.server)
        await expect(page.get_by_label(f"Select {eastern}", exact=True)).to_have_count(0)
        await page.get_by_label(f"Select {western}", exact=True).check()
        await page.get_by_role("button", name="Plan a maintenance").click()
        await page.get_by_label("For", exact=True).fill("200ms")
        await page.get_by_label("For", exact=True).press("Tab")
        await expect(page.locator(".plan-foot .command")).to_contain_text("--wait=200ms")
        start = page.get_by_role("button", name=f"Start on 1 node in {WEST}")
        await expect(start).to_be_enabled()
        await expect(page.locator(".plan-foot .command")).to_contain_text(f"--context={WEST}")
        await look(page, "clusters-plan")
        await start.click()
        await page.wait_for_url("**/clusters/*/run/*")
        await expect(page.locator(".run-state")).to_contain_text("Succeeded", timeout=WAITS)
        link = page.url
        await page.keyboard.press(":")
        await page.keyboard.type("eas")
        await look(page, "clusters-jump")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/clusters/{EAST}/run")
        await expect(page.get_by_text("Nothing has been run yet")).to_be_visible()
        await page.goto(link)
        await expect(page.locator("header .cluster-name")).to_have_text(WEST)
        await expect(page.locator(".run-state")).to_contain_text("Succeeded")
        # Back over a change of clusters is back in the other one.
        await page.go_back()
        await expect(page.locator("header .cluster-name")).to_have_text(EAST)


async def test_what_cannot_be_seen_says_so_and_leads_on(
    chromium: Browser, consoles: Served, world: World
) -> None:
    async with page_of(chromium, consoles) as page:
        await page.goto(f"{consoles.url}/clusters/{GONE}/fleet")
        await expect(page.locator(".pill")).to_have_text("No cluster", timeout=WAITS)
        await require_cluster(page, GONE, "https://127.0.0.1:1")
        await look(page, "clusters-gone")
        await page.goto(f"{consoles.url}/clusters/{BROKEN}/fleet")
        await expect(page.get_by_text(f"{BROKEN}: cannot use the kubeconfig")).to_be_visible()
        await look(page, "clusters-broken")
        await choose(page, EAST)
        await require_cluster(page, EAST, world.sandbox.server)
        await page.goto(f"{consoles.url}/run/maintain-1?node=a")
        await expect(page.get_by_text("does not say which one")).to_be_visible()
        await look(page, "clusters-unnamed")
        await page.goto(f"{consoles.url}/clusters/north/run/maintain-1?node=a")
        link = page.locator(".clusters").get_by_role("link", name=EAST)
        await expect(link).to_have_attribute("href", f"/clusters/{EAST}/run/maintain-1?node=a")
        await page.get_by_label("Cluster").fill("wes")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("There is no run maintain-1 of this cluster")).to_be_visible()
        assert page.url.endswith("/run/maintain-1?node=a")


async def test_a_console_of_one_cluster_says_that_it_shows_no_other(
    chromium: Browser, newest: Sandbox
) -> None:
    async with served(newest.kubeconfig) as console, page_of(chromium, console) as page:
        await page.goto(f"{console.url}/clusters/{EAST}/fleet")
        await expect(page.get_by_text("this console shows one cluster alone")).to_be_visible()
        await page.get_by_role("link", name="To the cluster of this console").click()
        await expect(page.get_by_role("heading", name="Fleet")).to_be_visible()


async def test_each_cluster_has_a_login_of_its_own(
    chromium: Browser, many: Path, world: World, tmp_path: Path
) -> None:
    token = await token_of(world, "reader", rule("get,list,watch", "*", "*"))
    async with served_for_all(tmp_path, many) as console:
        context = await chromium.new_context(ignore_https_errors=True)
        page = await context.new_page()
        try:
            await page.goto(console.url)
            await expect(page.locator(".clusters li")).to_have_count(len(CONTEXTS))
            await choose(page, EAST)
            await expect(page.get_by_role("heading", name=f"Log in to {EAST}")).to_be_visible()
            await look(page, "clusters-login")
            await page.get_by_label("Token").fill(token)
            await page.get_by_role("button", name="Log in").click()
            await require_cluster(page, EAST, world.sandbox.server)
            await page.locator(".cluster-switch summary").click()
            await choose(page, WEST)
            await expect(page.get_by_role("heading", name=f"Log in to {WEST}")).to_be_visible()
        finally:
            await context.close()


async def test_on_a_phone_the_clusters_name_is_in_sight(
    chromium: Browser, consoles: Served, world: World
) -> None:
    await world.add_nodes(1)
    async with page_of(chromium, consoles, size=PHONE) as page:
        await choose(page, WEST)
        await expect(page.locator("header .cluster-name")).to_have_text(WEST)
        await expect(page.locator("header .cluster-name")).to_be_in_viewport()
