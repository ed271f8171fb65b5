"""Backups that Jobs make: one Job for each attempt, found again by its name, awaited and judged."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from shipkeeper.errors import UsageError
from shipkeeper.kube.errors import ConflictError, ForbiddenError, InvalidError
from shipkeeper.kube.resources import Resource
from shipkeeper.kube.writer import Writer
from shipkeeper.model.job import Job, JobPod
from shipkeeper.operator.api.contents import BackupJob
from shipkeeper.operator.backups.job_manifest import JobRequest, job_manifest
from shipkeeper.operator.backups.job_verdict import (
    HopelessJobError,
    JobFailedError,
    what_it_waits_for,
    why_it_failed,
)
from shipkeeper.operator.backups.opening import NotReadyError
from shipkeeper.operator.backups.visible import Taken, visible
from shipkeeper.operator.scene import Scene
from shipkeeper.store.repository import Repository

JOBS = Resource("batch", "v1", "jobs", "Job", Job)
_PODS = Resource("", "v1", "pods", "Pod", JobPod)
_LOOK_EVERY = 3.0  # seconds


async def taken_in_job(
    scene: Scene, opened: Repository, request: JobRequest, tell: Callable[[str], None]
) -> Taken:
    """Have the Job of an attempt, made now unless it is there, and wait for its end.

    What is visible in the end counts, and not how the Job ended. JobFailedError with the reason if
    it is over and nothing is, ForgottenError if nothing of that name ever will be; after any other
    error it may go on.
    """
    try:
        await _require_job(scene, request)
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


async def require_may_make(scene: Scene, request: JobRequest) -> None:
    """NotReadyError unless that Job could be made; nothing is written, and no attempt counted."""
    if not scene.image:
        raise NotReadyError(
            "the operator does not know of which image it is",
            reason="NoImage",
            hint="its pods know it by $SHIPKEEPER_IMAGE: apply their manifests anew",
        )
    attempt = Writer(scene.steady, dry_run=True)
    try:
        with suppress(ConflictError):
            await attempt.create(JOBS, job_manifest(request), namespace=request.namespace)
    except ForbiddenError as error:
        raise NotReadyError(
            f"the operator may not make Jobs: {error.message}",
            reason="NotPermitted",
            hint="allow it: `operator manifests --allow backup-jobs`, or permissions.backupJobs of "
            "the chart",
        ) from error


async def _require_job(scene: Scene, request: JobRequest) -> None:
    """Make the Job if it is not there; JobFailedError if it is refused, as none goes on then."""
    # One that is there is looked for first: it may fill the quota by which another is refused.
    if await _job(scene, request) is not None:
        return
    try:
        with suppress(ConflictError):
            await scene.writer.create(JOBS, job_manifest(request), namespace=request.namespace)
    except (ForbiddenError, InvalidError, UsageError) as error:
        raise JobFailedError(
            f"Job {request.name} could not be made: {error.message}",
            reason=error.reason,
            hint=error.hint,
        ) from error


async def _job(scene: Scene, request: JobRequest) -> Job | None:
    named = f"metadata.name={request.name}"
    found = await scene.reader.list(JOBS, namespace=request.namespace, field_selector=named)
    return next(iter(found.items), None)


async def _wait(scene: Scene, request: JobRequest, tell: Callable[[str], None]) -> None:
    limit = (request.spec.job or BackupJob()).memory_limit
    while True:
        job = await _job(scene, request)
        if job is None:
            raise JobFailedError(f"Job {request.name} was deleted", reason="JobDeleted")
        if job.success is not None:
            return
        of_job = f"job-name={request.name}"
        pods = await scene.reader.list(_PODS, namespace=request.namespace, label_selector=of_job)
        if job.failure is not None:
            raise why_it_failed(job, pods.items, limit)
        tell(what_it_waits_for(job, pods.items))
        await asyncio.sleep(_LOOK_EVERY)
