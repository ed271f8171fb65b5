"""A controller: follows the objects of one kind, and has each reconciled whenever it may matter."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Protocol, Self

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.measures import Measures
from shipkeeper.operator.queue import WorkQueue

# Of each kind. All kinds share one processor: with more workers none is done sooner, and each
# reconcile takes longer.
_WORKERS = 2

Complain = Callable[[str, ShipkeeperError], None]


class Reconciler(Protocol):
    """Brings the world, and an object's status, closer to what the object asks for."""

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look at an object, None once it is gone; when to look again in any case."""
        ...

    async def stop(self) -> None:
        """Stop what goes on beside, where it is."""
        ...


class Controller:
    """Has the objects of one kind reconciled for the length of its context."""

    def __init__(
        self,
        kind: Kind[Any],
        reader: Reader,
        queue: WorkQueue,
        measures: Measures,
        complain: Complain,
        name: str = "",
    ) -> None:
        """Prepare it; of all objects, or of the one that has a `name`."""
        self.kind = kind
        self.queue = queue
        only = f"metadata.name={name}" if name else ""
        self.following = Reflector(reader, kind.resource, field_selector=only)
        self._measures = measures
        self._complain = complain
        self._stack = AsyncExitStack()
        self._workers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """List the objects, and begin to follow them."""
        self.following.subscribe(lambda change: self.queue.add(change.object.key))
        await self._stack.enter_async_context(self.following)
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Stop following."""
        await self._stack.aclose()

    def look_at_all(self, which: Callable[[CustomObject], bool] = lambda _: True) -> None:
        """Have every object looked at soon, or those that a test chooses."""
        for key, found in self.following.objects.items():
            if which(found):
                self.queue.add(key)

    async def work(self, reconciler: Reconciler) -> None:
        """Reconcile until cancelled; then stop what goes on beside."""
        self._workers = [asyncio.create_task(self._work(reconciler)) for _ in range(_WORKERS)]
        try:
            await asyncio.gather(*self._workers)
        finally:
            self.queue.close()
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            await reconciler.stop()

    async def _work(self, reconciler: Reconciler) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._reconcile(reconciler, key)
            finally:
                self.queue.done(key)
                self._measures.depth(self.kind.kind, self.queue.depth)

    async def _reconcile(self, reconciler: Reconciler, key: str) -> None:
        with self._measures.reconciling(self.kind.kind) as measure:
            try:
                again = await reconciler.reconcile(key, self.following.objects.get(key))
            except (ConflictError, NotFoundError):
                # The object is not what we saw any more; its change is on its way to us.
                self.queue.retry(key)
                return
            except ShipkeeperError as error:
                measure.fail(error.reason)
                self._complain(f"{self.kind.kind} {key}", error)
                self.queue.retry(key)
                return
        self.queue.succeeded(key)
        if again is not None:
            self.queue.add_after(key, again)
