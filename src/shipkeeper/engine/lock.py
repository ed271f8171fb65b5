"""The cluster's lock: a Lease that keeps two runs from meeting.

The holder renews it; a holder that stopped renewing is replaced only after its whole duration was
watched to pass without a sign of life, so that wrong clocks cannot make two holders.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from shipkeeper.engine.progress import Note, Sink
from shipkeeper.engine.tenure import (
    LeaseKey,
    LeaseTimes,
    LockLostError,
    Tenure,
    now,
    patch_lease,
)
from shipkeeper.engine.witness import NOBODY, Witness
from shipkeeper.errors import LockHeldError, ShipkeeperError
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import LEASES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.lease import Lease

_USUAL = LeaseTimes()
CLUSTER = LeaseKey()


@contextlib.asynccontextmanager
async def cluster_lock(
    reader: Reader,
    writer: Writer,
    identity: str,
    *,
    is_gone: Callable[[str], bool],
    tell: Sink,
    times: LeaseTimes = _USUAL,
    witness: Witness = NOBODY,
) -> AsyncGenerator[Tenure]:
    """Hold the cluster's lock; the body is cancelled, and LockLostError raised, if it is lost.

    The body must begin no change but on the `Tenure` that is yielded (`SteadyConnection`): while
    the API server is away it goes on, without knowing who holds the lock.

    `identity` is who holds it, in words for the others; `is_gone` tells of another holder whether
    it is known to have died, in which case the lock is taken over at once. Raises LockHeldError.
    """
    lease = await _acquire(reader, writer, identity, is_gone, tell, times, witness)
    async with holding(
        reader, writer, identity, lease, tell=tell, times=times, witness=witness
    ) as tenure:
        yield tenure


@contextlib.asynccontextmanager
async def holding(
    reader: Reader,
    writer: Writer,
    identity: str,
    lease: Lease,
    *,
    tell: Sink,
    times: LeaseTimes = _USUAL,
    witness: Witness = NOBODY,
) -> AsyncGenerator[Tenure]:
    """Hold a Lease that was taken a moment ago, and release it at the end.

    The body is cancelled, and LockLostError raised, if it is lost.
    """
    tenure = Tenure(reader, writer, identity, lease, tell, times, witness)
    body = cast("asyncio.Task[Any]", asyncio.current_task())
    keeper = asyncio.create_task(tenure.keep())

    def end_body(keeper: asyncio.Task[None]) -> None:
        if _lost_in(keeper):
            body.cancel()

    keeper.add_done_callback(end_body)
    try:
        tenure.mark()
        await tenure.marked()
        yield tenure
    except (asyncio.CancelledError, LockLostError):
        if lost := _lost_in(keeper):
            if body.cancelling():
                body.uncancel()
            raise lost from None
        raise
    finally:
        keeper.remove_done_callback(end_body)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        with contextlib.suppress(ShipkeeperError):
            await tenure.release()


def _lost_in(keeper: asyncio.Task[None]) -> BaseException | None:
    return keeper.exception() if keeper.done() and not keeper.cancelled() else None


async def _acquire(
    reader: Reader,
    writer: Writer,
    identity: str,
    is_gone: Callable[[str], bool],
    tell: Sink,
    times: LeaseTimes,
    witness: Witness,
) -> Lease:
    while True:
        # Read before the Lease, so that none is of a later one: another may take it right after.
        marks = witness.marks()
        lease = await read_or_create(reader, writer, CLUSTER)
        holder = lease.spec.holder_identity
        if holder and holder != identity and not is_gone(holder):
            await _watch_it_expire(reader, lease, holder, tell)
        witness.found(lease, marks)
        with contextlib.suppress(ConflictError):
            return await take(writer, lease, identity, times)


async def take(writer: Writer, lease: Lease, identity: str, times: LeaseTimes) -> Lease:
    """Write oneself down as the holder; ConflictError if the Lease is not as it was read."""
    return await patch_lease(writer, lease, _held_by(identity, lease, times))


async def read_or_create(reader: Reader, writer: Writer, key: LeaseKey) -> Lease:
    """A Lease as it is, made if there is none."""
    manifest = {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {},
    }
    try:
        return await reader.get(LEASES, key.name, key.namespace)
    except NotFoundError:
        with contextlib.suppress(ConflictError):
            return await writer.create(LEASES, manifest, namespace=key.namespace)
    return await reader.get(LEASES, key.name, key.namespace)


async def _watch_it_expire(reader: Reader, lease: Lease, holder: str, tell: Sink) -> None:
    """Return once the holder gave no sign of life for its whole duration; else LockHeldError."""
    renewed = lease.spec.renew_time
    duration = timedelta(seconds=lease.spec.lease_duration_seconds or 0)
    if renewed is not None and abs(datetime.now(UTC) - renewed) < duration:
        raise _held(holder, renewed)
    tell(Note(f"waiting {duration.seconds}s to see whether {holder} is still alive"))
    await asyncio.sleep(duration.total_seconds())
    seen = await reader.get(LEASES, lease.name, lease.namespace)
    if seen.metadata.resource_version != lease.metadata.resource_version:
        raise _held(holder, seen.spec.renew_time)


def _held_by(identity: str, lease: Lease, times: LeaseTimes) -> dict[str, Any]:
    since = now()
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": math.ceil(times.duration.total_seconds()),
        "acquireTime": since,
        "renewTime": since,
        "leaseTransitions": (lease.spec.lease_transitions or 0) + 1,
    }


def _held(holder: str, renewed: datetime | None) -> LockHeldError:
    since = f", last seen {renewed:%T}Z" if renewed else ""
    return LockHeldError(
        f"another run holds this cluster's lock: {holder}{since}",
        reason="LockHeld",
        hint="wait for it to end; see it with: "
        f"kubectl -n {CLUSTER.namespace} get lease {CLUSTER.name} -o yaml",
    )
