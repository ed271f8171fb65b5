"""Pages of a kind's objects as the API server sends them, undecoded but for name and namespace."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

import msgspec

from shipkeeper.backup.kinds import Kind
from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import MalformedAnswerError
from shipkeeper.kube.request import RequestInfo
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import ListMeta


class _Listed(KubeStruct, frozen=True, kw_only=True):
    metadata: ListMeta = ListMeta()
    items: list[msgspec.Raw] | None = None


class _CountedMeta(ListMeta, frozen=True, kw_only=True):
    remaining_item_count: int = 0


class _Counted(KubeStruct, frozen=True, kw_only=True):
    metadata: _CountedMeta = _CountedMeta()
    items: list[msgspec.Raw] | None = None


class _Name(KubeStruct, frozen=True, kw_only=True):
    name: str
    namespace: str = ""


class _Named(KubeStruct, frozen=True, kw_only=True):
    metadata: _Name


class _Names(KubeStruct, frozen=True, kw_only=True):
    items: list[_Named] | None = None


# What a page should weigh. Many small objects cost the server less in few pages, and a page of
# large ones must not fill the memory.
_PAGE_BYTES = 4 * 2**20
_MOST_OBJECTS = 4000
# Larger objects may follow those that a page's weight is told from.
_GROWTH = 4

T = TypeVar("T")
_LISTED = msgspec.json.Decoder(_Listed)
_COUNTED = msgspec.json.Decoder(_Counted)
_NAMES = msgspec.json.Decoder(_Names)


class RawObject(msgspec.Struct, frozen=True, gc=False):
    """An object's JSON as it was sent; items of built-in kinds lack apiVersion and kind."""

    namespace: str
    name: str
    body: memoryview | bytes


class Page(msgspec.Struct, frozen=True):
    """Some objects of a kind, and the revision of the list that they are of."""

    objects: list[RawObject]
    revision: str


class Glance(msgspec.Struct, frozen=True):
    """The revision at which a kind's storage stands now, and how many objects there are."""

    revision: str
    objects: int


async def glance(connection: Requests, kind: Kind, namespace: str = "") -> Glance:
    """List one object only."""
    path = kind.resource.path(namespace)
    found = _decode(_COUNTED, path, await connection.send("GET", path, query={"limit": "1"}))
    metadata = found.metadata
    return Glance(metadata.resource_version, len(found.items or ()) + metadata.remaining_item_count)


async def pages(
    connection: Requests,
    kind: Kind,
    *,
    namespace: str = "",
    selector: str = "",
    revision: str = "",
) -> AsyncGenerator[Page]:
    """Every object as it was at just this revision, or as the newest list has it if none is given.

    Pages after the first hold as many objects as their size lets them. ExpiredError when the server
    no longer keeps the revision.
    """
    path = kind.resource.path(namespace)
    limit = connection.page_size
    query = {"labelSelector": selector} if selector else {}
    asked = {"resourceVersion": revision, "resourceVersionMatch": "Exact"} if revision else {}
    while True:
        limited = {"limit": str(limit)} if limit else {}
        body = await connection.send("GET", path, query=query | limited | asked)
        listed = _decode(_LISTED, path, body)
        yield Page(_raw_objects(path, body, listed), listed.metadata.resource_version)
        if not listed.metadata.continue_:
            return
        # The token holds the revision; the server takes no other beside it.
        asked = {"continue": listed.metadata.continue_}
        limit = next_limit(limit, len(listed.items or ()), len(body))


def next_limit(limit: int, objects: int, size: int) -> int:
    """How many objects to ask for after a page of so many objects and bytes."""
    if not objects or not limit:
        return limit  # What a selector passes over weighs nothing; 0 asks for everything at once.
    fitting = _PAGE_BYTES * objects // size
    return max(1, min(fitting, limit * _GROWTH, _MOST_OBJECTS))


async def one_ahead(source: AsyncGenerator[Page]) -> AsyncGenerator[Page]:
    """The same pages; each next one is asked for while the one before is worked on."""
    async with aclosing(source):
        coming = asyncio.ensure_future(anext(source, None))
        try:
            while (page := await coming) is not None:
                coming = asyncio.ensure_future(anext(source, None))
                yield page
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def _raw_objects(path: str, body: bytes, listed: _Listed) -> list[RawObject]:
    # To read the whole page twice takes a third of the time of reading each object by itself.
    names = _decode(_NAMES, path, body).items or ()
    return [
        RawObject(named.metadata.namespace, named.metadata.name, memoryview(raw))
        for named, raw in zip(names, listed.items or (), strict=True)
    ]


def _decode(decoder: msgspec.json.Decoder[T], path: str, body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise MalformedAnswerError(RequestInfo.of("GET", path), error) from error
