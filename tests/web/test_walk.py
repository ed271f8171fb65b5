"""A walk in a real browser: a backup looked into, one object restored, who-can and explain."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from shipkeeper.kube.errors import NotFoundError
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World
from tests.upgrade.test_managed import NEW, OLD, Cloud, cloud
from tests.web.chromium import browser, look, page_of, press_until_focused
from tests.web.served import Served, served
from tests.web.test_access import bind
from tests.web.test_backups import Kept, back, kept, library
from tests.web.test_snapshots import change, save
from tests.web.test_upgrade import end_driver
from tests.web.visitors import rule, served_to_all, token_of

__all__ = ["cloud", "kept", "library"]

# All that RBAC and the Node authorizer decide with, and nothing that only audits look at.
_DECIDES = (
    rule("get,list", "pods,persistentvolumes"),
    *(
        rule("get,list", "*", f"{group}.k8s.io")
        for group in ("rbac.authorization", "storage", "resource", "certificates")
    ),
)
_EVIL = "<img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


async def test_a_backup_is_looked_into_and_one_object_restored(
    chromium: Browser, library: Served, kept: Kept
) -> None:
    space, send = kept.world.name, kept.world.connection.send
    await send("DELETE", kept.settings)
    async with page_of(chromium, library) as page:
        await page.goto(f"{library.url}/backups")
        await expect(page.get_by_text("Never verified")).to_be_visible()
        await page.get_by_role("button", name="Verify now").click()
        await expect(page.get_by_text("Whole", exact=True)).to_be_visible()
        await look(page, "backups")
        await page.get_by_role("link", name="Look into", exact=True).click()
        await page.get_by_label("Kind").select_option("secrets")
        await page.get_by_role("button", name="db", exact=True).click()
        await expect(page.get_by_label("YAML")).to_contain_text("password: <hidden>")
        await look(page, "backups-secret")
        await page.keyboard.press("Escape")
        await page.get_by_label("Kind").select_option("configmaps")
        await page.get_by_label(f"Tick configmaps/{space}/settings").check()
        await look(page, "backups-browse")
        await page.get_by_role("button", name="Restore …").click()
        await expect(page.get_by_text("Create 1", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Dry run on the server").click()
        await expect(page.get_by_text("The API server would take all")).to_be_visible()
        await look(page, "backups-restore")
        with pytest.raises(NotFoundError):
            await send("GET", kept.settings)
        await page.get_by_role("button", name="Restore 1 object").click()
        await page.wait_for_url("**/run/*")
        await back(kept)
        await page.goto(f"{library.url}/backups/compare?namespace={space}&kind=configmaps")
        await expect(page.get_by_text("Nothing is different")).to_be_visible()
        await send("DELETE", kept.settings)
        await page.reload()
        await expect(page.get_by_text("Removed")).to_be_visible()
        await look(page, "backups-compare")


async def test_a_snapshot_is_looked_into_and_compared(
    chromium: Browser, newest: Sandbox, library: Served, kept: Kept
) -> None:
    point = f"etcd:{await save(newest, kept.place)}"
    await change(kept.world)
    space = kept.world.name
    async with page_of(chromium, library) as page:
        await page.goto(f"{library.url}/backups")
        table = page.get_by_role("table", name="Snapshots of etcd")
        await expect(table).to_contain_text("https://127.0.0.1")
        await look(page, "snapshots")
        await table.get_by_role("link", name="Look into").click()
        await page.get_by_label("Kind").select_option("secrets")
        await page.get_by_role("combobox", name="Namespace").select_option(space)
        # Until the list is of this namespace alone: others have one of that name, too.
        await expect(page.get_by_role("button", name="db", exact=True)).to_have_count(1)
        await page.get_by_role("button", name="db", exact=True).click()
        await expect(page.get_by_label("YAML")).to_contain_text("password: <hidden>")
        await page.get_by_text("Bring it back").click()
        await expect(page.get_by_label("Command")).to_contain_text("shipkeeper etcd get repo:")
        await expect(page.get_by_role("button", name="Close", exact=True)).to_be_in_viewport()
        await look(page, "snapshots-secret")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("checkbox")).to_have_count(0)
        await page.goto(f"{library.url}/backups/compare?old={point}&namespace={space}")
        await expect(page.get_by_text("data.page")).to_be_visible()
        await look(page, "snapshots-compare")


async def test_a_no_is_certain_for_who_may_read_all_that_decides(
    chromium: Browser, newest: Sandbox, world: World, tmp_path: Path
) -> None:
    auditor = await token_of(world, "auditor", *_DECIDES)
    little = await token_of(world, "little", rule("get,list", "pods"))
    async with served_to_all(newest, tmp_path) as console:
        async with page_of(chromium, console, token=auditor) as page:
            await page.goto(f"{console.url}/access/explain?q=get+secrets&who=user/nobody")
            await expect(page.locator(".answer-word")).to_have_text("No")
            await expect(page.locator(".near")).not_to_contain_text("that could be read")
            await page.goto(f"{console.url}/access?q=get+secrets")
            await expect(page.get_by_text("may get secrets")).to_be_visible()
            await expect(page.get_by_text("as far as could be read")).to_have_count(0)
        async with page_of(chromium, console, token=little) as page:
            await page.goto(f"{console.url}/access/explain?q=get+secrets&who=user/nobody")
            await expect(page.locator(".answer-word")).to_have_text("Not by what could be read")
            await expect(page.locator(".near")).to_contain_text("that could be read comes near")


async def test_who_can_and_explain(chromium: Browser, console: Served, world: World) -> None:
    binding = await bind(world, "reader", user="carl", rules=[rule("get", "secrets")])
    await bind(world, "hostile", user=_EVIL, rules=[rule("get,list", "secrets")])
    async with page_of(chromium, console) as page:
        await page.goto(f"{console.url}/access")
        await expect(page.get_by_text("Ask who can do something")).to_be_visible()
        await press_until_focused(page, "/", page.get_by_label("Who can …"))
        await page.keyboard.type(f"get secrets -n {world.name}")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text(_EVIL)).to_be_visible()
        await look(page, "access-who-can")
        row = page.get_by_role("row").filter(has_text="carl")
        await row.get_by_role("link", name="Why").click()
        await expect(page.get_by_text("Yes", exact=True)).to_be_visible()
        await expect(page.get_by_label("By which way")).to_contain_text(binding)
        await look(page, "access-explain")
        await page.get_by_label("May they …").fill(f"delete secrets -n {world.name}")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("No", exact=True)).to_be_visible()
        await expect(page.get_by_text("To allow it").first).to_be_visible()
        await look(page, "access-no")
        await page.goto(f"{console.url}/access/escalation?system=true")
        await page.get_by_role("link", name="system:masters").first.click()
        await expect(page.locator(".stop.is-goal")).to_be_visible()
        await look(page, "access-walk")
        for part in ("matrix", "certificates"):
            await page.goto(f"{console.url}/access/{part}")
            await expect(page.locator(".skeleton")).to_have_count(0)
            await look(page, f"access-{part}")
        assert await page.evaluate("window.hacked") is None


async def test_an_upgrade_is_begun(chromium: Browser, cloud: Cloud) -> None:
    await cloud.world.add_nodes(3, kubelet_version=OLD)
    await cloud.world.up(cloud.world.bare_pod("alone"))
    async with served(cloud.proxy.kubeconfig) as console, page_of(chromium, console) as page:
        await choose(page, console)
        await expect(page.get_by_text("is refused as it is asked for")).to_be_visible()
        await expect(page.get_by_role("button", name="Start the upgrade")).to_be_disabled()
        await look(page, "upgrade-refused")
        await page.get_by_label("give up pods without a controller").check()
        await expect(page.get_by_role("button", name="Start the upgrade")).to_be_enabled()
        await page.get_by_text("The whole plan, word for word").click()
        await expect(page.get_by_label("The plan, word for word")).to_contain_text("hops: ")
        await look(page, "upgrade")
        await page.get_by_role("button", name="Start the upgrade").click()
        await page.wait_for_url("**/run/*")
        await expect(page.locator(".run-state")).to_contain_text("Running")
        await look(page, "upgrade-run")
        end_driver()
        await expect(page.get_by_role("button", name="Resume")).to_be_visible()
        await page.get_by_role("button", name="Abort").click()
        await expect(page.get_by_text("what was upgraded stays upgraded")).to_be_visible()
        await page.get_by_role("button", name="Give it up").click()
        await expect(page.locator(".run-state")).to_contain_text("Aborted")


async def choose(page: Page, console: Served) -> None:
    """Choose the newest version to upgrade to."""
    await page.goto(f"{console.url}/upgrade")
    await page.get_by_label("Where to").select_option(NEW)
    await expect(page.locator(".skeleton")).to_have_count(0)


async def test_every_part_before_anything_is_asked(chromium: Browser, library: Served) -> None:
    parts = (
        *("access", "access/explain", "access/escalation", "access/nothing", "backups"),
        *("backups/browse", "upgrade", "nothing"),
    )
    async with page_of(chromium, library) as page:
        for part in parts:
            await open_part(page, library, part)
            await look(page, f"plain-{part.replace('/', '-')}")


async def open_part(page: Page, library: Served, part: str) -> None:
    await page.goto(f"{library.url}/{part}")
    await expect(page.locator("main h1, main .note").first).to_be_visible()
    await expect(page.locator(".skeleton")).to_have_count(0)
