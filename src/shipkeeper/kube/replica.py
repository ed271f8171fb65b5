"""Objects as they are known here, and everyone who wants to hear of their changes."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from shipkeeper.kube.changes import Change, Deleted
from shipkeeper.model.meta import KubeObject

T = TypeVar("T", bound=KubeObject)


class Replica(Generic[T]):
    """A local copy of objects; `objects` is its read-only, always current view by key."""

    def __init__(self) -> None:
        self._objects: dict[str, T] = {}
        self.objects: Mapping[str, T] = MappingProxyType(self._objects)
        self._failure: BaseException | None = None
        self._callbacks: dict[object, Callable[[Change[T]], None]] = {}
        self._waiting: dict[asyncio.Future[None], Callable[[Mapping[str, T]], bool]] = {}

    def apply(self, changes: Iterable[Change[T]]) -> None:
        """Carry out changes one by one; each is told before the next is carried out."""
        for change in changes:
            if isinstance(change, Deleted):
                del self._objects[change.object.key]
            else:
                self._objects[change.object.key] = change.object
            for callback in tuple(self._callbacks.values()):
                callback(change)
            self._wake()

    def subscribe(self, callback: Callable[[Change[T]], None]) -> Callable[[], None]:
        """Have later changes told; the function returned ends that."""
        token = object()
        self._callbacks[token] = callback

        def unsubscribe() -> None:
            self._callbacks.pop(token, None)

        return unsubscribe

    async def wait_for(self, predicate: Callable[[Mapping[str, T]], bool]) -> None:
        """Return when the predicate holds, now or after a change; raise what `fail` was given."""
        if predicate(self.objects):
            return
        if self._failure is not None:
            raise self._failure
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[waiting] = predicate
        try:
            await waiting
        finally:
            del self._waiting[waiting]

    def fail(self, error: BaseException) -> None:
        """Let everyone who waits, now or later, know that no change will come."""
        self._failure = error
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(error)

    def recover(self) -> None:
        """Take back a failure: changes come again."""
        self._failure = None

    def _wake(self) -> None:
        for waiting, predicate in self._waiting.items():
            if waiting.done():
                continue
            try:
                holds = predicate(self.objects)
            except Exception as error:
                waiting.set_exception(error)
            else:
                if holds:
                    waiting.set_result(None)
