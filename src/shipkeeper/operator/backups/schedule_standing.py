"""What a BackupSchedule has to do at a moment, and how it stands. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from shipkeeper.backup.contents import ContentsError, decode_contents
from shipkeeper.backup.schedule import PUNCTUAL, Schedule, next_due, require_sense
from shipkeeper.errors import ShipkeeperError
from shipkeeper.model.cron import parse_schedule
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.words import counted
from shipkeeper.operator.api.backups import (
    BackupScheduleSpec,
    BackupScheduleStatus,
    BackupStatus,
    BackupTimes,
    Retention,
)
from shipkeeper.operator.api.conditions import StatusCondition, settled
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.standing import Phase, has_ended
from shipkeeper.operator.told import accepted, condition, explained, whole
from shipkeeper.store import retention
from shipkeeper.store.values import Backup

_FAILED_KEPT = 5
# So many times without a complete backup are too many: one may still go on, one may have passed.
_IN_VAIN = 3


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """A time of the schedule: when it is, and whether a backup is made at it now."""

    at: datetime | None
    is_over: bool = False
    is_made: bool = False


class OwnBackup(msgspec.Struct, frozen=True):
    """A Backup that the schedule created, and how it stands."""

    object: CustomObject
    status: BackupStatus

    @property
    def name(self) -> str:
        """The object's name."""
        return self.object.name

    @property
    def repository(self) -> str:
        """What tells the repository that it was begun in from all others; empty if unknown."""
        return self.status.begun_with.repository_id if self.status.begun_with else ""

    @property
    def is_stored(self) -> bool:
        """Whether something of it was kept."""
        return self.status.phase in (Phase.COMPLETED, Phase.INCOMPLETE)


def own_backups(schedule: CustomObject, found: Iterable[CustomObject]) -> list[OwnBackup]:
    """The Backups that a schedule created, oldest first."""
    own = (
        each
        for each in found
        if any(owner.uid == schedule.uid for owner in each.metadata.owner_references)
    )
    read = (OwnBackup(each, msgspec.json.decode(each.status, type=BackupStatus)) for each in own)
    return sorted(read, key=lambda each: (str(each.object.metadata.creation_timestamp), each.name))


def schedule_of(spec: BackupScheduleSpec, now: datetime) -> Schedule:
    """The schedule as the engine has it; UsageError for nonsense."""
    made = Schedule(
        cron=parse_schedule(spec.schedule.cron, spec.schedule.time_zone),
        jitter=parse_duration(spec.jitter),
        missed=spec.missed,
    )
    require_sense(made, now)
    return made


def policy_of(keep: Retention) -> retention.Policy:
    """What is kept, as the store takes it; UsageError for nonsense."""
    return retention.Policy(
        last=keep.last,
        hourly=keep.hourly,
        daily=keep.daily,
        weekly=keep.weekly,
        monthly=keep.monthly,
        yearly=keep.yearly,
        within=parse_duration(keep.within) if keep.within else None,
    )


def let_go(
    backups: Sequence[Backup], own: Iterable[OwnBackup], policy: retention.Policy
) -> tuple[str, ...]:
    """The names of the backups that the policy keeps in no way of counting, newest first.

    An incomplete backup, or one of something else that others made, must not stand for a day whose
    complete one would then go: so the policy is applied to all of them, to those not known to be
    incomplete, and to the schedule's own complete ones. What any of the three keeps stays. Backups
    of a schedule that had another name say themselves what they lack.
    """
    phases = {each.status.id: each.status.phase for each in own}
    counted = (
        backups,
        [each for each in backups if not _lacks(each, phases.get(each.name, ""))],
        [each for each in backups if phases.get(each.name) == Phase.COMPLETED],
    )
    plans = [retention.plan(each, policy) for each in counted]
    kept = {each.backup.name for plan in plans for each in plan.keep}
    return tuple(each.name for each in plans[0].forget if each.name not in kept)


def _lacks(backup: Backup, phase: str) -> bool:
    """Whether a backup is known to be incomplete; `phase` is that of its object, if it has one."""
    if phase == Phase.INCOMPLETE:
        return True
    if backup.kind or not backup.summary:
        return False
    try:
        return not decode_contents(backup.summary, backup.name).is_complete
    except ContentsError:
        return False


def delay_of(schedule: Schedule, uid: str) -> timedelta:
    """How much later than its times a schedule is: the same for every leader."""
    share = int.from_bytes(sha256(uid.encode()).digest()[:4], "big") / 2**32
    return schedule.jitter * share


def occasion(
    schedule: Schedule, uid: str, last: datetime, now: datetime, *, is_busy: bool
) -> Occasion:
    """The time that is due, or else the next one."""
    delay = delay_of(schedule, uid)
    due = next_due(schedule, last, now)
    if due is None:
        return Occasion(at=None)
    at = due.at + delay
    if at > now:
        return Occasion(at=at)
    is_late = now - at > PUNCTUAL
    is_made = not is_busy and (schedule.missed == "run" or not is_late)
    return Occasion(at=due.at, is_over=True, is_made=is_made)


def mended(before: BackupScheduleStatus, began: datetime, now: datetime) -> BackupScheduleStatus:
    """A status whose times are not still to come, as those that a clock told that was wrong.

    Until they come nothing would be due: they count from now on.
    """
    limit, verified = now + PUNCTUAL, before.verified
    if verified is not None and verified.at > limit:
        verified = msgspec.structs.replace(verified, at=whole(now))
        before = msgspec.structs.replace(before, verified=verified)
    if (before.last_schedule_at or began) > limit:
        return msgspec.structs.replace(before, last_schedule_at=whole(now))
    return before


def next_check(times: BackupTimes | None, last: datetime, now: datetime) -> Occasion:
    """When the repository is checked next, and whether that is due; UsageError for nonsense."""
    if times is None:
        return Occasion(at=None)
    cron = parse_schedule(times.cron, times.time_zone)
    due = next_due(Schedule(cron=cron), last, now)
    if due is None:
        return Occasion(at=None)
    return Occasion(at=due.at, is_over=due.at <= now, is_made=due.at <= now)


def backup_name(schedule: str, at: datetime) -> str:
    """The name of a time's Backup: every leader gives it the same, so that it is made once."""
    return f"{schedule[:200]}-{at:%Y%m%d%H%M}"


def surplus(own: Sequence[OwnBackup]) -> list[OwnBackup]:
    """Backups that failed, but for the newest of them: nothing is stored of them."""
    failures = [each for each in own if each.status.phase == Phase.FAILED]
    return failures[:-_FAILED_KEPT]


def newest_complete(own: Sequence[OwnBackup]) -> OwnBackup | None:
    """The last backup that lacks nothing."""
    return next((each for each in reversed(own) if each.status.phase == Phase.COMPLETED), None)


def stored_in(repository: str, own: Iterable[OwnBackup]) -> frozenset[str]:
    """The names of the backups of which a repository held something when they ended."""
    found = (each for each in own if each.is_stored and each.repository == repository)
    return frozenset(each.status.id for each in found)


def of_no_use(own: Iterable[OwnBackup], repository: str, gone: frozenset[str]) -> list[OwnBackup]:
    """The Backups of which a repository holds nothing any more, by the names that are gone there.

    Those from before what they were begun with was on record may be in any repository.
    """
    found = (each for each in own if each.is_stored and each.repository in ("", repository))
    return [each for each in found if each.status.id in gone]


def rejected(
    before: BackupScheduleStatus, generation: int, error: ShipkeeperError, now: datetime
) -> BackupScheduleStatus:
    """The status when the spec is nonsense."""
    message = explained(error)
    conditions = (condition("Accepted", False, error.reason, message),)
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase="Failing",
        message=message,
        next_at=None,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def suspended(before: BackupScheduleStatus, generation: int, now: datetime) -> BackupScheduleStatus:
    """The status while no backups are made."""
    others = (each for each in before.conditions if each.type != "Accepted")
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase="Suspended",
        message="spec.suspend is true",
        next_at=None,
        conditions=settled(before.conditions, (accepted(), *others), generation, now),
    )


def standing(
    before: BackupScheduleStatus,
    generation: int,
    own: Sequence[OwnBackup],
    next_at: datetime | None,
    troubles: dict[str, ShipkeeperError],
    now: datetime,
) -> BackupScheduleStatus:
    """The status while backups are made; `troubles` are what failed last, by condition type."""
    complete = newest_complete(own)
    finished = complete.status.finished_at if complete else None
    known = [each for each in (before.last_success_at, finished) if each is not None]
    last_success = max(known, default=None)
    in_vain = before.times_without_success if last_success == before.last_success_at else 0
    conditions = [accepted(), _trouble("Succeeding", troubles) or _succeeding(own, in_vain)]
    if "Pruned" in troubles or before.pruned_after:
        pruned = condition("Pruned", True, "Pruned", _elsewhere(own))
        conditions.append(_trouble("Pruned", troubles) or pruned)
    verified = _verified(before, troubles)
    conditions += [verified] if verified else []
    bad = [each for each in conditions if each.status == "False"]
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase="Failing" if bad else "Active",
        message=bad[0].message if bad else "",
        last_success_at=last_success,
        times_without_success=in_vain,
        next_at=whole(next_at) if next_at else None,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def heeded(
    before: BackupScheduleStatus, at: datetime, created: str | None = None
) -> BackupScheduleStatus:
    """The status once a time has passed, with the Backup of a name or with none."""
    return msgspec.structs.replace(
        before,
        last_schedule_at=whole(at),
        last_backup=before.last_backup if created is None else created,
        times_without_success=before.times_without_success + 1,
    )


def _succeeding(own: Sequence[OwnBackup], in_vain: int) -> StatusCondition:
    last = next((each for each in reversed(own) if has_ended(each.status)), None)
    if last is not None and last.status.phase != Phase.COMPLETED:
        return condition("Succeeding", False, last.status.phase, _said_of(last))
    if in_vain >= _IN_VAIN:
        why = _said_of(own[-1]) if own else "there is no Backup of it"
        message = f"{in_vain} times in a row passed without a complete backup; {why}"
        return condition("Succeeding", False, "NothingComplete", message)
    if last is None:
        return condition("Succeeding", "Unknown", "NoBackupYet")
    return condition("Succeeding", True, last.status.phase, _said_of(last))


def _said_of(backup: OwnBackup) -> str:
    phase = "" if has_ended(backup.status) else f" is {backup.status.phase or 'new'}"
    return f"Backup {backup.name}{phase}: {backup.status.message}"


def _elsewhere(own: Sequence[OwnBackup]) -> str:
    """What is said of Backups in a repository that the schedule had before."""
    newest = newest_complete(own)
    here = newest.repository if newest else ""
    others = [each for each in own if each.is_stored and each.repository not in ("", here)]
    if not others:
        return ""
    return f"{counted(len(others), 'Backup')} in another repository are left alone, and so is that"


def _verified(
    before: BackupScheduleStatus, troubles: dict[str, ShipkeeperError]
) -> StatusCondition | None:
    if trouble := _trouble("Verified", troubles):
        return trouble
    if before.verified is None:
        return None
    if before.verified.findings:
        return condition("Verified", False, "Damaged", before.verified.message)
    return condition("Verified", True, "Whole")


def _trouble(type_: str, troubles: dict[str, ShipkeeperError]) -> StatusCondition | None:
    error = troubles.get(type_)
    return condition(type_, False, error.reason, explained(error)) if error else None
