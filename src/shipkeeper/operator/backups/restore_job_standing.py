"""How a Restore stands that is a Job's: whether it needs one, and what became of the last. Pure."""

from datetime import datetime, timedelta

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.operator.api.conditions import StatusCondition, settled
from shipkeeper.operator.api.restores import RestoreSpec, RestoreStatus
from shipkeeper.operator.backups.job_verdict import TIME_LIMIT, JobFailedError
from shipkeeper.operator.backups.standing import left_until, pause_after
from shipkeeper.operator.told import accepted, condition, explained, whole

AWAITING = "AwaitingApproval"
# What the next Job would meet again.
_HOPELESS = frozenset({"OutOfMemory", TIME_LIMIT})
_AT_WORK = frozenset({"Running", "Stopping"})
_UNPLANNED = condition("Planned", "Unknown", "NotPlanned")


def is_in_job(spec: RestoreSpec | None, status: RestoreStatus) -> bool:
    """Whether Jobs carry it out; old servers let the spec change, and it stays where it was begun.

    The spec is None if it makes no sense.
    """
    is_asked_for = spec is not None and spec.job is not None
    return status.attempts > 0 or (is_asked_for and not status.run)


def is_untouched(spec: RestoreSpec | None, status: RestoreStatus) -> bool:
    """Whether it is certain that no object was written for it.

    One whose approval was taken back half way awaits it, too, with webhooks quieted.
    """
    is_waiting = status.phase == AWAITING and spec is not None and not spec.approved
    return status.attempts == 0 or (is_waiting and status.started_at is None)


def needs_nobody(status: RestoreStatus, generation: int) -> bool:
    """Whether a Job said that it can do nothing until somebody changes something.

    The generation is that of the spec, which was not deleted.
    """
    is_refused = _reason(status, "Planned", "False") != ""
    is_told = status.observed_generation == generation
    return is_told and (is_refused or status.phase == AWAITING)


def pause(status: RestoreStatus, generation: int, now: datetime) -> timedelta | None:
    """How long the next Job is not begun yet; None if only a change of the spec can help."""
    if status.observed_generation != generation:
        return timedelta(0)
    if status.retry_at is not None:
        return left_until(status.retry_at, now)
    failure = _reason(status, "Progressing", "False")
    return None if failure in _HOPELESS else timedelta(0)


def begun(
    before: RestoreStatus, generation: int, job: str, now: datetime, *, is_deleted: bool
) -> RestoreStatus:
    """The status that is on record before a Job is made."""
    attempts = before.attempts + 1
    is_planned = _reason(before, "Planned", "True") != ""
    return _told(
        msgspec.structs.replace(
            before, job=job, job_generation=generation, attempts=attempts, retry_at=None
        ),
        generation,
        "Stopping" if is_deleted else "Waiting",
        works(job),
        (
            accepted(),
            *(() if is_planned else (_UNPLANNED,)),
            condition("Progressing", True, "JobBegun"),
        ),
        now,
    )


def waits(before: RestoreStatus, job: str, why: str) -> RestoreStatus:
    """The status while a Job does not run, or runs and says nothing by itself yet."""
    is_ours = before.message.startswith(f"Job {job} ")
    message = why or (works(job) if is_ours else before.message)
    return msgspec.structs.replace(before, message=message)


def works(job: str) -> str:
    """What is said of a Job before it says something itself."""
    return f"Job {job} works on it"


def left(before: RestoreStatus, now: datetime) -> RestoreStatus:
    """The status once a Job ended in order; what it refused is tried again later."""
    is_refused = _reason(before, "Planned", "False") != ""
    again = whole(now + pause_after(before.attempts)) if is_refused else None
    return msgspec.structs.replace(before, job="", retry_at=again)


def verdict(error: JobFailedError, before: RestoreStatus) -> JobFailedError:
    """Why a Job failed, by what it had told: a time limit is final only for one that worked.

    What waited all the time for room, an image or the cluster's lock may have it the next time.
    """
    if error.reason != TIME_LIMIT or _reason(before, "Progressing", "True") in _AT_WORK:
        return error
    told = "" if before.message == works(before.job) else f": {before.message}"
    return JobFailedError(
        f"{error.message} before it wrote anything{told}",
        reason=error.reason,
        hint="it is tried again; if it needs longer, set a longer spec.job.timeLimit",
    )


def failed(
    before: RestoreStatus,
    generation: int,
    error: ShipkeeperError,
    message: str,
    now: datetime,
    again: timedelta | None,
    *,
    is_deleted: bool,
) -> RestoreStatus:
    """The status once a Job failed, or could not be begun; `again` is when the next one may be.

    It is about the generation that the Job was begun for: what was changed since may help.
    """
    retry_at = whole(now + again) if again is not None else None
    return _told(
        msgspec.structs.replace(before, job="", retry_at=retry_at),
        generation,
        "Stopping" if is_deleted else "Waiting",
        message,
        (condition("Progressing", False, error.reason, explained(error)),),
        now,
    )


def _told(
    before: RestoreStatus,
    generation: int,
    phase: str,
    message: str,
    changed: tuple[StatusCondition, ...],
    now: datetime,
) -> RestoreStatus:
    known = {
        "Accepted": accepted(),
        "Planned": _UNPLANNED,
        **{each.type: each for each in before.conditions},
        "Succeeded": condition("Succeeded", "Unknown", "NotEnded"),
        **{each.type: each for each in changed},
    }
    conditions = [known[each] for each in ("Accepted", "Planned", "Progressing", "Succeeded")]
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=phase,
        message=message,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def _reason(status: RestoreStatus, type_: str, truth: str) -> str:
    """Why a condition is as asked for; empty if it is not."""
    found = (each for each in status.conditions if each.type == type_ and each.status == truth)
    return next((each.reason for each in found), "")
