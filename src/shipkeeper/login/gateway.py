"""The gateway: who has a directory's password gets a token; who has a token is told to Kubernetes.

POST /login        {"login", "password"}             → {"token", "ends"}
POST /renew        Authorization: Bearer TOKEN       → {"token", "ends"}
POST /tokenreview  a TokenReview of v1 or v1beta1    → the same, with its status
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.ldap.pool import open_pool
from shipkeeper.login.audit import AuditLog, Decision, Event, now
from shipkeeper.login.directory import (
    Directory,
    Person,
    RefusedError,
    refused,
    require_login,
    require_password,
)
from shipkeeper.login.remembered import Remembered
from shipkeeper.login.settings import Settings
from shipkeeper.login.tokens import Issued, Session, Signer
from shipkeeper.serving import https
from shipkeeper.serving.guessing import Attempt, Attempts, TooManyFailuresError
from shipkeeper.serving.https import Limits, Request, Response, read_json

LOGIN, RENEW, REVIEW = "/login", "/renew", "/tokenreview"
VERSIONS = ("authentication.k8s.io/v1", "authentication.k8s.io/v1beta1")
KIND = "TokenReview"
_LIMITS = Limits(body=64 * 1024)
# The words of every refusal are the same: who guesses learns nothing from them.
_REFUSED = b'{"error":"login refused: the name or the password is wrong, or the user may not"}'
_OVER = b'{"error":"the session is over: log in again"}'
_UNAVAILABLE = b'{"error":"the directory cannot be asked: try again"}'


class Login(msgspec.Struct, frozen=True):
    """What somebody logs in with."""

    login: str
    password: str


class ReviewSpec(msgspec.Struct, frozen=True):
    """What an API server wants to know: whose token this is."""

    token: str = ""


class Review(msgspec.Struct, frozen=True, rename="camel"):
    """A TokenReview of either version, as far as it is read."""

    api_version: str = ""
    kind: str = ""
    spec: ReviewSpec = ReviewSpec()


class Gateway:
    """Answers requests by a directory; opened with `gateway`."""

    def __init__(self, settings: Settings, directory: Directory, audit: AuditLog) -> None:
        self._settings = settings
        self._directory = directory
        self._audit = audit
        self._people = Remembered(directory.person, settings.cache, monotonic)
        self._attempts = Attempts(settings.guessing, settings.window, monotonic)
        self._signer = Signer(settings.keys, lifetime=settings.lifetime, session=settings.session)

    async def answer(self, request: Request) -> Response:
        """The answer to any request; whatever it is, there is one."""
        if request.method == "GET" and request.path == "/healthz":
            return Response(200, b"ok")
        answers: dict[str, Callable[[Request], Awaitable[Response]]] = {
            LOGIN: self._login,
            RENEW: self._renew,
            REVIEW: self._review,
        }
        if request.path not in answers:
            return Response(404)
        if request.method != "POST":
            return Response(405)
        return await answers[request.path](request)

    async def _login(self, request: Request) -> Response:
        try:
            asked: Login = read_json(request.body, Login)
        except ValueError as error:
            return Response(400, _error(str(error)))
        try:
            require_login(asked.login)
        except RefusedError as error:
            self._refuse("login", request, asked.login, error)
            return Response(401, _REFUSED)
        try:
            async with self._attempts.one(asked.login, request.client) as attempt:
                return await self._attempt(request, asked, attempt)
        except TooManyFailuresError as error:
            self._refuse("login", request, asked.login, refused("TooManyFailures", str(error)))
            header = ("Retry-After", str(round(error.wait) + 1))
            return Response(429, _error("too many wrong passwords: try again later"), (header,))

    async def _attempt(self, request: Request, asked: Login, attempt: Attempt) -> Response:
        try:
            person = await self._log_in(asked)
        except RefusedError as error:
            self._refuse("login", request, asked.login, error)
            return Response(401, _REFUSED)
        except ShipkeeperError as error:
            attempt.did_not_fail()
            self._refuse("login", request, asked.login, error)
            return Response(503, _UNAVAILABLE)
        attempt.did_not_fail()
        session, issued = self._signer.begin(asked.login, person.uid, now())
        self._allow("login", request, session, person)
        return _issued(issued)

    async def _log_in(self, asked: Login) -> Person:
        require_password(asked.password)
        try:
            person = await self._people.of(asked.login)
        except RefusedError:
            # As slow as a wrong password, so that nobody learns by the clock who exists.
            await self._directory.check_nobody()
            raise
        await self._directory.check_password(person, asked.password)
        return person

    async def _renew(self, request: Request) -> Response:
        kind, _, token = request.authorization.partition(" ")
        is_bearer = kind.lower() == "bearer"
        session = self._signer.read(token.strip(), "renew", now()) if is_bearer else None
        if session is None:
            return Response(401, _OVER)
        try:
            # Whoever was disabled meanwhile gets no more tokens, whatever is remembered of them.
            self._people.forget(session.login)
            person = await self._owner(session)
        except RefusedError as error:
            self._refuse("renew", request, session.login, error, session.id)
            return Response(401, _REFUSED)
        except ShipkeeperError as error:
            self._refuse("renew", request, session.login, error, session.id)
            return Response(503, _UNAVAILABLE)
        self._allow("renew", request, session, person)
        return _issued(self._signer.issue(session, now()))

    async def _review(self, request: Request) -> Response:
        if self._settings.listen.client_ca is not None and not request.is_known:
            return Response(403, _error("a client certificate of an API server is needed"))
        try:
            asked: Review = read_json(request.body, Review)
        except ValueError as error:
            return Response(400, _error(str(error)))
        if asked.kind != KIND or asked.api_version not in VERSIONS:
            return Response(400, _error(f"not a {KIND}: {asked.api_version} {asked.kind}"))
        status = await self._status(request, asked.spec)
        answer = {"apiVersion": asked.api_version, "kind": KIND, "status": status}
        return Response(200, msgspec.json.encode(answer))

    async def _status(self, request: Request, spec: ReviewSpec) -> dict[str, Any]:
        session = self._signer.read(spec.token, "review", now())
        if session is None:
            # It may be one of another authenticator's: that is no failure, and nobody's login.
            return {"authenticated": False}
        try:
            person = await self._owner(session)
        except RefusedError as error:
            self._refuse("review", request, session.login, error, session.id)
            return {"authenticated": False}
        except ShipkeeperError as error:
            self._refuse("review", request, session.login, error, session.id)
            # An error is asked about again with the next request, a no is remembered.
            return {"authenticated": False, "error": "the directory cannot be asked"}
        self._allow("review", request, session, person)
        status: dict[str, Any] = {
            "authenticated": True,
            "user": {
                "username": person.name,
                "uid": person.uid,
                "groups": person.groups,
                "extra": {"shipkeeper/session": [session.id]},
            },
        }
        # No audiences: without them the API server takes it to be for itself, and nobody else.
        return status

    async def _owner(self, session: Session) -> Person:
        person = await self._people.of(session.login)
        if person.uid != session.uid:
            raise refused("OtherEntry", "another entry has this login now")
        return person

    def _allow(self, event: Event, request: Request, session: Session, person: Person) -> None:
        self._audit.write(
            Decision(
                time=now(),
                event=event,
                allowed=True,
                reason="Authenticated",
                client=request.client,
                login=session.login,
                user=person.name,
                session=session.id,
                groups=len(person.groups),
            )
        )

    def _refuse(
        self, event: Event, request: Request, login: str, why: ShipkeeperError, session: str = ""
    ) -> None:
        is_known = session or why.reason in {"WrongPassword", "Disabled", "SeveralUsers"}
        self._audit.write(
            Decision(
                time=now(),
                event=event,
                allowed=False,
                reason=why.reason,
                client=request.client,
                login=login if is_known else "",
                pseudonym="" if is_known else self._signer.pseudonym(login),
                session=session,
                detail=why.message,
            )
        )


def _issued(issued: Issued) -> Response:
    return Response(200, msgspec.json.encode(issued))


def _error(why: str) -> bytes:
    return msgspec.json.encode({"error": why})


@asynccontextmanager
async def gateway(settings: Settings, say: Callable[[str], None]) -> AsyncGenerator[str]:
    """Serve until the block ends; yields the URL that is listened at."""
    audit = AuditLog(settings.audit, say)
    async with AsyncExitStack() as stack:
        stack.callback(audit.close)
        pool = await stack.enter_async_context(open_pool(settings.pool))
        served = Gateway(settings, Directory(settings, pool), audit)
        url = await stack.enter_async_context(
            https.serving(settings.listen, served.answer, _LIMITS)
        )
        yield url
