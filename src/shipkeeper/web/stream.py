"""The one stream of a tab: keyed changes with sequence numbers, which goes on where it broke off.

What the page has seen is kept for a while after its connection ended; it says how far it came
(Last-Event-ID) and gets the rest, or everything anew if that is too long ago.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from shipkeeper.errors import ShipkeeperError
from shipkeeper.web.answers import convert_query, json_response, read_body
from shipkeeper.web.observer import Observer, Trouble
from shipkeeper.web.page import Page, Query
from shipkeeper.web.person import Missing
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.sessions import Session, Sessions
from shipkeeper.web.view import Changes, View, changes

_TICK = 0.1  # seconds between two looks
_BEAT = 5.0  # seconds after which a page hears at least that there is nothing new
_KEPT = 60.0  # seconds that a stream without its page is kept
_LOG = 128  # messages that can be sent again
_LOG_BYTES = 2 * 2**20
_STREAMS = 300
_STREAMS_OF_SESSION = 30
_AGAIN = 30.0  # seconds between two questions whether somebody may still look


class Heard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message: changes of the view, and what is to be said of the whole of it."""

    changes: Changes | None = None
    trouble: Trouble | None = None
    missing: tuple[Missing, ...] = ()
    problem: dict[str, str] | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page that looks at something else from now on."""

    stream: str
    query: Query


class _State(msgspec.Struct, frozen=True):
    """What decides the next message."""

    version: Hashable
    trouble: Trouble | None
    missing: tuple[Missing, ...]
    query: int


class Stream:
    """What one tab has seen so far."""

    def __init__(self, session: Session, page: Page, query: Query) -> None:
        self.key = secrets.token_urlsafe(12)
        self.session = session
        self.page = page
        self.left_at: float | None = None
        self.reader = 0
        self._asked = page.parse(query)
        self._queries = 0
        self._view: View | None = None
        self._state: _State | None = None
        self._sequence = 0
        self._log: deque[tuple[int, bytes]] = deque()
        self._logged = 0
        self._missing: tuple[float, tuple[Missing, ...]] = (-_AGAIN, ())

    def turn(self, query: Query) -> None:
        """Look at something else."""
        self._asked = self.page.parse(query)
        self._queries += 1

    def since(self, sequence: int) -> list[bytes] | None:
        """The messages after one of them; None if they are not kept any more."""
        first = self._log[0][0] if self._log else self._sequence + 1
        if not first - 1 <= sequence <= self._sequence:
            return None
        return [message for number, message in self._log if number > sequence]

    def forget(self) -> None:
        """Begin anew: the next message has everything."""
        self._view = self._state = None
        self._log.clear()
        self._logged = 0

    async def next(self, observer: Observer) -> bytes | None:
        """The next message, if there is anything new."""
        person = self.session.person
        missing = await self._lacks()
        state = _State(
            self.page.version(person, self._asked), observer.trouble, missing, self._queries
        )
        if state == self._state:
            return None
        heard = await self._hear(state)
        before, self._state = self._state, state
        is_news = before is None or (before.trouble, before.missing) != (
            state.trouble,
            state.missing,
        )
        if not is_news and heard.problem is None and not heard.changes:
            return None
        return self._write(heard)

    async def _lacks(self) -> tuple[Missing, ...]:
        now = asyncio.get_running_loop().time()
        at, missing = self._missing
        if now - at >= _AGAIN:
            try:
                missing = await self.session.person.missing(self.page.info.needs)
            except ShipkeeperError:
                # While the server is away nobody knows; that it is away is told.
                return missing
            self._missing = (now, missing)
        return missing

    async def _hear(self, state: _State) -> Heard:
        try:
            person = self.session.person
            view = View() if state.missing else await self.page.look(person, self._asked)
        except ShipkeeperError as error:
            problem = {"reason": error.reason, "message": error.message, "hint": error.hint}
            return Heard(trouble=state.trouble, problem=problem)
        found = changes(self._view, view)
        self._view = view
        return Heard(
            changes=None if found.is_empty else found,
            trouble=state.trouble,
            missing=state.missing,
        )

    def _write(self, heard: Heard) -> bytes:
        self._sequence += 1
        data = msgspec.json.encode(heard)
        message = b"id: %s.%d\ndata: %s\n\n" % (self.key.encode(), self._sequence, data)
        self._log.append((self._sequence, message))
        self._logged += len(message)
        while len(self._log) > _LOG or (self._logged > _LOG_BYTES and len(self._log) > 1):
            self._logged -= len(self._log.popleft()[1])
        return message


class Streams:
    """All streams of a console."""

    def __init__(self, pages: dict[str, Page], sessions: Sessions, observer: Observer) -> None:
        self._pages = pages
        self._sessions = sessions
        self._observer = observer
        self._streams: dict[str, Stream] = {}
        self._is_over = False

    def routes(self) -> list[Route]:
        """Where streams are opened, and turned."""
        return [
            Route("/api/stream/{page}", self.open),
            Route("/api/look", self.look, methods=["POST"]),
        ]

    def end(self) -> None:
        """Let every stream come to its end."""
        self._is_over = True

    async def open(self, request: Request) -> Response:
        """A new stream, or one that goes on."""
        session = self._sessions.of(request)
        page = self._pages.get(request.path_params["page"])
        if page is None:
            raise RefusedError(404, "there is no such page", reason="NoPage")
        query = dict(request.query_params)
        last = request.headers.get("last-event-id") or query.pop("last", "")
        query.pop("last", None)
        stream, unseen = self._resume(session, page, query, last)
        return StreamingResponse(
            self._tell(request, stream, unseen),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def look(self, request: Request) -> Response:
        """Turn a stream to another query."""
        session = self._sessions.require_csrf(request)
        wish = await read_body(request, Look)
        stream = self._streams.get(wish.stream)
        if stream is None or stream.session is not session:
            raise RefusedError(404, "there is no such stream", reason="NoStream")
        stream.turn(convert_query(wish.query, dict[str, str]))
        return json_response({})

    def _resume(
        self, session: Session, page: Page, query: Query, last: str
    ) -> tuple[Stream, list[bytes]]:
        self._let_go()
        key, _, sequence = last.rpartition(".")
        known = self._streams.get(key)
        if known is not None and known.session is session and known.page is page:
            number = int(sequence) if sequence.isascii() and sequence.isdecimal() else -1
            unseen = known.since(number)
            known.turn(query)
            if unseen is None:
                known.forget()
            return known, unseen or []
        own = [each for each in self._streams.values() if each.session is session]
        if len(own) >= _STREAMS_OF_SESSION or len(self._streams) >= _STREAMS:
            raise RefusedError(
                429, "too many pages are open", reason="TooManyStreams", hint="close some", wait=5
            )
        stream = Stream(session, page, query)
        self._streams[stream.key] = stream
        return stream, []

    async def _tell(
        self, request: Request, stream: Stream, unseen: list[bytes]
    ) -> AsyncGenerator[bytes]:
        clock: Callable[[], float] = asyncio.get_running_loop().time
        stream.reader += 1
        stream.left_at = None
        mine, said_at = stream.reader, clock()
        try:
            yield b"retry: 1000\n\n" + b"".join(unseen)
            while not self._is_over and stream.reader == mine:
                if not self._sessions.touch(stream.session):
                    yield b"event: over\ndata: {}\n\n"
                    return
                message = await stream.next(self._observer)
                if message is None and clock() - said_at >= _BEAT:
                    message = b"event: beat\ndata: {}\n\n"
                if message is not None:
                    said_at = clock()
                    yield message
                # At the same moments for all: what is made for one then serves all others.
                await asyncio.sleep(_TICK - clock() % _TICK)
        finally:
            if stream.reader == mine:
                stream.left_at = clock()

    def _let_go(self) -> None:
        now = asyncio.get_running_loop().time()
        for key, stream in tuple(self._streams.items()):
            is_left = stream.left_at is not None and now - stream.left_at > _KEPT
            if is_left or stream.session.is_over:
                del self._streams[key]
