"""A real browser: this machine's Chromium, or Debian's, fetched once without installing it."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

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
TIDY = Path(__file__).parent / "tidy.js"
WIDE, PHONE = (1400, 1000), (390, 844)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


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
    running: Browser,
    console: Served,
    *,
    size: tuple[int, int] = WIDE,
    token: str = "",
    moves: bool = False,
) -> AsyncGenerator[Page]:
    """A page that is logged in, by a link or a token; nothing may go wrong in it.

    Nothing moves by itself in it, as pictures are taken of it, unless told otherwise.
    """
    context = await running.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="light",
        ignore_https_errors=True,
        reduced_motion="no-preference" if moves else "reduce",
    )
    page = await context.new_page()
    page.set_default_timeout(60_000)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if _is_trouble(said) else None)
    try:
        await (log_in(page, console.url, token) if token else page.goto(console.link))
        yield page
    finally:
        await context.close()
    assert not troubles, troubles


async def log_in(page: Page, url: str, token: str) -> None:
    """Log in at the console's door."""
    await page.goto(url)
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("nav.tabs")).to_be_visible()


def _is_trouble(said: ConsoleMessage) -> bool:
    """An error that is not only a request without a good answer, which the page shows itself."""
    return said.type == "error" and not said.text.startswith("Failed to load resource")


async def look(page: Page, name: str) -> None:
    """A page as it stands, wide and on a phone, in light and in dark: kept, tidy, for everybody.

    axe looks at each size once: at one in light, at the other in dark.
    """
    views: tuple[tuple[tuple[int, int], str, Scheme], ...] = (
        (PHONE, "-phone", "dark"),
        (WIDE, "", "light"),
    )
    for size, suffix, scheme in views:
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        await shoot(page, name + suffix)
        await require_tidy(page)
        await require_accessible(page, scheme)


async def shoot(page: Page, name: str) -> None:
    """Keep how a page looks, in light and in dark."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in SCHEMES:
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
    """Nothing lies on anything else, is cut without a sign of it, or reaches beyond the window."""
    wrong = await page.evaluate(TIDY.read_text())
    assert not wrong, "\n".join(wrong)


async def require_accessible(page: Page, scheme: Scheme) -> None:
    """No serious finding of axe."""
    # Not by a script tag, which the page's policy refuses.
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    found = await page.evaluate("axe.run().then((done) => done.violations)")
    serious = [
        f"{scheme} {each['id']}: {each['nodes'][0]['html'][:200]}"
        f" {each['nodes'][0].get('failureSummary', '')[:300]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert not serious, "\n".join(serious)
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
