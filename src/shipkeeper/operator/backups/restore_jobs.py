"""Reconciling Restores that are carried out by Jobs: one Job at a time does whatever is next.

A Job plans, or goes on by the journal, or takes back, and tells in the Restore's status how that
stands (`restore_process`). Here it is only seen to that there is one while there is anything to do.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.kube.errors import ApiError, ConflictError, InvalidError, NotFoundError
from shipkeeper.operator.api.contents import JobLimits
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.restores import RESTORE, RestoreSpec, RestoreStatus
from shipkeeper.operator.backups.grants import RESTORE_JOBS
from shipkeeper.operator.backups.job_manifest import Manifest, require_store
from shipkeeper.operator.backups.job_verdict import (
    HopelessJobError,
    JobFailedError,
    Remedies,
    deleted,
    what_it_waits_for,
    why_it_failed,
)
from shipkeeper.operator.backups.jobs import find_job, pods_of, require_job, require_may_make
from shipkeeper.operator.backups.opening import NotReadyError, spec_named
from shipkeeper.operator.backups.restore_job import name_of, restore_job
from shipkeeper.operator.backups.restore_job_standing import (
    begun,
    failed,
    is_in_job,
    is_untouched,
    left,
    needs_nobody,
    pause,
    verdict,
    waits,
)
from shipkeeper.operator.backups.restoring import RestoreReconciler
from shipkeeper.operator.backups.standing import pause_after
from shipkeeper.operator.pace import Pace
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import (
    FINALIZER,
    claim_status,
    heed,
    let_go,
    stuck,
    tell_event,
)
from shipkeeper.operator.told import explained

_KIND = RESTORE
_LOOK_EVERY = timedelta(seconds=3)
_LOOK_AGAIN = timedelta(minutes=1)
_REMEDIES = Remedies(
    memory="set a higher spec.job.memoryLimit: the next Job goes on where this one stopped",
    time="set a longer spec.job.timeLimit: the next Job goes on where this one stopped",
    eviction="the next Job goes on where this one stopped",
)


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A Restore as it was seen; `spec` is None if it makes no sense."""

    found: CustomObject
    spec: RestoreSpec | None
    status: RestoreStatus

    @property
    def is_deleted(self) -> bool:
        return self.found.metadata.deletion_timestamp is not None

    @property
    def generation(self) -> int:
        return self.found.metadata.generation

    @property
    def limits(self) -> JobLimits:
        return (self.spec.job if self.spec else None) or JobLimits()


class RestoreJobReconciler:
    """Reconciles Restores that are in Jobs; those that are not are handed to `here`."""

    def __init__(
        self, scene: Scene, here: RestoreReconciler, repositories: Mapping[str, CustomObject]
    ) -> None:
        self._scene = scene
        self._here = here
        self._repositories = repositories
        # The Job that was there, and the last look at it, by the Restore's key.
        self._jobs: dict[str, str] = {}
        self._pace = Pace(_LOOK_EVERY)

    async def stop(self) -> None:
        """Stop what is carried out here; Jobs go on."""
        await self._here.stop()

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look at a restore, and see to it that a Job does what is next."""
        seen = _read(found) if found is not None else None
        if seen is None:
            self._forget(key)
        if seen is None or not is_in_job(seen.spec, seen.status):
            return await self._here.reconcile(key, found)
        await self._here.note(seen.found)
        if _is_over(seen):
            self._forget(key)
            writer, told = self._scene.writer, seen.status.observed_generation
            if not seen.is_deleted and await heed(writer, _KIND, seen.found, told):
                return None  # That change brings it here again.
            await let_go(writer, _KIND, seen.found)
            return None
        if seen.status.job:
            return await self._look(seen)
        is_at_rest = needs_nobody(seen.status, seen.generation) and not seen.is_deleted
        # What a Job refused has its time for another look; what awaits its approval has none.
        if is_at_rest and seen.status.retry_at is None:
            return None
        wait = pause(seen.status, seen.generation, datetime.now(UTC))
        return wait if wait is None or wait else await self._begin(seen)

    async def _begin(self, seen: _Seen) -> timedelta:
        """Write down that there is to be a Job; it is made once that is on record."""
        name = name_of(seen.found, seen.status.attempts + 1)
        try:
            if not seen.is_deleted:
                self._require_ready(seen)
            await require_may_make(self._scene, self._manifest(seen, name), RESTORE_JOBS)
        except (NotReadyError, UsageError, InvalidError) as error:
            return await self._fail(seen, seen.generation, error, _LOOK_AGAIN)
        now = datetime.now(UTC)
        status = begun(seen.status, seen.generation, name, now, is_deleted=seen.is_deleted)
        await claim_status(self._scene.writer, _KIND, seen.found, status)
        self._forget(seen.found.key)
        return timedelta(0)

    def _require_ready(self, seen: _Seen) -> None:
        """NotReadyError or UsageError if a Job could do nothing, as things are."""
        if seen.spec is None:
            raise UsageError("its spec makes no sense", reason="Malformed", hint="mend spec")
        require_store(spec_named(self._repositories, seen.spec.repository).url)

    async def _look(self, seen: _Seen) -> timedelta:
        """Look what becomes of the Job that is on record, which is made unless it is there."""
        if wait := self._pace.begin(seen.found.key, asyncio.get_running_loop().time()):
            return wait
        try:
            status = await self._judge(seen)
        except JobFailedError as failure:
            error = verdict(failure, seen.status)
            is_hopeless = isinstance(error, HopelessJobError)
            again = None if is_hopeless else pause_after(seen.status.attempts)
            return await self._fail(seen, seen.status.job_generation, error, again)
        except (ConflictError, NotFoundError):
            raise
        except ApiError as error:
            # Perhaps it was made, or goes on: it is looked for again, and made unless it is there.
            name = seen.status.job
            why = f"Job {name} cannot be made or looked at yet: {explained(error)}"
            status = waits(seen.status, name, _told(seen, why))
        if status != seen.status:
            await claim_status(self._scene.writer, _KIND, seen.found, status)
        return _LOOK_EVERY

    async def _judge(self, seen: _Seen) -> RestoreStatus:
        """How the Restore stands by its Job; JobFailedError if that one failed."""
        key, name, namespace = seen.found.key, seen.status.job, self._scene.namespace
        job = await find_job(self._scene, name, namespace)
        if job is None:
            if self._jobs.get(key) == name:
                raise deleted(name)
            await require_job(self._scene, self._manifest(seen, name))
            self._jobs[key] = name
            return seen.status
        self._jobs[key] = name
        if job.success is not None:
            return left(seen.status, datetime.now(UTC))
        pods = await pods_of(self._scene, job)
        if job.failure is not None:
            raise why_it_failed(job, pods, seen.limits.memory_limit, _REMEDIES)
        return waits(seen.status, name, what_it_waits_for(job, pods))

    async def _fail(
        self, seen: _Seen, generation: int, error: ShipkeeperError, again: timedelta | None
    ) -> timedelta:
        """A Job failed, or cannot be begun: say why, and when the next one is."""
        message = _told(seen, explained(error))
        now = datetime.now(UTC)
        is_deleted = seen.is_deleted
        status = failed(seen.status, generation, error, message, now, again, is_deleted=is_deleted)
        await claim_status(self._scene.writer, _KIND, seen.found, status)
        if message != seen.status.message:
            self._scene.say(f"Restore {seen.found.name}: {error.reason}: {message}")
            writer = self._scene.writer
            await tell_event(writer, _KIND, seen.found, error.reason, message, is_warning=True)
        return again or _LOOK_AGAIN

    def _forget(self, key: str) -> None:
        """Nothing more is known of a Restore's Job."""
        self._jobs.pop(key, None)
        self._pace.forget(key)

    def _manifest(self, seen: _Seen, name: str) -> Manifest:
        scene = self._scene
        return restore_job(seen.found, name, seen.limits, scene.namespace, scene.image)


def _read(found: CustomObject) -> _Seen:
    status = msgspec.json.decode(found.status, type=RestoreStatus)
    try:
        spec = _KIND.read(found)
    except msgspec.DecodeError:
        spec = None
    return _Seen(found=found, spec=spec, status=status)


def _told(seen: _Seen, why: str) -> str:
    """Why no Job goes on; of one that is deleted also how it is let go of without any."""
    if not seen.is_deleted:
        return why
    first = "webhooks that it may have quieted are put back by the next restore"
    return stuck(_KIND, seen.found, why, first)


def _is_over(seen: _Seen) -> bool:
    """Whether nothing more comes of it."""
    if seen.status.finished_at is not None:
        return True
    is_held = FINALIZER in seen.found.metadata.finalizers
    return seen.is_deleted and (not is_held or is_untouched(seen.spec, seen.status))
