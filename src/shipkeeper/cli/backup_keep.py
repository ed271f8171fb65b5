"""`shipkeeper backup verify|prune`: whether a repository is whole, and what it keeps."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Group, Parameter

from shipkeeper.backup.keep_report import check_report, prune_report
from shipkeeper.backup.opening import Place, open_repository
from shipkeeper.backup.verified import remember
from shipkeeper.cli.backup_flags import HERE, RepositoryFlags, verified_dir
from shipkeeper.cli.backup_take import DryRun
from shipkeeper.cli.flags import Output
from shipkeeper.cli.output import show
from shipkeeper.errors import EXIT_FINDINGS, ShipkeeperError
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.words import counted
from shipkeeper.store import prune as pruning
from shipkeeper.store import retention
from shipkeeper.store.findings import Report as Checked
from shipkeeper.store.repository import Repository
from shipkeeper.store.verify import verify as check

_KEEP = Group("What is kept", sort_key=0)


class DamageFoundError(ShipkeeperError):
    """A repository is not whole."""

    exit_code = EXIT_FINDINGS


@Parameter(name="*", group=_KEEP)
@dataclass(frozen=True, kw_only=True)
class KeepFlags:
    """How many backups are kept; a backup stays that any of them keeps."""

    keep_last: Annotated[int, Parameter(help="The newest so many.")] = 0
    keep_hourly: Annotated[int, Parameter(help="The last of an hour, for so many hours.")] = 0
    keep_daily: Annotated[int, Parameter(help="The last of a day, for so many days.")] = 0
    keep_weekly: Annotated[int, Parameter(help="The last of a week, for so many weeks.")] = 0
    keep_monthly: Annotated[int, Parameter(help="The last of a month, for so many months.")] = 0
    keep_yearly: Annotated[int, Parameter(help="The last of a year, for so many years.")] = 0
    keep_within: Annotated[
        str, Parameter(help="All that are at most so much older than the newest (72h).")
    ] = ""

    def policy(self) -> retention.Policy | None:
        """The policy; None if no flag is given, and no backup is to go."""
        policy = retention.Policy(
            last=self.keep_last,
            hourly=self.keep_hourly,
            daily=self.keep_daily,
            weekly=self.keep_weekly,
            monthly=self.keep_monthly,
            yearly=self.keep_yearly,
            within=parse_duration(self.keep_within) if self.keep_within else None,
        )
        return None if policy == retention.Policy() else policy


KEEP_ALL = KeepFlags()


async def verify(*, output: Output = None, repository: RepositoryFlags = HERE) -> None:
    """Read and check every byte of a repository; exit code 4 if anything is not as written."""
    checked = await verify_and_remember(repository.place())
    show(check_report(checked), output)
    require_whole(checked)


async def verify_and_remember(place: Place) -> Checked:
    """Verify a repository; that it was, and what was found, is kept for who looks later."""
    began = datetime.now(UTC)
    async with open_repository(place) as opened:
        checked = await check(opened)
        with suppress(OSError):
            remember(verified_dir(), opened.id, began, checked)
    return checked


def require_whole(checked: Checked) -> None:
    """DamageFoundError if anything was found that harms a backup."""
    harmful = [each for each in checked.findings if not each.harmless]
    if harmful:
        raise DamageFoundError(
            f"{counted(len(harmful), 'finding')}: {harmful[0].blob}: {harmful[0].message}",
            reason=harmful[0].reason,
            hint="make a new backup now; restore from those that are not named",
        )


async def prune(
    *,
    grace: Annotated[
        str, Parameter(help="How long bytes that no backup needs stay for writers at work.")
    ] = "24h",
    dry_run: DryRun = "none",
    output: Output = None,
    keep: KeepFlags = KEEP_ALL,
    repository: RepositoryFlags = HERE,
) -> None:
    """Forget the backups that no --keep flag keeps, and free what no backup needs any more.

    Without a --keep flag every backup stays.
    """
    policy, patience = keep.policy(), parse_duration(grace)
    async with open_repository(repository.place()) as opened:
        retained = retention.plan(await opened.backups(), policy) if policy else None
        if dry_run == "client":
            report = prune_report(retained, await pruning.plan(opened, patience), datetime.now(UTC))
        else:
            done = await thin_out(opened, retained, patience)
            report = prune_report(retained, done, datetime.now(UTC))
    show(report, output)


async def thin_out(
    opened: Repository, retained: retention.RetentionPlan | None, grace: timedelta
) -> pruning.Pruned:
    """Forget what is not kept, and free what no backup needs."""
    if retained:
        await opened.forget([each.name for each in retained.forget])
    return await pruning.prune(opened, grace)
