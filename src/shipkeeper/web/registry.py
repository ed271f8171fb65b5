"""All pages, in the order in which the navigation shows them."""

from shipkeeper.web.console import Console
from shipkeeper.web.page import Page
from shipkeeper.web.pages.access import AccessPage
from shipkeeper.web.pages.backups import BackupsPage
from shipkeeper.web.pages.fleet import FleetPage
from shipkeeper.web.pages.journal import JournalPage
from shipkeeper.web.pages.run import RunPage
from shipkeeper.web.pages.upgrade import UpgradePage

PAGES: tuple[type[Page], ...] = (
    FleetPage,
    RunPage,
    UpgradePage,
    BackupsPage,
    AccessPage,
    JournalPage,
)


def make_pages(console: Console) -> dict[str, Page]:
    """The pages of one console, by name."""
    return {page.info.name: page for kind in PAGES for page in [kind(console)]}
