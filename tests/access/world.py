"""Objects in a real cluster, and reviews of a real API server."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from shipkeeper.access.assembly import kind_of
from shipkeeper.access.attributes import Attributes
from shipkeeper.access.review import read_review
from shipkeeper.access.webhook import Reply
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnreachableError,
)

Manifest = dict[str, Any]
T = TypeVar("T")
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_AT_ONCE = 16
_TRIES = 5
LABEL = {"shipkeeper.test/access": "fuzz"}


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A review's status; `invalid` stands for 422."""

    allowed: bool = False
    denied: bool = False
    reason: str = ""
    evaluation_error: str = ""
    invalid: bool = False


class _Review(msgspec.Struct):
    status: Status = Status()


def connected(kubeconfig: Path) -> contextlib.AbstractAsyncContextManager[Connection]:
    """A connection by a kubeconfig."""
    return connect(ConnectionOptions(kubeconfig=str(kubeconfig)))


async def ask(connection: Connection, spec: dict[str, Any]) -> Status:
    """What an API server says to a review."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": spec,
    }
    try:
        # Nothing is kept of a review, so it can be asked again.
        answer = await patiently(lambda: connection.send("POST", REVIEWS, body=body))
    except InvalidError:
        return Status(invalid=True)
    return msgspec.json.decode(answer, type=_Review).status


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try again what a busy machine had no time for."""
    for _ in range(_TRIES):
        try:
            return await attempt()
        except UnreachableError:
            await asyncio.sleep(2)
        except ApiError as error:
            if error.code < 500:
                raise
            await asyncio.sleep(2)
    return await attempt()


async def ask_all(connection: Connection, specs: Iterable[dict[str, Any]]) -> list[Status]:
    """What it says to many, in their order."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(spec: dict[str, Any]) -> Status:
        async with gate:
            return await ask(connection, spec)

    return list(await asyncio.gather(*(one(spec) for spec in specs)))


def collection(manifest: Manifest) -> str:
    """The path where a manifest is created."""
    kind = kind_of(manifest)
    assert kind is not None, manifest
    namespace = manifest["metadata"].get("namespace")
    if not namespace:
        return kind.path
    head, _, plural = kind.path.rpartition("/")
    return f"{head}/namespaces/{namespace}/{plural}"


async def create(connection: Connection, *manifests: Manifest) -> None:
    """Create objects in their order; one that is there already is left as it is."""
    for each in manifests:
        await _until_accepted(lambda each=each: _create(connection, each))


async def create_together(connection: Connection, manifests: Iterable[Manifest]) -> None:
    """The same side by side."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(manifest: Manifest) -> None:
        async with gate:
            await create(connection, manifest)

    await asyncio.gather(*(one(each) for each in manifests))


async def _create(connection: Connection, manifest: Manifest) -> None:
    with contextlib.suppress(ConflictError):
        path = collection(manifest)
        await patiently(lambda: connection.send("POST", path, body=manifest))


async def _until_accepted(attempt: Callable[[], Awaitable[None]]) -> None:
    """A namespace's ServiceAccount comes a moment after the namespace, and so does its token."""
    async with asyncio.timeout(400):
        while True:
            try:
                return await attempt()
            except Exception as error:
                if "serviceaccount" not in str(error).replace(" ", ""):
                    raise
                await asyncio.sleep(0.05)


async def delete(connection: Connection, *manifests: Manifest) -> None:
    """Delete objects at once, as far as they are there."""
    for each in reversed(manifests):
        path = f"{collection(each)}/{each['metadata']['name']}"
        with contextlib.suppress(NotFoundError):
            await connection.send("DELETE", path, body={"gracePeriodSeconds": 0})


async def until_allowed(own: Connection, path: str) -> None:
    """Wait until a server's authorizer knows that somebody may read a path."""
    async with asyncio.timeout(400):
        while True:
            try:
                await own.send("GET", path)
            except ForbiddenError:
                await asyncio.sleep(0.02)
            else:
                return


@asynccontextmanager
async def asked_webhook(reply: Callable[[Attributes], Reply], minor: int) -> AsyncGenerator[str]:
    """A webhook that answers by a function; yields its URL."""

    async def handle(request: web.Request) -> web.Response:
        review = msgspec.json.decode(await request.read())
        said = reply(read_review(review["spec"], minor).attributes)
        if said.error:
            return web.Response(status=400)
        status = {"allowed": said.allowed, "denied": said.denied, "reason": said.reason}
        return web.json_response({**review, "status": status})

    application = web.Application()
    application.router.add_post("/", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def webhook_kubeconfig(path: Path, url: str) -> Path:
    """A kubeconfig that leads an API server to a webhook."""
    content: Manifest = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "webhook", "cluster": {"server": url}}],
        "users": [{"name": "api-server", "user": {}}],
        "contexts": [{"name": "w", "context": {"cluster": "webhook", "user": "api-server"}}],
        "current-context": "w",
    }
    path.write_bytes(msgspec.json.encode(content))
    return path
