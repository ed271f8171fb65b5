"""The console in a real browser: from a selection to the end of a run, whatever is in a name."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from shipkeeper.kube.resources import NODES
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World
from tests.web.chromium import PHONE, browser, look, page_of, press_until_focused, shoot
from tests.web.served import Served, served
from tests.web.test_runs import crowded

WAITS = 400_000.0  # milliseconds
EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


async def draw_frame(page: Page) -> None:
    """Draw a frame around the whole map."""
    box = await page.locator(".map").bounding_box()
    assert box
    await page.mouse.move(box["x"] + 2, box["y"] + 2)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 60, box["y"] + 40)
    await page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] - 4)
    await page.mouse.up()


async def test_from_a_selection_to_the_end_of_a_run(
    chromium: Browser, console: Served, world: World, tmp_path: Path
) -> None:
    names = await crowded(world)
    async with page_of(chromium, console) as page:
        for name in ("run", "journal"):
            await page.goto(f"{console.url}/{name}")
            await expect(page.get_by_text("To the fleet")).to_be_visible()
            await look(page, f"{name}-empty")
        await page.goto(f"{console.url}/fleet")
        await expect(page.locator("tbody tr").first).to_be_visible()
        await press_until_focused(page, "/", page.get_by_role("searchbox"))
        await page.keyboard.type(f"zzz-{world.name}")
        await expect(page.get_by_text("No node is found by this filter")).to_be_visible()
        await look(page, "fleet-none")
        await page.goto(f"{console.url}/fleet?q={world.name}")
        await expect(page.locator("tbody tr")).to_have_count(3)
        await page.get_by_role("button", name=names[0], exact=True).click()
        await expect(page.get_by_text("It can be drained.")).to_be_visible()
        await look(page, "fleet-node")
        await page.keyboard.press("Escape")
        await expect(page.locator(".drawer")).to_have_count(0)
        await look(page, "fleet")
        await page.locator(f"[data-node={names[0]}]").click()
        await page.get_by_role("button", name="Plan a maintenance").click()
        await expect(page.get_by_text("maintain 1 node: 3 pods to move")).to_be_visible()
        await page.get_by_label("For", exact=True).fill("2s")
        # Its time line comes meanwhile, and takes nothing away of what is typed.
        await expect(page.locator(".gantt-row")).to_have_count(1)
        await page.get_by_label("For", exact=True).press("Tab")
        await expect(page.locator(".command")).to_contain_text("--wait=2s")
        # The time line comes by itself, at its end; rehearsed it begins anew.
        await expect(page.locator(".gantt-row")).to_have_count(1)
        clock = page.get_by_label("Time of the rehearsal")
        await expect(clock).not_to_have_value("0")
        await page.get_by_role("button", name="Rehearse").click()
        await expect(clock).to_have_value("0")
        await expect(clock).to_be_focused()
        await look(page, "fleet-plan")
        await page.get_by_role("button", name="Start on 1 node").click()
        await expect(page.locator(".way-why")).not_to_have_count(0, timeout=WAITS)
        await expect(page.locator(".way-why").first).to_contain_text("Disruption")
        await expect(page.get_by_role("meter")).to_have_count(1)
        # In a moment the next one goes.
        await shoot(page, "run-waiting")
        await page.get_by_role("button", name="Pause").click()
        await expect(page.get_by_text("Paused")).to_be_visible(timeout=WAITS)
        await page.get_by_role("button", name="Resume").click()
        await expect(page.get_by_text("Succeeded")).to_be_visible(timeout=WAITS)
        await expect(page.get_by_text("3 of 3").first).to_be_visible()
        await expect(page.get_by_text("lowest seen 2")).to_be_visible()
        await look(page, "run-done")
        async with page.expect_download() as download:
            await page.get_by_text("Keep as HTML").click()
        kept = tmp_path / "kept.html"
        await (await download.value).save_as(kept)
        assert names[0] in kept.read_text()
        await press_until_focused(page, ":", page.get_by_role("textbox", name="Page"))
        await page.keyboard.type("jour")
        await page.keyboard.press("Enter")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await look(page, "journal")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("filter")
        await look(page, "help")
        await page.goto(kept.as_uri())
        await look(page, "run-kept")


# Whether the clock of the time line was at its beginning, and then went on.
PLAYS = """() => new Promise((tell) => {
  let began = false
  const look = () => {
    const clock = document.querySelector('.player input')
    const at = clock ? clock.valueAsNumber : -1
    if (began && at > 0 && at < Number(clock.max)) return tell(true)
    began = at === 0 || (began && at > 0)
    requestAnimationFrame(look)
  }
  look()
})"""


async def test_a_time_line_plays_from_its_beginning(
    chromium: Browser, console: Served, world: World
) -> None:
    names = await world.add_nodes(2)
    await world.up(world.bare_pod("alone"))
    async with page_of(chromium, console, moves=True) as page:
        await page.goto(f"{console.url}/fleet?q={world.name}")
        for name in names:
            await page.get_by_label(f"Select {name}", exact=True).check()
        await page.get_by_role("button", name="Plan a maintenance").click()
        await page.get_by_label("give up pods without a controller").check()
        await expect(page.locator(".gantt-row")).to_have_count(2)
        await expect(page.locator(".rehearsal")).to_contain_text(
            "Pods that find no new place: 1 of 1"
        )
        await expect(page.locator(".moves-table")).to_contain_text("nowhere")
        watching = asyncio.create_task(page.evaluate(PLAYS))
        await page.get_by_role("button", name="Rehearse").click()
        async with asyncio.timeout(WAITS / 1000):
            assert await watching
        # On a phone it comes below, so that it pushes nothing away that is about to be touched.
        await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        foot = await page.locator(".plan-foot").bounding_box()
        line = await page.locator(".rehearsal").bounding_box()
        assert foot is not None
        assert line is not None
        assert foot["y"] + foot["height"] <= line["y"]


async def test_a_frame_and_the_keyboard_choose(
    chromium: Browser, console: Served, world: World
) -> None:
    names = await world.add_nodes(3, zones=3)
    async with page_of(chromium, console) as page:
        await page.goto(f"{console.url}/fleet?q={world.name}")
        await expect(page.locator(f"[data-node={names[0]}]")).to_be_visible()
        await page.locator(f"[data-node={names[0]}]").focus()
        await page.keyboard.press("Space")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Space")
        await expect(page.get_by_text("2 nodes selected")).to_be_visible()
        await page.keyboard.press("Enter")
        await expect(page.locator(".drawer")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Clear").click()
        await draw_frame(page)
        count = await page.locator("[data-node]").count()
        await expect(page.get_by_text(f"{count} nodes selected")).to_be_visible()


async def test_whatever_is_in_a_name_is_text(
    chromium: Browser, console: Served, world: World
) -> None:
    (name,) = await world.add_nodes(1)
    info = dict.fromkeys(("osImage", "kernelVersion", "containerRuntimeVersion"), EVIL)
    status = {"status": {"nodeInfo": info}}
    await world.writer.patch(NODES, name, status, subresource="status")
    async with page_of(chromium, console) as page:
        await page.goto(f"{console.url}/fleet?q={name}&node={name}")
        await expect(page.locator(".drawer")).to_contain_text(EVIL)
        await page.goto(f"{console.url}/fleet?q={EVIL.replace(' ', '%20')}")
        await page.goto(f"{console.url}/run/{EVIL.replace('/', '%2F')}")
        await expect(page.get_by_text("There is no run")).to_be_visible()
        assert await page.evaluate("window.hacked") is None
        assert await page.locator("img").count() == 0


async def test_a_plan_that_nothing_can_be_done_by(
    chromium: Browser, console: Served, world: World
) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.bare_pod("alone"))
    async with page_of(chromium, console) as page:
        await page.goto(f"{console.url}/fleet?q={world.name}&node={name}")
        await expect(page.locator(".drawer")).to_contain_text("It cannot be drained")
        await look(page, "fleet-blocked")
        await page.keyboard.press("Escape")
        await page.get_by_label(f"Select {name}", exact=True).check()
        await page.get_by_role("button", name="Plan a maintenance").click()
        await expect(page.get_by_text("No node can be maintained")).to_be_visible()
        await look(page, "fleet-refused")


async def test_a_tab_tells_that_the_console_is_away(chromium: Browser, newest: Sandbox) -> None:
    first = served(newest.kubeconfig)
    console = await first.__aenter__()
    port = int(console.url.rpartition(":")[2])
    async with page_of(chromium, console) as page:
        await expect(page.locator(".pill")).to_have_text("Live")
        await first.__aexit__(None, None, None)
        # Its sessions ended with it: the last word was that this one is over, or nothing came.
        await expect(page.locator("main.alone, .note.bad").first).to_be_visible()
        await look(page, "away")
        async with served(newest.kubeconfig, port=port):
            await page.reload()
            await expect(page.get_by_text("Open the link from the terminal")).to_be_visible()
            await look(page, "login-link")


async def test_logging_out_leaves_nothing(chromium: Browser, console: Served) -> None:
    async with page_of(chromium, console) as page:
        await expect(page.locator(".pill")).to_have_text("Live")
        await page.locator(".menu summary").click()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_text("Open the link from the terminal")).to_be_visible()
        assert await page.locator("tbody").count() == 0
