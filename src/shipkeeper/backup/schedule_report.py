"""How the next times of a schedule look, and what would be kept then. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from shipkeeper.backup.keep_report import retention_table
from shipkeeper.backup.schedule import Schedule
from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.model.cron import zone_of
from shipkeeper.model.duration import format_age
from shipkeeper.store import retention
from shipkeeper.store.values import Backup

_RUNS = (Column("NEXT"), Column("UTC"), Column("IN"))
# What stands for the backup that is not made yet.
_TO_COME = "(next)"


class Preview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The next times; and after the first of them which backups stay, with the reasons, and go."""

    schedule: str
    next: tuple[datetime, ...]
    keep: dict[str, tuple[str, ...]]
    forget: tuple[str, ...]


def preview_report(
    schedule: Schedule,
    times: Sequence[datetime],
    backups: Sequence[Backup],
    policy: retention.Policy | None,
    now: datetime,
) -> Report:
    """What a schedule would do; without a policy every backup stays."""
    retained = None
    if policy is not None and times:
        to_come = Backup(name=_TO_COME, created=times[0])
        retained = retention.plan([*backups, to_come], policy)
    said = f"{len(backups)} backups now; without --keep-… every backup stays"
    return Report(
        value=Preview(
            schedule=str(schedule.cron),
            next=tuple(times),
            keep={each.backup.name: each.reasons for each in retained.keep} if retained else {},
            forget=tuple(each.name for each in retained.forget) if retained else (),
        ),
        body=(
            times_table(schedule, times, now),
            retention_table(retained, now) if retained else said,
        ),
        names=tuple(f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in times),
    )


def times_table(schedule: Schedule, times: Sequence[datetime], now: datetime) -> Table:
    """A line for each time: on the wall clock of the schedule's zone, in UTC, and how far off."""
    zone = zone_of(schedule.cron.zone)
    rows = tuple(
        (
            f"{each.astimezone(zone):%a %F %H:%M %Z}",
            f"{each.astimezone(UTC):%F %H:%M}",
            format_age(each - now),
        )
        for each in times
    )
    return Table(_RUNS, rows)
