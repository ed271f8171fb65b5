"""Who is logged in: one-time links, sessions and their cookies, and when they end."""

import asyncio
import hmac
import math
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from shipkeeper.web.person import Person
from shipkeeper.web.presented import certificate_of
from shipkeeper.web.problem import RefusedError

CSRF_HEADER = "x-shipkeeper-csrf"
_MOST = 200  # sessions; more of them make the one that was idle longest end


class Session:
    """One login in one browser."""

    def __init__(self, person: Person, now: float, ends: float) -> None:
        self.id = secrets.token_urlsafe(32)
        self.csrf = secrets.token_urlsafe(32)
        self.person = person
        self.ends = ends
        self.used = now
        self.is_over = False


class Sessions:
    """All of them, in memory only: a restart of the console ends every one.

    A session ends `idle` after its last request or open stream, and `longest` after its login. That
    of a client certificate is good on connections with that certificate alone.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        cookie: str,
        is_tls: bool,
        idle: timedelta = timedelta(hours=1),
        longest: timedelta = timedelta(hours=12),
    ) -> None:
        self._clock = clock
        self._cookie = cookie
        self._is_tls = is_tls
        self._idle = idle.total_seconds()
        self._longest = longest.total_seconds()
        self._sessions: dict[str, Session] = {}
        self._links: set[str] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    def new_link(self) -> str:
        """A token that logs in once, for as long as the console runs."""
        token = secrets.token_urlsafe(32)
        self._links.add(token)
        return token

    def redeem(self, token: str) -> bool:
        """Whether a token is that of a link that nobody used; nobody can use it again."""
        found = next(
            (e for e in self._links if hmac.compare_digest(e.encode(), token.encode())), None
        )
        self._links.discard(found or "")
        return found is not None

    def open(self, person: Person, lasts: float = math.inf) -> Session:
        """Begin a session of at most so many seconds; those that are over are let go."""
        for each in tuple(self._sessions.values()):
            self._still(each)
        while len(self._sessions) >= _MOST:
            self.close(min(self._sessions.values(), key=lambda each: each.used))
        now = self._clock()
        session = Session(person, now, now + min(lasts, self._longest))
        self._sessions[session.id] = session
        return session

    def left(self, session: Session) -> float:
        """Seconds until a session ends, however much it is used."""
        return session.ends - self._clock()

    def close(self, session: Session) -> None:
        """End a session, with all its streams, and let go of its person's own connection."""
        session.is_over = True
        if self._sessions.pop(session.id, None) is not None and not session.person.is_local:
            task = asyncio.get_running_loop().create_task(session.person.close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def close_each(self) -> None:
        """End every session."""
        for session in tuple(self._sessions.values()):
            self.close(session)

    async def close_all(self) -> None:
        """End every session; return when no person has a connection any more."""
        self.close_each()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def of(self, request: Request) -> Session:
        """The session of a request, which is used by that; RefusedError (401) without one."""
        session = self.find(request)
        if session is None:
            raise RefusedError(401, "you are not logged in, or no longer", reason="NoSession")
        return session

    def find(self, request: Request) -> Session | None:
        """The session of a request, which is used by that, or None."""
        session = self.peek(request)
        return session if session is not None and self.touch(session) else None

    def peek(self, request: Request) -> Session | None:
        """The same, but nothing is used: to look who is logged in keeps nobody logged in."""
        session = self._sessions.get(request.cookies.get(self._cookie, ""))
        if session is None:
            return None
        shown = session.person.certificate
        # Whoever merely has the cookie must not keep the session alive with it.
        if shown and certificate_of(request) != shown:
            return None
        return session if self._still(session) else None

    def touch(self, session: Session) -> bool:
        """Note that a session is used; False if it is over."""
        if not self._still(session):
            return False
        session.used = self._clock()
        return True

    def require_csrf(self, request: Request) -> Session:
        """The session of a request that changes something; RefusedError without its CSRF token."""
        session = self.of(request)
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise RefusedError(
                403,
                "this request was not made by the console's own page",
                reason="NoCsrfToken",
                hint="reload the page",
            )
        return session

    def set_cookie(self, response: Response, session: Session) -> None:
        """Give the browser the session, in a cookie that no script and no other site sees."""
        response.set_cookie(
            self._cookie,
            session.id,
            max_age=round(self._longest),
            path="/",
            secure=self._is_tls,
            httponly=True,
            samesite="strict",
        )

    def drop_cookie(self, response: Response) -> None:
        """Take it away again."""
        response.delete_cookie(
            self._cookie, path="/", secure=self._is_tls, httponly=True, samesite="strict"
        )

    def _still(self, session: Session) -> bool:
        now = self._clock()
        is_idle = now - session.used > self._idle
        if session.is_over or is_idle or now > session.ends:
            self.close(session)
            return False
        return True
