"""How a Backup stands, as its status tells it. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from shipkeeper.backup.contents import Contents, Unreadable
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.record import VolumeCounts
from shipkeeper.errors import ShipkeeperError
from shipkeeper.model.words import counted
from shipkeeper.operator.api.backups import (
    BackupSpec,
    BackupStatus,
    BegunWith,
    MissingPart,
)
from shipkeeper.operator.api.conditions import settled
from shipkeeper.operator.api.contents import Objects
from shipkeeper.operator.told import accepted, condition, explained, whole
from shipkeeper.store.values import Backup

_NAMED = 20
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(minutes=30)


class Phase(StrEnum):
    """What a Backup is at."""

    WAITING = "Waiting"
    RUNNING = "Running"
    COMPLETED = "Completed"
    INCOMPLETE = "Incomplete"
    FAILED = "Failed"


ENDED = frozenset({Phase.COMPLETED, Phase.INCOMPLETE, Phase.FAILED})


# Why one waits whose repository has another's name now: it may wait for ever.
REPOSITORY_CHANGED = "RepositoryChanged"


def has_ended(status: BackupStatus) -> bool:
    """Whether nothing more comes of it."""
    return status.phase in ENDED


def goes_on(status: BackupStatus) -> bool:
    """Whether it is made now, or will be once its turn has come."""
    reason = next((each.reason for each in status.conditions if each.type == "Progressing"), "")
    return not has_ended(status) and reason != REPOSITORY_CHANGED


def is_in_job(status: BackupStatus) -> bool:
    """Whether its last attempt is a Job's, and what became of that is not on record yet."""
    return status.phase == Phase.RUNNING and bool(status.job)


def selection_of(objects: Objects) -> Selection:
    """What is asked for, as the engine takes it."""
    return Selection(
        namespaces=objects.namespaces,
        not_namespaces=objects.exclude_namespaces,
        kinds=objects.kinds,
        not_kinds=objects.exclude_kinds,
        selector=objects.selector,
        names=objects.names,
        not_names=objects.exclude_names,
        cluster_scoped={"auto": None, "yes": True, "no": False}[objects.cluster_scoped],
    )


def as_begun(spec: BackupSpec, status: BackupStatus) -> BackupSpec:
    """The spec with what the backup was first begun with: old servers let anybody change it."""
    known = status.begun_with
    if known is None:
        return spec
    return msgspec.structs.replace(
        spec,
        repository=known.repository,
        objects=known.objects,
        volumes=known.volumes,
        job=known.job,
    )


def begun(
    before: BackupStatus, generation: int, id_: str, begun_with: BegunWith, now: datetime
) -> BackupStatus:
    """The status that is on record before an attempt begins."""
    conditions = (
        accepted(),
        condition("Progressing", True, "Running"),
        condition("Succeeded", "Unknown", "NotEnded"),
    )
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=Phase.RUNNING,
        message="",
        id=id_,
        attempts=before.attempts + 1,
        begun_with=begun_with,
        started_at=before.started_at or whole(now),
        retry_at=None,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def waiting(
    before: BackupStatus, generation: int, reason: str, message: str, now: datetime
) -> BackupStatus:
    """The status while it cannot be begun, or waits for its turn."""
    conditions = (
        accepted(),
        condition("Progressing", False, reason, message),
        condition("Succeeded", "Unknown", "NotEnded"),
    )
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=Phase.WAITING,
        message=message,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def to_be_retried(
    before: BackupStatus, generation: int, error: ShipkeeperError, now: datetime
) -> BackupStatus:
    """The status after an attempt that failed and is not the last."""
    again = whole(now + pause_after(before.attempts))
    message = f"attempt {before.attempts} failed: {explained(error)}"
    status = waiting(before, generation, error.reason, message, now)
    return msgspec.structs.replace(status, retry_at=again)


def left_until(moment: datetime | None, now: datetime) -> timedelta:
    """How long it is until something is tried again.

    No pause is longer than the longest: such a moment was told by a clock that was wrong.
    """
    left = moment - now if moment is not None else timedelta(0)
    return left if timedelta(0) < left <= 2 * _LONGEST_PAUSE else timedelta(0)


def pause_after(attempts: int) -> timedelta:
    """How long to wait with the next attempt after so many."""
    return min(_FIRST_PAUSE * 2 ** min(max(attempts - 1, 0), 10), _LONGEST_PAUSE)


def failed(
    before: BackupStatus,
    generation: int,
    error: ShipkeeperError,
    now: datetime,
    *,
    is_nonsense: bool = False,
) -> BackupStatus:
    """The status once it is given up."""
    message = explained(error)
    conditions = (
        condition("Accepted", False, error.reason, message) if is_nonsense else accepted(),
        condition("Progressing", False, "Failed"),
        condition("Succeeded", False, error.reason, message),
    )
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=Phase.FAILED,
        message=message,
        finished_at=whole(now),
        retry_at=None,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def made(
    before: BackupStatus, generation: int, backup: Backup, contents: Contents, now: datetime
) -> BackupStatus:
    """The status once it is visible in the repository."""
    missing = missing_of(contents)
    phase = Phase.INCOMPLETE if missing else Phase.COMPLETED
    reason = next((each.reason for each in missing), "Completed")
    message = _sentence(contents, missing)
    conditions = (
        accepted(),
        condition("Progressing", False, "Ended"),
        condition("Succeeded", not missing, reason, message),
    )
    figures = backup.figures
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=phase,
        message=message,
        objects=contents.objects,
        volumes=contents.volumes.saved,
        content_bytes=figures.content_bytes if figures else 0,
        added_bytes=figures.added_bytes if figures else 0,
        revision=contents.revision,
        missing=tuple(
            MissingPart(what=each.what, reason=each.reason, message=each.message[:1024])
            for each in missing[:_NAMED]
        ),
        missing_count=len(missing),
        finished_at=whole(backup.created),
        retry_at=None,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def missing_of(contents: Contents) -> tuple[Unreadable, ...]:
    """What a backup lacks, by name."""
    scattered = tuple(
        Unreadable(
            what=each.kind.name,
            reason="OwnMoment",
            message="is of a moment of its own, as the server kept none for long enough",
        )
        for each in contents.scattered
    )
    return (*contents.unreadable, *scattered, *_unsaved(contents.volumes))


def _unsaved(volumes: VolumeCounts) -> Iterator[Unreadable]:
    """What was asked for of volumes and is not there, which the summary knows by number only."""
    see = "shipkeeper backup show names them to who may read the backup"
    for count, what, reason in (
        (volumes.failed, "volume", "VolumesFailed"),
        (volumes.hooks_failed, "hook", "HooksFailed"),
    ):
        if count:
            yield Unreadable(what=counted(count, what), reason=reason, message=see)


def _sentence(contents: Contents, missing: tuple[Unreadable, ...]) -> str:
    said = f"{counted(contents.objects, 'object')} of {counted(len(contents.kinds), 'kind')}"
    if contents.volumes.saved:
        said = f"{said}, {counted(contents.volumes.saved, 'volume')}"
    if not missing:
        return said
    named = ", ".join(each.what for each in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    why = next(each.message for each in missing)
    return f"{said}; it lacks {named}{more}: {why}"
