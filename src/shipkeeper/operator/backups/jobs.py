"""Jobs beside the operator: found by their names, made once, and their pods."""

from collections.abc import Sequence
from contextlib import suppress

from shipkeeper.errors import UsageError
from shipkeeper.kube.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from shipkeeper.kube.resources import Resource
from shipkeeper.kube.writer import Writer
from shipkeeper.model.job import Job, JobPod
from shipkeeper.operator.backups.job_manifest import Manifest
from shipkeeper.operator.backups.job_verdict import JobFailedError
from shipkeeper.operator.backups.opening import NotReadyError
from shipkeeper.operator.scene import Scene

JOBS = Resource("batch", "v1", "jobs", "Job", Job)
_PODS = Resource("", "v1", "pods", "Pod", JobPod)


async def find_job(scene: Scene, name: str, namespace: str) -> Job | None:
    """The Job of a name; None if there is none."""
    named = f"metadata.name={name}"
    found = await scene.reader.list(JOBS, namespace=namespace, field_selector=named)
    return next(iter(found.items), None)


async def pods_of(scene: Scene, job: Job) -> Sequence[JobPod]:
    """The pods of a Job."""
    of_job = f"job-name={job.name}"
    namespace = job.metadata.namespace
    return (await scene.reader.list(_PODS, namespace=namespace, label_selector=of_job)).items


async def require_may_make(scene: Scene, manifest: Manifest, allowing: str) -> None:
    """NotReadyError unless that Job could be made; nothing is written, and no attempt counted.

    `allowing` is the extra permission that it takes, as `operator manifests --allow` calls it.
    """
    if not scene.image:
        raise NotReadyError(
            "the operator does not know of which image it is",
            reason="NoImage",
            hint="its pods know it by $SHIPKEEPER_IMAGE: apply their manifests anew",
        )
    attempt = Writer(scene.steady, dry_run=True)
    try:
        with suppress(ConflictError):
            await attempt.create(JOBS, manifest, namespace=manifest["metadata"]["namespace"])
    except (NotFoundError, InvalidError):
        raise
    except ApiError as error:
        # A webhook that cannot be asked without effect will be asked by the Job itself.
        if "does not support dry run" not in error.status.message:
            raise _not_ready(error, allowing) from error


def _not_ready(error: ApiError, allowing: str) -> NotReadyError:
    """Why no Job can be made as things are."""
    if not _is_of_permission(error):
        return NotReadyError(f"no Job can be made: {_refusal(error)}", reason="JobRefused")
    first, *rest = allowing.split("-")
    value = first + "".join(each.capitalize() for each in rest)
    return NotReadyError(
        f"the operator may not make Jobs: {error.message}",
        reason="NotPermitted",
        hint=f"allow it: `operator manifests --allow {allowing}`, or permissions.{value} of "
        "the chart",
    )


async def require_job(scene: Scene, manifest: Manifest) -> None:
    """Make the Job if it is not there; JobFailedError if it is refused, as none goes on then."""
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    # One that is there is looked for first: it may fill the quota by which another is refused.
    if await find_job(scene, name, namespace) is not None:
        return
    try:
        with suppress(ConflictError):
            await scene.writer.create(JOBS, manifest, namespace=namespace)
    except ForbiddenError as error:
        raise JobFailedError(
            f"Job {name} could not be made: {_refusal(error)}",
            reason=error.reason,
            hint=error.hint if _is_of_permission(error) else "",
        ) from error
    except (InvalidError, UsageError) as error:
        raise JobFailedError(
            f"Job {name} could not be made: {error.message}",
            reason=error.reason,
            hint=error.hint,
        ) from error


def _refusal(error: ApiError) -> str:
    """What the API server said; a quota, or a webhook, forbids as well as a lacking permission."""
    return error.message if _is_of_permission(error) else error.status.message or error.message


def _is_of_permission(error: ApiError) -> bool:
    is_forbidden = isinstance(error, ForbiddenError)
    return is_forbidden and " cannot create resource " in error.status.message
