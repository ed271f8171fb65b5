"""Which kinds an API server serves, by its own account.

The group and resource lists of old are read, not the aggregated document: it exists from 1.26 on
only, and thirty small answers at once take no longer.
"""

import asyncio
from typing import TypeVar

import msgspec

from shipkeeper.backup.contents import Unreadable
from shipkeeper.backup.kinds import Kind, Served
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import MalformedAnswerError
from shipkeeper.kube.request import RequestInfo
from shipkeeper.model.base import KubeStruct

T = TypeVar("T")

# How many questions are under way; each of the first ones costs a TLS handshake.
AT_ONCE = 8


class Discovery(msgspec.Struct, frozen=True):
    """The kinds that are served, and the API groups whose servers did not answer."""

    served: Served
    unreadable: tuple[Unreadable, ...]
    aggregated: frozenset[str]
    """The `group/version`s that another server than the API server itself answers for."""


class _GroupVersion(KubeStruct, frozen=True, kw_only=True):
    group_version: str
    version: str


class _Group(KubeStruct, frozen=True, kw_only=True):
    name: str
    versions: tuple[_GroupVersion, ...]
    preferred_version: _GroupVersion

    @property
    def in_order(self) -> tuple[_GroupVersion, ...]:
        others = (each for each in self.versions if each != self.preferred_version)
        return (self.preferred_version, *others)


class _Groups(KubeStruct, frozen=True, kw_only=True):
    groups: tuple[_Group, ...] = ()


class _Resource(KubeStruct, frozen=True, kw_only=True):
    name: str
    kind: str
    namespaced: bool
    singular_name: str = ""
    group: str = ""
    version: str = ""
    short_names: tuple[str, ...] | None = ()
    verbs: tuple[str, ...] | None = ()


class _Resources(KubeStruct, frozen=True, kw_only=True):
    resources: tuple[_Resource, ...] | None = ()


class _Service(KubeStruct, frozen=True, kw_only=True):
    name: str = ""


class _ApiServiceSpec(KubeStruct, frozen=True, kw_only=True):
    group: str = ""
    version: str = ""
    service: _Service | None = None


class _ApiService(KubeStruct, frozen=True, kw_only=True):
    spec: _ApiServiceSpec


class _ApiServices(KubeStruct, frozen=True, kw_only=True):
    items: tuple[_ApiService, ...] = ()


async def discover(connection: Requests) -> Discovery:
    """Ask for all groups, and each of their versions for its kinds, some at once."""
    groups = (await _get(connection, "/apis", _Groups)).groups
    wanted = [("", "v1", "/api/v1")]
    wanted += [
        (group.name, each.version, f"/apis/{each.group_version}")
        for group in groups
        for each in group.in_order
    ]
    slots = asyncio.Semaphore(AT_ONCE)

    async def kinds_at(path: str) -> _Resources:
        async with slots:
            return await _get(connection, path, _Resources)

    answers = await asyncio.gather(
        *(kinds_at(path) for _, _, path in wanted), return_exceptions=True
    )
    kinds: list[Kind] = []
    unreadable: list[Unreadable] = []
    for (group, version, path), answer in zip(wanted, answers, strict=True):
        if isinstance(answer, ShipkeeperError):
            unreadable.append(Unreadable.because(path.removeprefix("/apis/"), answer))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            kinds += _kinds(group, version, answer)
    return Discovery(Served(tuple(kinds)), tuple(unreadable), await _aggregated(connection))


def _kinds(group: str, version: str, answer: _Resources) -> list[Kind]:
    return [
        Kind(
            group=group,
            version=version,
            plural=each.name,
            kind=each.kind,
            namespaced=each.namespaced,
            singular=each.singular_name,
            short_names=each.short_names or (),
            verbs=each.verbs or (),
        )
        for each in answer.resources or ()
        if "/" not in each.name
    ]


async def _aggregated(connection: Requests) -> frozenset[str]:
    try:
        path = "/apis/apiregistration.k8s.io/v1/apiservices"
        found = await _get(connection, path, _ApiServices)
    except ShipkeeperError:
        return frozenset()  # Who may not see them sees only the kinds, and reads what can be read.
    return frozenset(
        f"{each.spec.group}/{each.spec.version}" for each in found.items if each.spec.service
    )


async def _get(connection: Requests, path: str, type_: type[T]) -> T:
    body = await connection.send("GET", path)
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.DecodeError as error:
        raise MalformedAnswerError(RequestInfo.of("GET", path), error) from error
