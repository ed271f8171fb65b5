"""Which backups to keep: a policy, applied to the times at which backups were made. Pure."""

import datetime as dt
from collections.abc import Callable, Sequence

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.store.values import Backup


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How many backups to keep: the last N, one a period for N periods, all within a time."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: dt.timedelta | None = None


class Kept(msgspec.Struct, frozen=True):
    """A backup that stays, and each rule that keeps it (`last 1`, `daily 2026-11-25`, …)."""

    backup: Backup
    reasons: tuple[str, ...]


class RetentionPlan(msgspec.Struct, frozen=True):
    """What stays and what goes, both newest first."""

    keep: tuple[Kept, ...]
    forget: tuple[Backup, ...]


_Period = Callable[[dt.datetime], str]

_PERIODS: dict[str, _Period] = {
    "hourly": lambda moment: moment.strftime("%Y-%m-%dT%H"),
    "daily": lambda moment: moment.strftime("%Y-%m-%d"),
    "weekly": lambda moment: moment.strftime("%G-W%V"),
    "monthly": lambda moment: moment.strftime("%Y-%m"),
    "yearly": lambda moment: moment.strftime("%Y"),
}


def plan(backups: Sequence[Backup], policy: Policy) -> RetentionPlan:
    """Apply the policy; deterministic, in UTC; UsageError when the policy would keep nothing.

    Of a period its newest backup is kept; periods without backups do not count. `within` counts
    back from the newest backup, so that a stopped schedule loses nothing. A damaged backup is
    kept: what it was is not known. Backups of each kind are counted by themselves.
    """
    _require_sense(policy)
    newest_first = sorted(backups, key=lambda b: (b.created, b.name), reverse=True)
    reasons: dict[str, list[str]] = {backup.name: [] for backup in newest_first}
    for backup in newest_first:
        if backup.damaged:
            reasons[backup.name].append("damaged")
    for kind in sorted({backup.kind for backup in backups}):
        sound = [each for each in newest_first if each.kind == kind and not each.damaged]
        _give_reasons(sound, policy, reasons)
    return RetentionPlan(
        keep=tuple(Kept(b, tuple(reasons[b.name])) for b in newest_first if reasons[b.name]),
        forget=tuple(b for b in newest_first if not reasons[b.name]),
    )


def _give_reasons(sound: list[Backup], policy: Policy, reasons: dict[str, list[str]]) -> None:
    """Note each rule that keeps a backup, of these that are sound and newest first."""
    for number, backup in enumerate(sound[: policy.last], 1):
        reasons[backup.name].append(f"last {number}")
    for rule, period in _PERIODS.items():
        for backup, label in _newest_of_each(sound, period)[: getattr(policy, rule)]:
            reasons[backup.name].append(f"{rule} {label}")
    if policy.within is not None and sound:
        since = sound[0].created - policy.within
        for backup in sound:
            if backup.created >= since:
                reasons[backup.name].append("within")


def _require_sense(policy: Policy) -> None:
    counts = [policy.last, *(getattr(policy, rule) for rule in _PERIODS)]
    within = policy.within or dt.timedelta()
    if min(counts) < 0 or within < dt.timedelta():
        raise UsageError(
            "a retention policy counts from 0",
            reason="Retention",
            hint="Leave out what is not to keep anything.",
        )
    if not any(counts) and not within:
        raise UsageError(
            "this policy would keep no backup at all",
            reason="Retention",
            hint="Give at least one of last, hourly, daily, weekly, monthly, yearly, within.",
        )


def _newest_of_each(newest_first: Sequence[Backup], period: _Period) -> list[tuple[Backup, str]]:
    newest: dict[str, Backup] = {}
    for backup in newest_first:
        newest.setdefault(period(backup.created.astimezone(dt.UTC)), backup)
    return [(backup, label) for label, backup in newest.items()]
