"""The console as an ASGI application: doors, streams, pages and files behind one guard."""

from collections.abc import Callable

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
from shipkeeper.web.guard import Guard, IsOurs, Report
from shipkeeper.web.problem import explain
from shipkeeper.web.registry import make_pages
from shipkeeper.web.stream import Streams


class Application:
    """What is served, by which routes, and how its streams are ended."""

    def __init__(
        self,
        console: Console,
        files: Files,
        owner: Identity,
        is_ours: IsOurs,
        say_link: Callable[[str], None],
        report: Report,
    ) -> None:
        pages = make_pages(console)
        doors = Doors(console, pages, owner, say_link)
        self.streams = Streams(pages, console.sessions, console.observer)

        async def front(request: Request) -> Response:
            link = request.query_params.get("link")
            if request.url.path == "/" and link:
                return await doors.redeem(request, link)
            return await files.serve(request)

        routes = [
            *doors.routes(),
            *self.streams.routes(),
            *(route for page in pages.values() for route in page.routes()),
            Route("/{path:path}", front),
        ]
        self.routes = routes
        self.asgi: ASGIApp = Guard(
            Starlette(routes=routes, exception_handlers={ShipkeeperError: explain}),
            is_ours,
            report,
            is_tls=not console.settings.is_local,
        )
