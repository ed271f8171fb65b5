"""Backups that Jobs make: one Job for each attempt, found again by its name, awaited and judged."""

import asyncio
from collections.abc import Callable

from shipkeeper.operator.backups.backup_job import JobRequest, backup_job
from shipkeeper.operator.backups.job_verdict import (
    HopelessJobError,
    JobFailedError,
    Remedies,
    deleted,
    what_it_waits_for,
    why_it_failed,
)
from shipkeeper.operator.backups.jobs import find_job, pods_of, require_job
from shipkeeper.operator.backups.visible import Taken, visible
from shipkeeper.operator.scene import Scene
from shipkeeper.store.repository import Repository

_LOOK_EVERY = 3.0  # seconds
_REMEDIES = Remedies(
    memory="create another Backup with a higher spec.job.memoryLimit",
    time="create another Backup with a longer spec.job.timeLimit, or of less",
    eviction="it is tried again, if retries are left",
)


async def taken_in_job(
    scene: Scene, opened: Repository, request: JobRequest, tell: Callable[[str], None]
) -> Taken:
    """Have the Job of an attempt, made now unless it is there, and wait for its end.

    What is visible in the end counts, and not how the Job ended. JobFailedError with the reason if
    it is over and nothing is, ForgottenError if nothing of that name ever will be; after any other
    error it may go on.
    """
    try:
        await require_job(scene, backup_job(request))
        await _wait(scene, request, tell)
    except JobFailedError as error:
        if known := await visible(opened, request.id):
            return known
        if not isinstance(error, HopelessJobError):
            await opened.require_not_forgotten(request.id)
        raise
    if known := await visible(opened, request.id):
        return known
    raise JobFailedError(
        f"Job {request.name} succeeded, and its backup is not there", reason="NotVisible"
    )


async def _wait(scene: Scene, request: JobRequest, tell: Callable[[str], None]) -> None:
    limits, namespace = request.limits, request.namespace
    while True:
        job = await find_job(scene, request.name, namespace)
        if job is None:
            raise deleted(request.name)
        if job.success is not None:
            return
        pods = await pods_of(scene, job)
        if job.failure is not None:
            raise why_it_failed(job, pods, limits.memory_limit, _REMEDIES)
        tell(what_it_waits_for(job, pods))
        await asyncio.sleep(_LOOK_EVERY)
