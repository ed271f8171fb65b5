"""Logging in and out: by a link that works once, with a token, or with a client certificate."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from shipkeeper import __version__
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.bearer import with_token
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ApiError, UnauthorizedError
from shipkeeper.kube.identity import Identity, identify
from shipkeeper.serving.guessing import Attempts, TooManyFailuresError
from shipkeeper.web.answers import json_response, read_body
from shipkeeper.web.console import Console
from shipkeeper.web.page import Page
from shipkeeper.web.person import Person
from shipkeeper.web.presented import Presented, presented
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.sessions import Sessions
from shipkeeper.web.standing_in import stand_in

_WINDOW = timedelta(minutes=1)
_LONGEST_TOKEN = 16 * 1024


class _Limits(msgspec.Struct, frozen=True):
    """Nobody is kept from logging in by the failures of others elsewhere."""

    failures: int = 10
    failures_of_login: int = sys.maxsize
    failures_of_address: int = 10


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody logs in with."""

    token: str


class Nobody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A login that needs no words."""


class Doors:
    """The ways in and out; `say_link` tells whoever started the console the next link.

    `others` are their sessions in the other clusters of the same console.
    """

    def __init__(
        self,
        console: Console,
        pages: dict[str, Page],
        owner: Callable[[], Awaitable[Identity]],
        say_link: Callable[[str], None],
        others: Callable[[], Iterable[Sessions]],
    ) -> None:
        self._console = console
        self._pages = pages
        self._owner = owner
        self._say_link = say_link
        self._others = others
        self._attempts = Attempts(_Limits(), _WINDOW, asyncio.get_running_loop().time)

    def routes(self) -> list[Route]:
        """Where one asks who one is, logs in and out."""
        return [
            Route("/api/door", self.door),
            Route("/api/session", self.session),
            Route("/api/login", self.login, methods=["POST"]),
            Route("/api/login/certificate", self.certificate, methods=["POST"]),
            Route("/api/login/elsewhere", self.elsewhere, methods=["POST"]),
            Route("/api/logout", self.logout, methods=["POST"]),
        ]

    async def door(self, request: Request) -> Response:
        """How one logs in here; anybody may know, and whom their certificate names."""
        settings = self._console.settings
        shown: Presented | None = None
        if settings.takes_certificates:
            # One that does not fit is no reason to show nobody the way in.
            with suppress(RefusedError):
                shown = presented(request)
        return json_response(
            {
                "way": "link" if settings.is_local else "token",
                "takesCertificates": settings.takes_certificates,
                "certificate": shown.user if shown else None,
                "context": "" if settings.is_alone else settings.context,
                "isElsewhere": self._elsewhere(request) is not None,
            }
        )

    async def session(self, request: Request) -> Response:
        """Who is logged in, and what there is for them."""
        session = self._console.sessions.of(request)
        person, settings = session.person, self._console.settings
        return json_response(
            {
                "user": person.identity.username,
                "groups": person.identity.groups,
                "isLocal": person.is_local,
                "csrf": session.csrf,
                "cluster": settings.cluster,
                "context": settings.context,
                "version": __version__,
                "pages": [
                    {"name": page.info.name, "title": page.info.title}
                    for page in self._pages.values()
                ],
            }
        )

    async def redeem(self, request: Request, link: str) -> Response:
        """Log in whoever started the console, by a link that was printed."""
        client = request.client.host if request.client else ""
        response = RedirectResponse("/", status_code=303)
        try:
            async with self._attempts.one("link", client) as attempt:
                if not self._console.settings.is_local or not self._console.sessions.redeem(link):
                    return RedirectResponse("/#used", status_code=303)
                attempt.did_not_fail()
        except TooManyFailuresError as error:
            raise _too_often(error) from error
        session = self._console.sessions.open(Person(await self._owner(), self._console.connection))
        self._console.sessions.set_cookie(response, session)
        self._say_link(self._console.sessions.new_link())
        return response

    async def login(self, request: Request) -> Response:
        """Log in with a bearer token: a ServiceAccount's, OIDC's, whatever the cluster takes."""
        if self._console.settings.is_local:
            raise RefusedError(
                403,
                "this console takes no tokens: it runs for one user of this machine",
                reason="LocalOnly",
                hint="open the link that `shipkeeper serve` printed",
            )
        token = (await read_body(request, Token)).token.strip()
        client = request.client.host if request.client else ""
        try:
            async with self._attempts.one("token", client) as attempt:
                person = await self._person(token)
                attempt.did_not_fail()
        except TooManyFailuresError as error:
            raise _too_often(error) from error
        await self._console.observer.ask_as(person.connection)
        session = self._console.sessions.open(person)
        response = json_response({})
        self._console.sessions.set_cookie(response, session)
        return response

    async def certificate(self, request: Request) -> Response:
        """Log in as whom the verified certificate of the connection names."""
        await read_body(request, Nobody)
        if not self._console.settings.takes_certificates:
            raise RefusedError(
                403,
                "this console takes no client certificates",
                reason="NoCertificates",
                hint="start it with: shipkeeper serve --client-ca-file CA --tls-cert-file …",
            )
        shown = presented(request)
        if shown is None:
            raise RefusedError(
                401,
                "your browser showed no certificate of the cluster's client authority",
                reason="NoCertificate",
                hint="import it into the browser as PKCS#12, and choose it when it asks",
            )
        client = request.client.host if request.client else ""
        try:
            async with self._attempts.one("certificate", client) as attempt:
                person = await stand_in(self._console.connection, shown)
                attempt.did_not_fail()
        except TooManyFailuresError as error:
            raise _too_often(error) from error
        await self._console.observer.ask_as(person.connection)
        lasts = (shown.not_after - datetime.now(UTC)).total_seconds()
        session = self._console.sessions.open(person, lasts)
        response = json_response({})
        self._console.sessions.set_cookie(response, session)
        return response

    async def elsewhere(self, request: Request) -> Response:
        """Log in who started the console, and is logged in to another of its clusters."""
        await read_body(request, Nobody)
        sessions = self._console.sessions
        if self._console.settings.is_local and sessions.find(request) is not None:
            # Two tabs may ask at once: the second must not end what the first one knows.
            return json_response({})
        lasts = self._elsewhere(request)
        if lasts is None:
            raise RefusedError(
                401,
                "you are logged in to no other cluster of this console, or log in to each",
                reason="NoSession",
            )
        person = Person(await self._owner(), self._console.connection)
        session = sessions.open(person, lasts)
        response = json_response({})
        sessions.set_cookie(response, session)
        return response

    def _elsewhere(self, request: Request) -> float | None:
        """For how many seconds whoever started the console is logged in to another cluster."""
        found = [(each, each.peek(request)) for each in self._others()]
        return max((each.left(session) for each, session in found if session), default=None)

    async def logout(self, request: Request) -> Response:
        """End the session, and every stream of it; those of who started the console all at once."""
        session = self._console.sessions.require_csrf(request)
        self._console.sessions.close(session)
        if self._console.settings.is_local:
            # They are one person's, whatever cookies came along: of other browsers none did.
            for each in (self._console.sessions, *self._others()):
                each.close_each()
        response = json_response({})
        self._console.sessions.drop_cookie(response)
        return response

    async def _person(self, token: str) -> Person:
        if (
            not token
            or len(token) > _LONGEST_TOKEN
            or not token.isascii()
            or not token.isprintable()
        ):
            raise _not_a_token()
        own = self._console.connection
        connection = Connection(await with_token(own.credentials, token), page_size=own.page_size)
        try:
            identity = await identify(connection, own, token)
        except ShipkeeperError as error:
            await connection.close()
            if isinstance(error, UnauthorizedError):
                raise _not_a_token() from error
            if isinstance(error, ApiError):
                raise RefusedError(
                    503,
                    f"the cluster does not tell whose token this is: {error.message}",
                    reason="NoTokenReview",
                    hint="the console's own account needs to create tokenreviews",
                ) from error
            raise
        return Person(identity, connection, token)


def _not_a_token() -> RefusedError:
    return RefusedError(
        401,
        "the cluster does not know this token",
        reason="Unauthorized",
        hint="is it complete, and not expired? for example: kubectl create token NAME -n NAMESPACE",
    )


def _too_often(error: TooManyFailuresError) -> RefusedError:
    return RefusedError(
        429,
        f"too many failed logins: try again in {error.wait:.0f} seconds",
        reason="TooManyFailures",
        wait=error.wait,
    )
