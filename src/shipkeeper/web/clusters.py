"""Several clusters behind one door: a console for each, and a list of them all.

Whatever belongs to a cluster has an address of its own, `/clusters/NAME/…`, so that no request and
no link can reach the wrong one. What has no such address shows the list, and guesses nothing.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from shipkeeper.errors import ShipkeeperError
from shipkeeper.web.answers import json_response
from shipkeeper.web.app import Application
from shipkeeper.web.files import INDEX, Files
from shipkeeper.web.guard import Report
from shipkeeper.web.opening import Shared
from shipkeeper.web.problem import RefusedError, explain, problem_response
from shipkeeper.web.sessions import Sessions

_TRY_AGAIN = 10.0  # seconds
_LONGEST = 300.0  # seconds between two tries that meet a bug
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

Open = Callable[[], AbstractAsyncContextManager[Application]]


def mark_of(context: str) -> str:
    """How a context is called in URLs and cookies: its name, or what is left of it and a hash."""
    if _SAFE.fullmatch(context):
        return context
    left = _UNSAFE.sub("-", context).strip("-._")[:40]
    return f"{left}-{hashlib.sha256(context.encode()).hexdigest()[:8]}".lstrip("-")


class Listed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A cluster in the list.

    `state` is Live, Stale or Away, and None for who is logged in nowhere; `why` is for who is
    logged in to it, or started the console.
    """

    name: str
    path: str
    is_in: bool
    state: str | None
    why: str = ""


class Member:
    """One of several clusters: its console, or why there is none yet.

    Why is said where the console was started; `is_owner` tells whether a request is of whoever did
    that, and may hear it, too.
    """

    def __init__(
        self,
        name: str,
        open_: Open,
        shared: Shared,
        report: Report,
        is_owner: Callable[[Request], bool],
    ) -> None:
        mark = mark_of(name)
        self.name = name
        self.path = f"/clusters/{mark}"
        self.application: Application | None = None
        self.error: ShipkeeperError | None = None
        self.was_tried = asyncio.Event()
        self._open = open_
        self._files = shared.files
        self._say = shared.say
        self._report = report
        self._reported = ""
        self._is_owner = is_owner
        self._away = Starlette(
            routes=[
                Route("/api/{path:path}", self._refuse, methods=["GET", "POST"]),
                Route("/{path:path}", self._show),
            ]
        )

    async def run(self) -> None:
        """Have a console of it for good; what goes wrong is kept, and tried again."""
        pause = _TRY_AGAIN
        while True:
            try:
                async with self._open() as application:
                    self.application, self.error = application, None
                    self.was_tried.set()
                    pause = _TRY_AGAIN
                    await asyncio.Event().wait()
            except ShipkeeperError as error:
                pause = _TRY_AGAIN
                self._fail(error)
            except Exception as error:
                pause = min(pause * 2, _LONGEST)
                self._meet_bug(error)
            finally:
                self.application = None
            self.was_tried.set()
            await asyncio.sleep(pause)

    def _meet_bug(self, error: Exception) -> None:
        # Each report is a file: one of each bug is enough.
        if repr(error) != self._reported:
            self._reported = repr(error)
            self._report(error)
        self._fail(ShipkeeperError(f"this is a bug in shipkeeper: {error}", reason="Bug"))

    def _fail(self, error: ShipkeeperError) -> None:
        if self.error is None or self.error.message != error.message:
            self._say(f"{self.name} cannot be shown: {error.message}")
        self.error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by its console; without one, say so."""
        app: ASGIApp = self.application.asgi if self.application else self._away
        await app(scope, receive, send)

    def is_in(self, request: Request) -> bool:
        """Whether somebody is logged in to it."""
        return self.application is not None and self._sessions.peek(request) is not None

    def listed(self, request: Request, *, knows_states: bool, knows_why: bool) -> Listed:
        """The cluster as it stands in the list."""
        is_in = self.is_in(request)
        state, why = self._standing()
        return Listed(
            name=self.name,
            path=self.path,
            is_in=is_in,
            state=state if knows_states else None,
            why=why if is_in or knows_why else "",
        )

    @property
    def _sessions(self) -> Sessions:
        assert self.application is not None  # noqa: S101  (asked before)
        return self.application.console.sessions

    def _standing(self) -> tuple[str, str]:
        if self.application is None:
            return "Away", self._why.message
        trouble = self.application.console.observer.trouble
        if trouble is None:
            return "Live", ""
        return "Stale" if trouble.since else "Away", trouble.message

    @property
    def _why(self) -> ShipkeeperError:
        return self.error or ShipkeeperError(
            f"cluster {self.name} has not been looked at yet", reason="NotYet"
        )

    async def _show(self, request: Request) -> Response:
        return await self._files.serve(request, INDEX)

    async def _refuse(self, request: Request) -> Response:
        why = self._why
        if self._is_owner(request):
            refused = RefusedError(
                503, f"{self.name}: {why.message}", reason=why.reason, hint=why.hint
            )
        else:
            refused = RefusedError(
                503,
                f"{self.name} cannot be shown at the moment",
                reason="ClusterAway",
                hint="whoever runs the console finds more in its output",
            )
        return problem_response(refused)


class Clusters:
    """All of them, as one ASGI application."""

    def __init__(self, files: Files, *, is_local: bool) -> None:
        self.members: list[Member] = []
        self._files = files
        self._is_local = is_local
        self._gate: Application | None = None

    def add(self, member: Member) -> None:
        """One more, before the first request."""
        self.members.append(member)

    @property
    def asgi(self) -> ASGIApp:
        """What answers for all of them."""
        return Starlette(
            routes=[
                Route("/api/clusters", self.list),
                *(Mount(each.path, app=each) for each in self.members),
                Route("/{path:path}", self._front),
            ],
            exception_handlers={ShipkeeperError: explain},
        )

    def sessions(self) -> Iterator[Sessions]:
        """Those of the consoles that whoever started them is logged in to by one link."""
        if self._is_local:
            yield from (each.console.sessions for each in self.applications())

    def is_owner(self, request: Request) -> bool:
        """Whether a request is of whoever started the console."""
        return any(each.peek(request) is not None for each in self.sessions())

    def applications(self) -> Iterator[Application]:
        """The consoles that there are at the moment."""
        yield from (each.application for each in self.members if each.application is not None)

    def invite(self) -> None:
        """Say the first link that logs in, by a console that can take it."""
        self._gate = next(self.applications())
        self._gate.invite()

    async def end(self) -> None:
        """End every session and stream of all."""
        for each in tuple(self.applications()):
            await each.end()

    async def list(self, request: Request) -> Response:
        """Every cluster; what is known of it only for who is logged in to one of them."""
        is_known = any(each.is_in(request) for each in self.members)
        shown = self.members if is_known or not self._is_local else ()
        return json_response(
            {
                "way": "link" if self._is_local else "token",
                "clusters": [
                    each.listed(
                        request, knows_states=is_known, knows_why=is_known and self._is_local
                    )
                    for each in shown
                ],
            }
        )

    async def _front(self, request: Request) -> Response:
        link, path = request.query_params.get("link"), request.url.path
        if path == "/" and link and self._gate is not None:
            return await self._gate.doors.redeem(request, link)
        if "/api/" in path:
            raise RefusedError(
                404,
                "this names none of the clusters that the console shows",
                reason="NoCluster",
                hint="choose one from the list",
            )
        return await self._files.serve(request, path.removeprefix("/"))


@asynccontextmanager
async def gathered(members: Iterable[Member]) -> AsyncGenerator[None]:
    """All of them at work, once one of them is; the error of the first if none can be."""
    found = tuple(members)
    tasks = [asyncio.create_task(each.run(), name=f"console of {each.name}") for each in found]
    try:
        await _first(found)
        yield
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first(members: Sequence[Member]) -> None:
    waiting = {asyncio.create_task(each.was_tried.wait()) for each in members}
    try:
        while waiting and not any(each.application for each in members):
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
    if not any(each.application for each in members) and members[0].error is not None:
        raise members[0].error
