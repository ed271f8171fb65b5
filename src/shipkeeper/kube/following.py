"""Reading objects from watches over all of their kind, instead of asking for them again."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import UnreachableError
from shipkeeper.kube.reader import Listing, Reader
from shipkeeper.kube.reflector import Reflector, is_older
from shipkeeper.kube.resources import Resource
from shipkeeper.kube.writer import MERGE_PATCH, Writer
from shipkeeper.model.meta import KubeObject

T = TypeVar("T", bound=KubeObject)

_TRY_AGAIN_SECONDS = 1.0


class FollowingReader(Reader):
    """A reader that knows the objects of one kind: the newest of what is watched and noted.

    It asks for what it does not know, and for everything while the watch is known to be broken.
    What is gone for less than the watch's delay may still be answered. Lists that may be of a
    moment ago are answered for the kinds of `answer_lists`.
    """

    def __init__(self, connection: Requests, followed: Reflector[Any], kind: Resource[Any]) -> None:
        super().__init__(connection)
        self.kind = kind
        self.followed = followed
        # Beside each how often the server had gone back: what was noted before that is no more.
        self._noted: dict[str, tuple[int, KubeObject]] = {}
        self._listed: tuple[tuple[Resource[Any], Reflector[Any]], ...] = ()

    def answer_lists(self, kind: Resource[T], followed: Reflector[T]) -> None:
        """Answer lists `at_hand` of all objects of a kind from a watch over them."""
        self._listed += ((kind, followed),)

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
        """Every object that the selectors match; see `Reader.list`."""
        if at_hand and not (namespace or label_selector or field_selector):
            for kind, followed in self._listed:
                if kind is resource and followed.stale_since is None:
                    found = [each for each in followed.objects.values() if not keep or keep(each)]
                    return Listing(found, followed.revision)
        return await super().list(
            resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            at_hand=at_hand,
            keep=keep,
        )

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        """One object; NotFoundError when there is none of that name."""
        if resource is not self.kind:
            return await super().get(resource, name, namespace)
        known = self._known(f"{namespace}/{name}" if namespace else name)
        if known is None or self.followed.stale_since is not None:
            return await super().get(resource, name, namespace)
        return known

    def note(self, seen: KubeObject) -> None:
        """Take in an object as the server answered it: what is read later is not older."""
        self._noted[seen.key] = (self.followed.setbacks, seen)

    def _known(self, key: str) -> Any:
        watched = self.followed.objects.get(key)
        setbacks, noted = self._noted.get(key, (0, None))
        if watched is None or noted is None:
            return watched
        is_current = setbacks == self.followed.setbacks and not self._is_past(noted)
        if is_current and watched.uid == noted.uid and _revision(watched) < _revision(noted):
            return noted
        del self._noted[key]
        return watched

    def _is_past(self, noted: KubeObject) -> bool:
        """Whether the watch knows what came after: a restore with bumped revisions took it back."""
        return is_older(noted.metadata.resource_version, self.followed.revision)


async def wait_for_object(
    reader: Reader, resource: Resource[T], name: str, predicate: Callable[[T], bool]
) -> None:
    """Return when an object is as wanted, however long it, or the API server, is away meanwhile."""

    def holds(found: Mapping[str, T]) -> bool:
        return name in found and predicate(found[name])

    if isinstance(reader, FollowingReader) and reader.kind is resource:
        return await reader.followed.wait_for(holds)
    while True:
        try:
            async with Reflector(reader, resource, field_selector=f"metadata.name={name}") as found:
                return await found.wait_for(holds)
        except UnreachableError:
            await asyncio.sleep(_TRY_AGAIN_SECONDS)


class NotingWriter(Writer):
    """A writer that lets a reader know what became of what it changed."""

    def __init__(self, connection: Requests, reader: FollowingReader) -> None:
        super().__init__(connection)
        self._reader = reader

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        patch: dict[str, Any] | list[dict[str, Any]],
        *,
        namespace: str = "",
        subresource: str = "",
        content_type: str = MERGE_PATCH,
    ) -> T:
        """Change the fields that the patch names and return the object as it is then."""
        answer = await super().patch(
            resource,
            name,
            patch,
            namespace=namespace,
            subresource=subresource,
            content_type=content_type,
        )
        if resource is self._reader.kind:
            self._reader.note(answer)
        return answer


def _revision(found: KubeObject) -> int:
    """Revisions of one kind can be compared (KEP-5504); etcd's always could."""
    return int(found.metadata.resource_version)
