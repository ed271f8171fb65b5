"""The raw watch stream: newline-delimited JSON events, decoded to the fields that are read."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Generic, TypeAlias, TypeVar

import msgspec

from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import ApiError, MalformedAnswerError, Status, api_error
from shipkeeper.kube.request import RequestInfo, selection
from shipkeeper.kube.resources import Resource
from shipkeeper.model.meta import KubeObject

T = TypeVar("T", bound=KubeObject)


class Seen(msgspec.Struct, Generic[T], frozen=True):
    """An object was created, changed, or began to match the selectors."""

    object: T


class Gone(msgspec.Struct, Generic[T], frozen=True):
    """An object was deleted or no longer matches; in its last state, at the later revision."""

    object: T


class Bookmark(msgspec.Struct, frozen=True):
    """Nothing happened up to this revision that was not told."""

    revision: str


class Failed(msgspec.Struct, frozen=True):
    """The server gives the watch up; ExpiredError when it no longer keeps the revision."""

    error: ApiError


Event: TypeAlias = Seen[T] | Gone[T] | Bookmark | Failed


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class EventDecoder(Generic[T]):
    """Turns the chunks of one stream into events; chunks may be cut anywhere."""

    def __init__(self, resource: Resource[T]) -> None:
        self._request = RequestInfo.of("GET", resource.path(), is_watch=True)
        self._envelopes = msgspec.json.Decoder(_Envelope)
        self._objects = msgspec.json.Decoder(resource.type)
        self._bookmarks = msgspec.json.Decoder(KubeObject)
        self._begun: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Event[T]]:
        """The events that a chunk completes; what it only begins is kept for the next one.

        Raises MalformedAnswerError for a line that is no event of this kind.
        """
        first, *others = chunk.split(b"\n")
        self._begun.append(first)
        for other in others:
            line = b"".join(self._begun)
            self._begun = [other]
            if line:
                yield self._decode(line)

    def _decode(self, line: bytes) -> Event[T]:
        try:
            envelope = self._envelopes.decode(line)
            return self._event(envelope.type, envelope.object)
        except msgspec.DecodeError as error:
            raise MalformedAnswerError(self._request, error) from error

    def _event(self, type_: str, raw: msgspec.Raw) -> Event[T]:
        match type_:
            case "ADDED" | "MODIFIED":
                return Seen(self._objects.decode(raw))
            case "DELETED":
                return Gone(self._objects.decode(raw))
            case "BOOKMARK":
                return Bookmark(self._bookmarks.decode(raw).metadata.resource_version)
            case "ERROR":
                code = msgspec.json.decode(raw, type=Status).code
                return Failed(api_error(code, bytes(raw), None, asked=self._request))
            case _:
                raise msgspec.ValidationError(f"unknown event type {type_!r}")


@asynccontextmanager
async def watch(
    connection: Requests,
    resource: Resource[T],
    *,
    namespace: str,
    label_selector: str,
    field_selector: str,
    revision: str,
    inactivity: timedelta,
) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Open the stream of all events after a revision and yield its chunks.

    The server is asked to end the stream, after a last bookmark, a little before `inactivity` has
    passed: whoever hears nothing for that long talks to a dead connection (UnreachableError).
    """
    query = {
        **selection(label_selector, field_selector),
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": revision,
        "timeoutSeconds": str(max(1, int(inactivity.total_seconds() * 0.8))),
    }
    async with connection.stream(resource.path(namespace), query, inactivity=inactivity) as chunks:
        yield chunks
