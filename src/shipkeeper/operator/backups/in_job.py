"""Backups that Jobs make: one Job for each attempt, found again by its name, awaited and judged."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from shipkeeper.kube.errors import ConflictError, ForbiddenError
from shipkeeper.kube.resources import Resource
from shipkeeper.kube.writer import Writer
from shipkeeper.model.job import Job, JobPod
from shipkeeper.operator.api.contents import BackupJob
from shipkeeper.operator.backups.job_manifest import JobRequest, job_manifest
from shipkeeper.operator.backups.job_verdict import (
    JobFailedError,
    what_it_waits_for,
    why_it_failed,
)
from shipkeeper.operator.backups.opening import NotReadyError
from shipkeeper.operator.scene import Scene

JOBS = Resource("batch", "v1", "jobs", "Job", Job)
_PODS = Resource("", "v1", "pods", "Pod", JobPod)
_LOOK_EVERY = 3.0  # seconds


async def make_in_job(scene: Scene, request: JobRequest, tell: Callable[[str], None]) -> None:
    """Have the Job of an attempt, made now unless a leader before us did, and wait for its end.

    JobFailedError with the reason if it fails: what it made may be visible all the same.
    """
    with suppress(ConflictError):
        await scene.writer.create(JOBS, job_manifest(request), namespace=request.namespace)
    await _wait(scene, request, tell)


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


async def _wait(scene: Scene, request: JobRequest, tell: Callable[[str], None]) -> None:
    limit = (request.spec.job or BackupJob()).memory_limit
    while True:
        named = f"metadata.name={request.name}"
        found = await scene.reader.list(JOBS, namespace=request.namespace, field_selector=named)
        if not found.items:
            raise JobFailedError(f"Job {request.name} was deleted", reason="JobDeleted")
        job = found.items[0]
        if job.success is not None:
            return
        of_job = f"job-name={request.name}"
        pods = await scene.reader.list(_PODS, namespace=request.namespace, label_selector=of_job)
        if job.failure is not None:
            raise why_it_failed(job, pods.items, limit)
        tell(what_it_waits_for(job, pods.items))
        await asyncio.sleep(_LOOK_EVERY)
