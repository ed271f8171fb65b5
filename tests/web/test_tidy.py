"""The look at a page finds what it is there to find."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page

from tests.web.chromium import browser, require_tidy

FINE = (
    "<p>some words</p><p style='width:9em;overflow:hidden;text-overflow:ellipsis' title='a'>a</p>"
)
WRONG = {
    "wider than its window": "<p style='width:3000px'>wide</p>",
    "lie on each other": "<p>below</p><p style='margin-top:-2.2em'>above</p>",
    "cut at the side": "<p style='width:3em;overflow:hidden;white-space:nowrap'>many words</p>",
    "cut below": "<p style='height:1em;width:5em;overflow:hidden'>more than one line of words</p>",
    "letter by letter": "<p style='width:1em;overflow-wrap:anywhere'>letters</p>",
    "something moves": (
        "<style>@keyframes on { to { opacity: 0 } }</style>"
        "<p style='animation: on 9s infinite'>moving</p>"
    ),
}


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


@pytest.fixture
async def page(chromium: Browser) -> AsyncIterator[Page]:
    context = await chromium.new_context(reduced_motion="reduce")
    yield await context.new_page()
    await context.close()


async def test_what_is_tidy_is_let_through(page: Page) -> None:
    await page.set_content(FINE)
    await require_tidy(page)


@pytest.mark.parametrize(("what", "content"), WRONG.items(), ids=list(WRONG))
async def test_what_is_not_is_named(page: Page, what: str, content: str) -> None:
    await page.set_content(FINE + content)
    with pytest.raises(AssertionError, match=what):
        await require_tidy(page)
