"""A console as an ASGI application: doors, streams, pages and files."""

from collections.abc import Awaitable, Callable, Iterable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.identity import Identity
from shipkeeper.web.console import Console
from shipkeeper.web.doors import Doors
from shipkeeper.web.files import Files
from shipkeeper.web.problem import RefusedError, explain
from shipkeeper.web.registry import make_pages
from shipkeeper.web.sessions import Sessions
from shipkeeper.web.stream import Streams


class Application:
    """What is served, by which routes, and how it is ended."""

    def __init__(
        self,
        console: Console,
        files: Files,
        owner: Callable[[], Awaitable[Identity]],
        say_link: Callable[[str], None],
        others: Callable[[], Iterable[Sessions]],
    ) -> None:
        pages = make_pages(console)
        self._say_link = say_link
        self._streams = Streams(pages, console.sessions, console.observer)
        self.console = console
        self.doors = Doors(console, pages, owner, say_link, others)

        async def front(request: Request) -> Response:
            link, path = request.query_params.get("link"), request.path_params["path"]
            if request.url.path == "/" and link:
                return await self.doors.redeem(request, link)
            if path.startswith("clusters/") and "/api/" in path:
                # Not sent on to this cluster: the one that is named may be another.
                raise RefusedError(
                    404,
                    "this console shows one cluster alone, which its addresses do not name",
                    reason="OneCluster",
                    hint="is the named one that cluster? this address is of a console of several",
                )
            return await files.serve(request, path)

        self.routes = [
            *self.doors.routes(),
            *self._streams.routes(),
            *(route for page in pages.values() for route in page.routes()),
            Route("/{path:path}", front),
        ]
        self.asgi: ASGIApp = Starlette(
            routes=self.routes, exception_handlers={ShipkeeperError: explain}
        )

    def invite(self) -> None:
        """Say the first link that logs in."""
        self._say_link(self.console.sessions.new_link())

    async def end(self) -> None:
        """End every session, and let every stream come to its end."""
        await self.console.sessions.close_all()
        self._streams.end()
