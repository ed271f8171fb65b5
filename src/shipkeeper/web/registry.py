"""All pages, in the order in which the navigation shows them."""

from shipkeeper.web.console import Console
from shipkeeper.web.page import Page
from shipkeeper.web.pages.fleet import FleetPage

PAGES: tuple[type[Page], ...] = (FleetPage,)


def make_pages(console: Console) -> dict[str, Page]:
    """The pages of one console, by name."""
    return {page.info.name: page for kind in PAGES for page in [kind(console)]}
