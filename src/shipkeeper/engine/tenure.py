"""The cluster's lock while a run holds it: renewed, and known to be held or not.

When the API server is away (its only node reboots) nobody can renew, and nobody can take over. The
run then waits instead of ending: it changes nothing from the moment on at which another *might*
hold the lock, and goes on once a renewal shows that none did.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shipkeeper.engine.progress import Note, Sink
from shipkeeper.engine.witness import NOBODY, Witness
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
)
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import is_older
from shipkeeper.kube.resources import LEASES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.lease import Lease

NAMESPACE = "kube-system"
NAME = "shipkeeper"
_REFUSALS = (ForbiddenError, UnauthorizedError)


class LockLostError(ShipkeeperError):
    """The lock could not be kept; the run stopped where it was."""


class HistoryLostError(LockLostError):
    """The API server went back to an older state: nothing that is known of the cluster holds."""


class LeaseKey(msgspec.Struct, frozen=True, kw_only=True):
    """Which Lease is held; by itself the cluster's lock."""

    namespace: str = NAMESPACE
    name: str = NAME


class LeaseTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long a renewal lasts, how often it is done, and how long one may fail.

    `patience` is for an API server that is away, `refused` for one that is there and does not let
    us: while it starts it knows no permissions yet.
    """

    duration: timedelta = timedelta(seconds=15)
    renew_every: timedelta = timedelta(seconds=5)
    again_after: timedelta = timedelta(seconds=1)
    patience: timedelta = timedelta(minutes=10)
    refused: timedelta = timedelta(minutes=1)

    @property
    def firm(self) -> float:
        """The seconds after a renewal in which a change may be begun."""
        return (self.duration - self.renew_every).total_seconds()


class Tenure:
    """The lock while it is held; made right after its Lease was taken."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        identity: str,
        lease: Lease,
        tell: Sink,
        times: LeaseTimes,
        witness: Witness = NOBODY,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._identity = identity
        self._lease = lease
        self._tell = tell
        self._times = times
        self._witness = witness
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._renewed_at = self._clock()
        self._is_wanted = asyncio.Event()
        self._renewed = asyncio.Condition()
        self._is_away = False
        self._refused_at: float | None = None
        self._lost: LockLostError | None = None
        self._has_gone_back = False
        self._unmarked: Lease | None = None
        self._marking: asyncio.Task[None] | None = None
        self.follows_setback = False
        """Whether the API server went back to an older state while it was waited for."""

    @property
    def is_firm(self) -> bool:
        """Whether nobody else can hold the lock before a change that is begun now is done."""
        return self._lost is None and self._clock() - self._renewed_at < self._times.firm

    async def firm(self) -> None:
        """Return as soon as a change may be begun; LockLostError once none may be any more."""
        while not self.is_firm:
            await self.proven()

    async def proven(self) -> None:
        """Renew now; return once a renewal succeeded that was begun after this was called.

        LockLostError once none will: whoever clears up must not wait for what never comes.
        """
        asked_at = self._clock()
        self._is_wanted.set()
        async with self._renewed:
            await self._renewed.wait_for(
                lambda: self._lost is not None or self._renewed_at >= asked_at
            )
        if self._lost is not None:
            raise self._lost

    async def keep(self) -> None:
        """Renew until cancelled; LockLostError when somebody took it, or it fails for too long."""
        try:
            await self._keep()
        except LockLostError as error:
            async with self._renewed:
                self._lost = error
                self._renewed.notify_all()
            raise

    async def _keep(self) -> None:
        every = self._times.renew_every.total_seconds()
        pause = every
        while True:
            await self._until_due(pause)
            began = self._clock()
            try:
                async with asyncio.timeout(every):
                    await self._renew()
            except LockLostError:
                raise
            except (ShipkeeperError, TimeoutError) as error:
                self._failed(error)
                pause = min(every, self._times.again_after.total_seconds())
            else:
                await self._succeeded(began)
                pause = every

    async def _until_due(self, pause: float) -> None:
        """Wait for the next renewal; one that is asked for comes at once, but after a failure."""
        if self._is_away:
            await asyncio.sleep(pause)
        else:
            # The pause running out is the usual case: the next renewal is due.
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._is_wanted.wait()
        self._is_wanted.clear()

    async def _renew(self) -> None:
        try:
            self._lease = await self._patch({"renewTime": now()})
        except ConflictError as error:
            # A renewal whose answer was lost conflicts with itself; only another holder is a loss,
            # or an older state: nobody but us renews it, so that it tells of every restore.
            known, self._lease = self._lease, await self._read()
            if is_older(self._lease.metadata.resource_version, known.metadata.resource_version):
                self._has_gone_back = True
                raise _went_back() from error
            if self._lease.spec.holder_identity != self._identity:
                raise _lost(f"{self._lease.spec.holder_identity or 'another'} took it") from error
            self._lease = await self._patch({"renewTime": now()})
        except NotFoundError as error:
            raise _gone() from error

    def mark(self) -> None:
        """Have the witness remember the Lease as it is now, without waiting for that.

        What remembers it may be slow, and a renewal that waits for it would come too late.
        """
        self._unmarked = self._lease
        if self._marking is None or self._marking.done():
            self._marking = asyncio.create_task(self._mark())

    async def _mark(self) -> None:
        while (lease := self._unmarked) is not None:
            self._unmarked = None
            await self._witness.kept(lease)

    async def marked(self) -> None:
        """Return once the witness remembers all that it was to; a cancellation leaves it to it."""
        if self._marking is not None:
            await asyncio.wait([self._marking])

    async def _succeeded(self, began: float) -> None:
        if self._is_away:
            away = self._clock() - self._renewed_at
            self._tell(Note(f"the API server serves again after {away:.0f}s; going on"))
        self._is_away, self._refused_at = False, None
        self.mark()
        async with self._renewed:
            self._renewed_at = began
            self._renewed.notify_all()

    def _failed(self, error: ShipkeeperError | TimeoutError) -> None:
        why = str(error) or "no answer in time"
        if self._has_lasted_too_long(is_refused=isinstance(error, _REFUSALS)):
            overdue = self._clock() - self._renewed_at
            raise _lost(f"it could not be renewed for {overdue:.0f}s ({why})") from error
        if not self._is_away:
            text = f"the lock cannot be renewed ({why}); waiting until the API server serves again"
            self._tell(Note(text, is_warning=True))
        self._is_away = True

    def _has_lasted_too_long(self, *, is_refused: bool) -> bool:
        now = self._clock()
        self._refused_at = (self._refused_at or now) if is_refused else None
        if self._refused_at and now - self._refused_at > self._times.refused.total_seconds():
            return True
        return now - self._renewed_at > self._times.patience.total_seconds()

    async def release(self) -> None:
        """Let the next run in at once; ShipkeeperError if that fails: it runs out by itself."""
        await self.marked()
        if self._has_gone_back:
            # The release makes the Lease look younger. Who cannot remember leaves it as it is: the
            # next to take it finds it older.
            self._witness.found(self._lease, self._witness.marks())
        if self._lease.spec.holder_identity != self._identity:
            # It was taken, and is not ours to give away.
            return
        nobody = {"holderIdentity": None, "renewTime": None, "acquireTime": None}
        try:
            await self._patch(nobody)
        except ConflictError:
            # A renewal that was cancelled may have been carried out all the same.
            self._lease = await self._read()
            if self._lease.spec.holder_identity == self._identity:
                await self._patch(nobody)

    async def _read(self) -> Lease:
        return await self._reader.get(LEASES, self._lease.name, self._lease.namespace)

    async def _patch(self, spec: dict[str, Any]) -> Lease:
        return await patch_lease(self._writer, self._lease, spec)


async def patch_lease(writer: Writer, lease: Lease, spec: dict[str, Any]) -> Lease:
    """Change a Lease that must be as it was read; ConflictError if it is not."""
    metadata = {"resourceVersion": lease.metadata.resource_version}
    return await writer.patch(
        LEASES, lease.name, {"metadata": metadata, "spec": spec}, namespace=lease.namespace
    )


def now() -> str:
    """The time as a Lease has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _lost(why: str) -> LockLostError:
    return LockLostError(
        f"this run lost the cluster's lock: {why}; it stopped where it was",
        reason="LockLost",
        hint="run the same command again to go on",
    )


def _gone() -> LockLostError:
    return LockLostError(
        "this run lost the cluster's lock: its Lease is gone, because it was deleted or etcd was "
        "restored to a state from before it; the run stopped where it was",
        reason="LeaseGone",
        hint="what was done may be undone: look at the nodes, give this run up with: shipkeeper "
        "abort RUN, and begin anew",
    )


def _went_back() -> HistoryLostError:
    return HistoryLostError(
        "the API server went back to an older state: etcd was restored; this run stopped where it "
        "was, as what it knows does not hold any more",
        reason="WentBack",
        hint="what was done may be undone: look at the nodes, give this run up with: shipkeeper "
        "abort RUN, and begin anew",
    )
