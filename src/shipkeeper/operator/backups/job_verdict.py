"""Why a Job failed, or does not begin, as its pods tell it. Pure."""

from collections.abc import Sequence

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.model.job import Job, JobPod
from shipkeeper.model.meta import Condition, condition

_EVICTED = frozenset({"Evicted", "Preempting", "Terminated", "NodeShutdown", "NodeLost"})

TIME_LIMIT = "TimeLimit"
"""The reason of a Job that met its limit of time."""


class JobFailedError(ShipkeeperError):
    """A Job ended, and what it was to make is not there."""


class HopelessJobError(JobFailedError):
    """A Job ended for a reason that another attempt would meet again."""


class Remedies(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about a limit that was met, of memory or of time, and an eviction."""

    memory: str
    time: str
    eviction: str


def deleted(name: str) -> JobFailedError:
    """Somebody deleted a Job that was there."""
    return JobFailedError(f"Job {name} was deleted", reason="JobDeleted")


def why_it_failed(
    job: Job, pods: Sequence[JobPod], memory_limit: str, remedies: Remedies
) -> JobFailedError:
    """What ended a Job that failed, or that succeeded and left nothing."""
    ended = next((pod.terminated for pod in pods if pod.terminated), None)
    if ended is not None and ended.reason == "OOMKilled":
        return HopelessJobError(
            f"Job {job.name} took more memory than its limit of {memory_limit}",
            reason="OutOfMemory",
            hint=remedies.memory,
        )
    failure = job.failure
    if failure is not None and failure.reason == "DeadlineExceeded":
        return HopelessJobError(
            f"Job {job.name} took longer than its time limit",
            reason=TIME_LIMIT,
            hint=remedies.time,
        )
    if gone := next((each for each in map(_disruption, pods) if each), ""):
        return JobFailedError(
            f"the pod of Job {job.name} was taken from its node: {gone}",
            reason="Evicted",
            hint=remedies.eviction,
        )
    if ended is not None:
        return JobFailedError(
            f"Job {job.name} failed with exit code {ended.exit_code}: {_last_words(ended.message)}",
            reason="JobFailed",
            hint=f"see its log: kubectl logs -n {job.metadata.namespace} job/{job.name}",
        )
    told = failure.message if failure is not None else "it said nothing"
    return JobFailedError(f"Job {job.name} failed: {told}", reason="JobFailed")


def what_it_waits_for(job: Job, pods: Sequence[JobPod]) -> str:
    """Why a Job's pod does not run, in a sentence; empty if it does."""
    for pod in pods:
        if pod.waiting is not None and pod.waiting.reason not in ("", "ContainerCreating"):
            return f"Job {job.name} waits: {_told(pod.waiting.reason, pod.waiting.message)}"
        scheduled = condition(pod.status.conditions, "PodScheduled")
        if scheduled is not None and scheduled.status == "False":
            return f"Job {job.name} waits: {_told(scheduled.reason, scheduled.message)}"
    if not pods and job.success is None and job.failure is None:
        return f"Job {job.name} has no pod yet"
    return ""


def _disruption(pod: JobPod) -> str:
    """Who took a pod away, in words; empty if nobody did."""
    found: Condition | None = condition(pod.status.conditions, "DisruptionTarget")
    if found is not None and found.status == "True":
        return _told(found.reason, found.message)
    if pod.status.reason in _EVICTED:
        return _told(pod.status.reason, pod.status.message)
    return ""


def _told(reason: str, message: str) -> str:
    return f"{reason}: {message}" if message else reason


def _last_words(message: str) -> str:
    """The line that says what is wrong, of the end of a log; else its last one."""
    lines = [line for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("error: ")[:1024]
