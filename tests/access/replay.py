"""What somebody did by an audit log, done again by them: for its authorization, without effect."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

import msgspec

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ApiError, ForbiddenError
from shipkeeper.model.base import KubeStruct

_METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
# Without a body nothing is written, and whoever may not write is told so first.
_DRY = {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}


class Other(KubeStruct, frozen=True, kw_only=True):
    """A user of the log."""

    username: str = ""
    groups: tuple[str, ...] = ()


class _Line(KubeStruct, frozen=True, kw_only=True):
    verb: str
    request_uri: str = msgspec.field(name="requestURI")
    user: Other = Other()
    impersonated_user: Other = Other()
    annotations: dict[str, str] = {}


class Request(msgspec.Struct, frozen=True):
    """A request of the log: its verb, its URI, and in whose name it was made."""

    verb: str
    uri: str
    other: str = ""
    groups: tuple[str, ...] = ()


def requests_of(log: Path, user: str) -> list[Request]:
    """Every request of a user that the server let through, each once."""
    return list(dict.fromkeys(_requests(log, user)))


def _requests(log: Path, user: str) -> Iterator[Request]:
    with log.open("rb") as lines:
        for text in lines:
            line = msgspec.json.decode(text, type=_Line)
            decision = line.annotations.get("authorization.k8s.io/decision", "allow")
            if line.user.username == user and decision == "allow":
                other = line.impersonated_user
                groups = tuple(each for each in other.groups if not each.startswith("system:"))
                yield Request(line.verb, line.request_uri, other.username, groups)


class Replay:
    """Requests, and connections to make them over again and again."""

    def __init__(self, requests: list[Request]) -> None:
        self.requests = requests
        self._as_whom: dict[tuple[str, tuple[str, ...]], Connection] = {}

    @classmethod
    @asynccontextmanager
    async def by(cls, kubeconfig: Path, requests: list[Request]) -> AsyncGenerator[Self]:
        """A replay by whoever a kubeconfig is for."""
        made = cls(requests)
        async with AsyncExitStack() as stack:
            for other, groups in {(each.other, each.groups) for each in requests}:
                options = ConnectionOptions(
                    kubeconfig=str(kubeconfig), impersonate_user=other, impersonate_groups=groups
                )
                opened = await stack.enter_async_context(connect(options))
                made._as_whom[other, groups] = opened
            yield made

    async def denied(self) -> list[Request]:
        """Make the requests again; those that the server forbids."""
        answers = await asyncio.gather(
            *(_is_forbidden(self._as_whom[each.other, each.groups], each) for each in self.requests)
        )
        return [
            each for each, is_forbidden in zip(self.requests, answers, strict=True) if is_forbidden
        ]


async def _is_forbidden(connection: Connection, asked: Request) -> bool:
    path, _, spelled = asked.uri.partition("?")
    query = dict(parse_qsl(spelled))
    method = _METHODS[asked.verb]
    try:
        if asked.verb == "watch":
            # It would go on; that it begins is enough.
            async with connection.stream(path, query, inactivity=timedelta(seconds=30)):
                return False
        body = _DRY if method == "DELETE" else None
        await connection.send(method, path, query=query, body=body)
    except ForbiddenError:
        return True
    except ApiError:
        # Whatever else is wrong with a request comes after its authorization.
        pass
    return False
