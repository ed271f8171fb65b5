"""Following the objects of a kind through everything that can happen to a connection."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Generic, Self, TypeVar

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.backoff import LONGEST, backoff
from shipkeeper.kube.changes import Change, Deleted, difference, transition
from shipkeeper.kube.errors import (
    ApiError,
    ExpiredError,
    TooManyRequestsError,
    UnreachableError,
)
from shipkeeper.kube.reader import Listing, Reader
from shipkeeper.kube.replica import Replica
from shipkeeper.kube.resources import Resource
from shipkeeper.kube.watch import Bookmark, Event, EventDecoder, Failed, Gone, Seen, watch
from shipkeeper.model.meta import KubeObject

T = TypeVar("T", bound=KubeObject)

_REFUSALS_THAT_LAST = 3
_STEADY_SECONDS = 0.5


class Reflector(Generic[T]):
    """Lists the objects of a kind, then follows their changes for the length of its context.

    Each change is told exactly once and in order, over dropped and silent connections, expired
    revisions and server restarts; only states that came and went between an expired revision and
    the list that replaces it are not told. It never gives up: while it cannot follow it tries
    again, `last_error` says why and `stale_since` when the server was last heard.

    A server that knows less than it did (etcd was restored to an older state) is listed anew, and
    `setbacks` counts it. It would never tell: it skips all changes up to the revision that was
    known before, and what it lost it does not know.
    """

    def __init__(
        self,
        reader: Reader,
        resource: Resource[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        inactivity: timedelta = timedelta(seconds=60),
        longest_pause: timedelta = LONGEST,
        known: Listing[T] | None = None,
    ) -> None:
        """Prepare it; with what is `known` already no list is asked for before something expires.

        A connection that was silent for `inactivity` counts as broken; between two tries to follow
        there is never more than `longest_pause`.
        """
        self.last_error: ShipkeeperError | None = None
        self.stale_since: datetime | None = None
        self.setbacks = 0
        self._reader = reader
        self._resource = resource
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._inactivity = inactivity
        self._longest_pause = longest_pause
        self._known = known
        self._replica: Replica[T] = Replica()
        self._revision = ""
        self._newest = ""
        self._heard_at = datetime.now(UTC)
        self._connected_at = 0.0
        self._failures = 0
        self._refusals = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """List, raising what goes wrong with that, and begin to follow in the background."""
        await self._list()
        self._task = asyncio.create_task(self._follow(), name=f"follow {self._resource.plural}")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop following; raises what a callback raised, unless another error is on its way."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if error is None and not self._task.cancelled():
            self._task.result()

    @property
    def objects(self) -> Mapping[str, T]:
        """What is there now by `namespace/name` or name, read-only; the view stays current."""
        return self._replica.objects

    @property
    def revision(self) -> str:
        """The resourceVersion up to which `objects` are known."""
        return self._revision

    def subscribe(self, callback: Callable[[Change[T]], None]) -> Callable[[], None]:
        """Have each later change told, right after it shows in `objects`; returns what ends that.

        Who subscribes before the context is entered is told of what the first list finds, too. An
        exception of the callback ends the reflector and is raised at the end of its context.
        """
        return self._replica.subscribe(callback)

    async def wait_for(self, predicate: Callable[[Mapping[str, T]], bool]) -> None:
        """Return when the predicate holds on `objects`: it is asked now and after each change.

        Outlasts everything that passes by itself. Raises what the server says when it refuses
        three times in a row (credentials revoked, permission withdrawn), until it serves again.
        """
        await self._replica.wait_for(predicate)

    async def ended(self) -> None:
        """Return when nothing is followed any more: its context ended, or a callback failed."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        while True:
            try:
                # After trouble the server may have come back as something older.
                is_older = self.last_error is not None and await self._is_older()
                if is_older or not self._revision:
                    await self._list()
                await self._watch()
            except ShipkeeperError as error:
                self._failed(error)
            self._failures += 1
            await asyncio.sleep(self._delay().total_seconds())

    async def _list(self) -> None:
        listing, self._known = self._known, None
        if listing is None:
            listing = await self._reader.list(
                self._resource,
                namespace=self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
            )
        self._heard_at = datetime.now(UTC)
        self._heed(listing.resource_version)
        self._replica.apply(difference(self._replica.objects, listing.items))
        self._revision = listing.resource_version

    async def _is_older(self) -> bool:
        """Whether the server knows less now than it told before."""
        revision = await self._reader.revision(
            self._resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        # What it knows more is not told yet: it is no measure for what the watch tells next.
        if not is_older(revision, self._newest):
            return False
        # Should the list fail that has to follow, it has to follow all the same.
        self._revision = ""
        return self._heed(revision)

    def _heed(self, revision: str) -> bool:
        """Note up to which revision the server has told; whether it went back."""
        has_gone_back = is_older(revision, self._newest)
        self.setbacks += has_gone_back
        self._newest = revision
        return has_gone_back

    async def _watch(self) -> None:
        stream = watch(
            self._reader.connection,
            self._resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            revision=self._revision,
            inactivity=self._inactivity,
        )
        decoder = EventDecoder(self._resource)
        async with stream as chunks:
            self._connected()
            try:
                async for chunk in chunks:
                    self._heard_at = datetime.now(UTC)
                    for event in decoder.feed(chunk):
                        self._take(event)
            finally:
                self._disconnected()
        if self._failures:
            raise UnreachableError(
                f"the API server ends every watch of {self._resource.plural} as it begins",
                reason="Unreachable",
                hint="does a proxy or load balancer on the way cut long answers?",
                was_sent=True,
            )

    def _take(self, event: Event[T]) -> None:
        if not isinstance(event, Failed) and self._heed(_revision_of(event)):
            self._revision = ""
            raise ShipkeeperError(
                f"the API server went back to an older state of {self._resource.plural}",
                reason="WentBack",
                hint="was etcd restored?",
            )
        match event:
            case Seen(seen):
                known = self.objects.get(seen.key)
                self._replica.apply(transition(known, seen))
                self._revision = seen.metadata.resource_version
            case Gone(last):
                known = self.objects.get(last.key)
                if known is not None and known.uid == last.uid:
                    self._replica.apply([Deleted(last)])
                self._revision = last.metadata.resource_version
            case Bookmark(revision):
                self._revision = revision
            case Failed(error):
                # Whatever it is, a new list is right after it; after 410 nothing else is.
                self._revision = ""
                raise error
        self._progressed()

    def _connected(self) -> None:
        self._connected_at = asyncio.get_running_loop().time()
        self._heard_at = datetime.now(UTC)
        self.last_error = None
        self.stale_since = None
        self._replica.recover()

    def _disconnected(self) -> None:
        if asyncio.get_running_loop().time() - self._connected_at >= _STEADY_SECONDS:
            self._progressed()

    def _progressed(self) -> None:
        self._failures = 0
        self._refusals = 0

    def _failed(self, error: ShipkeeperError) -> None:
        self.last_error = error
        self.stale_since = self.stale_since or self._heard_at
        if isinstance(error, ExpiredError):
            self._revision = ""
        self._refusals = self._refusals + 1 if _is_refusal(error) else 0
        if self._refusals >= _REFUSALS_THAT_LAST:
            self._replica.fail(error)

    def _delay(self) -> timedelta:
        asked = self.last_error.retry_after if isinstance(self.last_error, ApiError) else None
        return max(backoff(self._failures, longest=self._longest_pause), asked or timedelta(0))

    def _ended(self, task: asyncio.Task[None]) -> None:
        closed = ShipkeeperError(f"{self._resource.plural} are no longer followed", reason="Closed")
        error = None if task.cancelled() else task.exception()
        self._replica.fail(error or closed)


def _revision_of(event: Seen[T] | Gone[T] | Bookmark) -> str:
    return event.revision if isinstance(event, Bookmark) else event.object.metadata.resource_version


def is_older(revision: str, than: str) -> bool:
    """Whether a revision comes before another; not if one of them is no revision of etcd's."""
    return revision.isdecimal() and than.isdecimal() and int(revision) < int(than)


def _is_refusal(error: ShipkeeperError) -> bool:
    """Whether it stays as it is until someone puts something right."""
    if isinstance(error, UnreachableError):
        return error.reason != "Unreachable"
    if isinstance(error, ExpiredError | TooManyRequestsError):
        return False
    return not isinstance(error, ApiError) or error.status.code < 500
