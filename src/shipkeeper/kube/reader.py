"""Reading objects: what an observer may do, and nothing else."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec

from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import ExpiredError, MalformedAnswerError, NotFoundError
from shipkeeper.kube.request import RequestInfo, selection
from shipkeeper.kube.resources import BUDGETS, BUDGETS_BETA, Resource
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.meta import KubeObject, ListMeta
from shipkeeper.model.version import Version

T = TypeVar("T", bound=KubeObject)
Decoded = TypeVar("Decoded")


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """All objects of a kind at one revision."""

    items: list[T]
    resource_version: str


class ObjectList(KubeStruct, Generic[T], frozen=True, kw_only=True):
    """One page of a list, as the API server sends it."""

    metadata: ListMeta = ListMeta()
    items: list[T] | None = None


class _ApiResource(KubeStruct, frozen=True, kw_only=True):
    name: str
    group: str = ""
    version: str = ""


class _ApiResourceList(KubeStruct, frozen=True, kw_only=True):
    resources: tuple[_ApiResource, ...] = ()


class _VersionInfo(KubeStruct, frozen=True, kw_only=True):
    git_version: str


class Reader:
    """Gets and lists objects, decoded to the fields that shipkeeper reads."""

    def __init__(self, connection: Requests) -> None:
        self.connection = connection
        self._eviction_version: str | None = None
        self._budget_resource: Resource[PodDisruptionBudget] | None = None

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        """One object; NotFoundError when there is none of that name."""
        return await self._fetch(resource.path(namespace, name), resource.type)

    async def get_raw(self, resource: Resource[T], name: str, namespace: str = "") -> Any:
        """One object with every field it has, as plain dicts and lists."""
        return await self._fetch(resource.path(namespace, name), dict[str, Any])

    async def list(
        self,
        resource: Resource[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        at_hand: bool = False,
        keep: Callable[[T], bool] | None = None,
    ) -> Listing[T]:
        """Every object that the selectors match, page by page, at one revision.

        Those that are not to be kept are let go of with their page.
        With `at_hand` it may be a revision of a moment ago, which the server need not ask etcd for.
        When the server no longer keeps the revision of the first page (410), it starts over and
        asks for everything in one piece, which cannot expire half way.
        """
        path, query = resource.path(namespace), selection(label_selector, field_selector)
        page_type: type[ObjectList[T]] = ObjectList[resource.type]
        if at_hand:
            query["resourceVersion"] = "0"
            return _joined([_kept(await self._fetch(path, page_type, query), keep)])
        try:
            pages = self._pages(path, query, page_type)
            return _joined([_kept(page, keep) async for page in pages])
        except ExpiredError:
            return _joined([_kept(await self._fetch(path, page_type, query), keep)])

    async def revision(
        self,
        resource: Resource[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> str:
        """The resourceVersion that a list would have now; costs no more than one object."""
        query = {**selection(label_selector, field_selector), "limit": "1"}
        listed = await self._fetch(resource.path(namespace), ObjectList[KubeObject], query)
        return listed.metadata.resource_version

    async def _pages(
        self, path: str, query: dict[str, str], page_type: type[ObjectList[T]]
    ) -> AsyncGenerator[ObjectList[T]]:
        limit = {"limit": str(self.connection.page_size)} if self.connection.page_size else {}
        token = ""
        while True:
            asked = {**query, **limit} | ({"continue": token} if token else {})
            page = await self._fetch(path, page_type, asked)
            yield page
            token = page.metadata.continue_
            if not token:
                return

    async def version(self) -> Version:
        """The API server's version."""
        info = await self._fetch("/version", _VersionInfo)
        return Version.parse(info.git_version)

    async def eviction_version(self) -> str:
        """Which policy version evictions take (`v1`, `v1beta1`), empty if there are none.

        The subresource `pods/eviction` of /api/v1 names it; anything but v1 is spoken to in
        v1beta1 (kubectl pkg/drain CheckEvictionSupport).
        """
        if self._eviction_version is None:
            core = await self._fetch("/api/v1", _ApiResourceList)
            found = [each.version for each in core.resources if each.name == "pods/eviction"]
            newest = "v1" if "v1" in found else "v1beta1"
            self._eviction_version = newest if found else ""
        return self._eviction_version

    async def budget_resource(self) -> Resource[PodDisruptionBudget]:
        """The newest version of PodDisruptionBudgets that the server has."""
        if self._budget_resource is None:
            try:
                await self.connection.send("GET", "/apis/policy/v1")
                self._budget_resource = BUDGETS
            except NotFoundError:
                self._budget_resource = BUDGETS_BETA
        return self._budget_resource

    async def _fetch(
        self, path: str, type_: type[Decoded], query: Mapping[str, str] | None = None
    ) -> Decoded:
        body = await self.connection.send("GET", path, query=query)
        try:
            return _decoder(type_).decode(body)
        except msgspec.DecodeError as error:
            raise MalformedAnswerError(RequestInfo.of("GET", path), error) from error


def _kept(page: ObjectList[T], keep: Callable[[T], bool] | None) -> ObjectList[T]:
    if keep is None:
        return page
    return msgspec.structs.replace(page, items=list(filter(keep, page.items or ())))


def _joined(pages: Sequence[ObjectList[T]]) -> Listing[T]:
    items = [item for page in pages for item in page.items or ()]
    return Listing(items, pages[-1].metadata.resource_version)


@lru_cache(maxsize=64)
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)
