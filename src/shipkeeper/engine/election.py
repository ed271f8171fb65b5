"""Leading, of several processes that could: one holds a Lease, the others stand by.

Who stands by takes over once the Lease stood unchanged for its whole duration by its own clock, so
that wrong clocks cannot make two leaders; a leader that ends in order is followed at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from shipkeeper.engine.lock import holding, read_or_create, take
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.engine.tenure import LeaseKey, LeaseTimes, Tenure
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import LEASES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.lease import Lease

_AGAIN = 0.2  # seconds


@contextlib.asynccontextmanager
async def leading(
    reader: Reader,
    writer: Writer,
    key: LeaseKey,
    identity: str,
    *,
    tell: Sink,
    times: LeaseTimes,
) -> AsyncGenerator[Tenure]:
    """Stand by until nobody leads, then lead; as with the cluster's lock, LockLostError ends it."""
    lease, follows_setback = await _win(reader, writer, key, identity, tell, times)
    async with holding(reader, writer, identity, lease, tell=tell, times=times) as tenure:
        tenure.follows_setback = follows_setback
        yield tenure


async def _win(
    reader: Reader, writer: Writer, key: LeaseKey, identity: str, tell: Sink, times: LeaseTimes
) -> tuple[Lease, bool]:
    """The Lease once it is taken, and whether the API server went back meanwhile."""
    setbacks = 0
    while True:
        await read_or_create(reader, writer, key)
        following = Reflector(
            reader, LEASES, namespace=key.namespace, field_selector=f"metadata.name={key.name}"
        )
        candidate = _Candidate(following, f"{key.namespace}/{key.name}", tell)
        async with following:
            lease = await candidate.free()
            setbacks += following.setbacks
        # If it is gone it is made anew; if somebody was faster, or our watch knew it wrongly, we
        # look anew, too.
        with contextlib.suppress(ConflictError, NotFoundError):
            if lease is not None:
                return await take(writer, lease, identity, times), setbacks > 0
        await asyncio.sleep(_AGAIN)


class _Candidate:
    """Watches a Lease, and how long it stands unchanged."""

    def __init__(self, leases: Reflector[Lease], key: str, tell: Sink) -> None:
        self._leases = leases
        self._key = key
        self._tell = tell
        self._clock = asyncio.get_running_loop().time
        self._changed = asyncio.Event()
        self._seen = ""
        self._seen_at = 0.0
        self._told = ""
        leases.subscribe(lambda _: self._changed.set())

    async def free(self) -> Lease | None:
        """Return the Lease once nobody holds it, or its holder is known to have gone.

        None if it is gone: a state of the cluster that is older than it may have been restored.
        """
        while True:
            self._changed.clear()
            lease = self._leases.objects.get(self._key)
            if lease is None:
                return None
            left = self._left(lease)
            if left <= 0:
                return lease
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    def _left(self, lease: Lease) -> float:
        """How many seconds its holder has to show a sign of life."""
        holder = lease.spec.holder_identity
        if not holder:
            return 0
        if lease.metadata.resource_version != self._seen:
            self._seen, self._seen_at = lease.metadata.resource_version, self._clock()
        if holder != self._told:
            self._told = holder
            self._tell(Note(f"standing by: {holder} leads"))
        return self._seen_at + (lease.spec.lease_duration_seconds or 0) - self._clock()
