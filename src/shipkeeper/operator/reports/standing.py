"""How a report stands, as its status tells it. Pure."""

from collections import Counter
from datetime import datetime, timedelta

import msgspec

from shipkeeper.backup.schedule import Schedule, next_due
from shipkeeper.engine.finding import Findings, Severity
from shipkeeper.engine.findings_report import findings_report
from shipkeeper.engine.report import Format, render
from shipkeeper.errors import ShipkeeperError
from shipkeeper.model.cron import parse_schedule
from shipkeeper.model.words import counted
from shipkeeper.operator.api.conditions import StatusCondition, settled
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.api.reports import (
    FindingCount,
    FoundThing,
    ReportSchedule,
    ReportStatus,
)
from shipkeeper.operator.told import accepted, condition, explained, whole

_NAMED = 20
_NEVER = "never"
# Between the clocks of two nodes.
_SKEW = timedelta(minutes=1)


class Look(msgspec.Struct, frozen=True):
    """When the next look is, and whether it is due."""

    at: datetime | None
    is_due: bool


def next_look(schedule: ReportSchedule, checked_at: datetime | None, now: datetime) -> Look:
    """The next look after the last one; the first is due at once. UsageError for nonsense."""
    cron = parse_schedule(schedule.cron, schedule.time_zone)
    # A look that is still to come was made by a clock that was wrong, and says nothing.
    if checked_at is None or checked_at > now + _SKEW:
        return Look(now, is_due=True)
    due = next_due(Schedule(cron=cron), checked_at, now)
    return Look(due.at if due else None, is_due=due is not None and due.at <= now)


def following(schedule: ReportSchedule, now: datetime) -> datetime | None:
    """The first time of a schedule after a moment."""
    found = parse_schedule(schedule.cron, schedule.time_zone).next(now)
    return whole(found) if found else None


def text_of(found: Findings) -> str:
    """The whole report as the command prints it."""
    return render(findings_report(found), Format.TEXT)


def looked(
    before: ReportStatus,
    generation: int,
    found: Findings,
    fail_on: str,
    next_at: datetime | None,
    place: ObjectRef,
    now: datetime,
) -> ReportStatus:
    """The status after a look."""
    bad = () if fail_on == _NEVER else found.at_least(Severity(fail_on))
    message = _message(found, len(bad), fail_on)
    phase = "Findings" if bad else "Incomplete" if found.has_gaps else "Clean"
    conditions = (
        accepted(),
        condition("Checked", True, "Checked"),
        clean(found, message, is_bad=bool(bad)),
    )
    return ReportStatus(
        observed_generation=generation,
        phase=phase,
        message=message,
        found=counts_of(found),
        worst=worst_of(found),
        report_in=place,
        checked_at=whole(now),
        next_at=next_at,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def clean(found: Findings, message: str = "", *, is_bad: bool) -> StatusCondition:
    """Whether there is nothing bad; Unknown where a look failed, which is never a pass."""
    if is_bad:
        return condition("Clean", False, "Findings", message)
    if found.has_gaps:
        return condition("Clean", "Unknown", "NotAllRead", message)
    return condition("Clean", True, "Clean", message)


def _message(found: Findings, bad: int, fail_on: str) -> str:
    if bad:
        message = f"{counted(bad, 'finding')} of severity {fail_on} or worse"
    elif fail_on == _NEVER:
        message = counted(len(found.standing), "finding")
    else:
        message = f"nothing of severity {fail_on} or worse"
    if found.unchecked:
        message += f"; {counted(len(found.unchecked), 'thing')} could not be looked at"
    return message


def worst_of(found: Findings) -> tuple[FoundThing, ...]:
    """The worst findings, the first of them."""
    return tuple(
        FoundThing(
            rule=each.rule,
            severity=each.severity,
            target=each.target,
            message=each.message[:1024],
            remedy=each.remedy[:1024],
        )
        for each in found.standing[:_NAMED]
    )


def counts_of(found: Findings) -> FindingCount:
    """How much was found of each severity, and not looked at."""
    counts = Counter(each.severity for each in found.standing)
    return FindingCount(
        critical=counts[Severity.CRITICAL],
        high=counts[Severity.HIGH],
        medium=counts[Severity.MEDIUM],
        low=counts[Severity.LOW],
        unchecked=len(found.unchecked),
    )


def failed(
    before: ReportStatus,
    generation: int,
    error: ShipkeeperError,
    now: datetime,
    *,
    failing: str,
) -> ReportStatus:
    """The status when the spec is nonsense (Accepted), or the look failed (Checked).

    What was found before stays: it is the best that is known.
    """
    message = explained(error)
    conditions = [condition(failing, False, error.reason, message)]
    if failing != "Accepted":
        conditions.insert(0, accepted())
    kept = [each for each in before.conditions if each.type == "Clean"]
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase="Failed",
        message=message,
        conditions=settled(before.conditions, (*conditions, *kept), generation, now),
    )


def suspended(before: ReportStatus, generation: int) -> ReportStatus:
    """The status while nothing is looked at."""
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase="Suspended",
        message="spec.suspend is true",
        next_at=None,
    )


def pause(until: datetime | None, now: datetime) -> timedelta:
    """How long a timer waits for a moment: a day at most, as clocks are set."""
    left = (until - now) if until else timedelta(days=1)
    return min(max(left, timedelta(seconds=1)), timedelta(days=1))
