"""What a page is to the server; see docs/console.md for how one is added."""

from collections.abc import Hashable
from typing import Any, Protocol

import msgspec
from starlette.routing import Route

from shipkeeper.kube.access import Permission
from shipkeeper.web.console import Console
from shipkeeper.web.person import Person
from shipkeeper.web.view import View

Query = dict[str, Any]


class PageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How a page is called in URLs and in words, and what seeing it needs."""

    name: str
    title: str
    needs: tuple[Permission, ...] = ()


class Page(Protocol):
    """A page: a view that is streamed, and whatever else can be asked or done there."""

    info: PageInfo

    def __init__(self, console: Console) -> None:
        """Make the page of one console."""
        ...

    def parse(self, query: Query) -> object:
        """What is looked at, from the stream's query; UsageError if it makes no sense.

        Called once for each query, so that `version` and `look` need not do it again.
        """
        ...

    def version(self, person: Person, asked: Any) -> Hashable:
        """Changes whenever `look` might show something else; asked ten times a second."""
        ...

    async def look(self, person: Person, asked: Any) -> View:
        """What is there to be seen now."""
        ...

    def routes(self) -> list[Route]:
        """What else is answered, below /api/NAME/."""
        ...
