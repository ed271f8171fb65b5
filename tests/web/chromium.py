"""A real browser: this machine's Chromium, or Debian's, fetched once without installing it."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    async_playwright,
    expect,
)

from tests.debian import unpacked
from tests.web.served import Served

FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
)
SHOTS = Path(__file__).parents[2] / "build" / "console"
AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
# By itself it is 5 s, which a busy machine may need to draw a page.
expect.set_options(timeout=60_000)
WIDE, PHONE = (1400, 1000), (390, 844)


def _program() -> tuple[str, dict[str, str]]:
    """The program, and the environment that it needs."""
    installed = shutil.which("chromium") or shutil.which("chromium-browser")
    if installed:
        return installed, {}
    tree, libraries = unpacked("chromium", ("chromium", "fonts-dejavu-core"), closure=True)
    # PulseAudio's own libraries lie beside the others, and are looked for where Debian has them.
    folders = (libraries, libraries / "pulseaudio", tree / "usr/lib/chromium")
    return str(tree / "usr/lib/chromium/chromium"), {
        "LD_LIBRARY_PATH": ":".join(map(str, folders)),
        "FONTCONFIG_SYSROOT": str(tree),
    }


@asynccontextmanager
async def browser() -> AsyncGenerator[Browser]:
    """A browser without a window."""
    program, environment = _program()
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=program, args=list(FLAGS), env=dict(environment) or None
        )
        try:
            yield running
        finally:
            await running.close()


@asynccontextmanager
async def page_of(
    running: Browser, console: Served, *, size: tuple[int, int] = WIDE, audits: bool = False
) -> AsyncGenerator[Page]:
    """A page that is logged in; nothing may go wrong in it. Only to audit is its policy off."""
    context = await running.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="light",
        bypass_csp=audits,
        reduced_motion="reduce",
    )
    page = await context.new_page()
    page.set_default_timeout(60_000)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if _is_trouble(said) else None)
    try:
        await page.goto(console.link)
        yield page
    finally:
        await context.close()
    assert not troubles, troubles


def _is_trouble(said: ConsoleMessage) -> bool:
    """An error that is not only a request without a good answer, which the page shows itself."""
    return said.type == "error" and not said.text.startswith("Failed to load resource")


async def shoot(page: Page, name: str) -> None:
    """Keep how a page looks, in light and in dark."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.wait_for_timeout(150)
        await page.screenshot(path=SHOTS / f"{name}-{scheme}.png", full_page=True)
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")


async def press_until_focused(page: Page, key: str, place: Locator) -> None:
    """A page that was just drawn hears keys a moment later."""
    for _ in range(20):
        await page.keyboard.press(key)
        try:
            await expect(place).to_be_focused(timeout=500)
        except AssertionError:
            continue
        return
    await expect(place).to_be_focused()


async def require_tidy(page: Page) -> None:
    """Nothing reaches beyond the page's width, and no words are cut off without a sign of it."""
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"the page is {wide} pixels wider than its window"


async def require_accessible(page: Page) -> None:
    """No serious finding of axe, in both schemes."""
    await page.add_script_tag(path=str(AXE))
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = await page.evaluate("axe.run().then((done) => done.violations)")
        serious = [
            f"{scheme} {each['id']}: {each['nodes'][0]['html'][:200]}"
            f" {each['nodes'][0].get('failureSummary', '')[:300]}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert not serious, "\n".join(serious)
