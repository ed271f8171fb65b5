"""Retention: examples, and what holds for every policy."""

import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.errors import UsageError
from shipkeeper.store.retention import Policy, plan
from shipkeeper.store.values import Backup

NEWEST = dt.datetime(2026, 11, 25, 23, 30, tzinfo=dt.UTC)


def backup(moment: dt.datetime, *, damaged: bool = False, kind: str = "") -> Backup:
    return Backup(name=f"{moment.isoformat()}{kind}", created=moment, damaged=damaged, kind=kind)


EVERY_SIX_HOURS = [backup(NEWEST - dt.timedelta(hours=6 * n)) for n in range(4 * 40)]


def kept(policy: Policy) -> dict[str, tuple[str, ...]]:
    return {k.backup.name[:13]: k.reasons for k in plan(EVERY_SIX_HOURS, policy).keep}


def test_examples() -> None:
    assert kept(Policy(last=2)) == {"2026-11-25T23": ("last 1",), "2026-11-25T17": ("last 2",)}
    assert kept(Policy(daily=3)) == {
        "2026-11-25T23": ("daily 2026-11-25",),
        "2026-11-24T23": ("daily 2026-11-24",),
        "2026-11-23T23": ("daily 2026-11-23",),
    }
    assert kept(Policy(weekly=2)) == {
        "2026-11-25T23": ("weekly 2026-W48",),
        "2026-11-22T23": ("weekly 2026-W47",),
    }
    assert kept(Policy(last=1, monthly=5, yearly=1)) == {
        "2026-11-25T23": ("last 1", "monthly 2026-11", "yearly 2026"),
        "2026-10-31T23": ("monthly 2026-10",),
    }
    assert list(kept(Policy(within=dt.timedelta(hours=6)))) == ["2026-11-25T23", "2026-11-25T17"]


def test_a_damaged_backup_is_kept_and_takes_no_place() -> None:
    damaged = backup(NEWEST + dt.timedelta(hours=1), damaged=True)
    result = plan([*EVERY_SIX_HOURS, damaged], Policy(last=1))
    assert [k.reasons for k in result.keep] == [("damaged",), ("last 1",)]


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(last=-1, daily=3),
        Policy(within=dt.timedelta()),
        Policy(within=-dt.timedelta(1)),
    ],
)
def test_a_policy_that_keeps_nothing_is_refused(policy: Policy) -> None:
    with pytest.raises(UsageError):
        plan(EVERY_SIX_HOURS, policy)


def test_kinds_are_counted_by_themselves() -> None:
    older, newer = NEWEST - dt.timedelta(days=1), NEWEST
    made = [backup(when, kind=kind) for when in (older, newer) for kind in ("", "etcd")]
    result = plan(made, Policy(last=1))
    assert {each.backup.name for each in result.keep} == {made[2].name, made[3].name}


moments = st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2027, 1, 1), timezones=st.just(dt.UTC))
policies = st.builds(
    Policy,
    last=st.integers(0, 4),
    hourly=st.integers(0, 4),
    daily=st.integers(0, 4),
    weekly=st.integers(0, 4),
    monthly=st.integers(0, 4),
    yearly=st.integers(0, 4),
    within=st.none() | st.timedeltas(dt.timedelta(hours=1), dt.timedelta(days=90)),
).filter(lambda policy: policy != Policy())


@given(st.lists(moments, max_size=40, unique=True), policies, st.randoms())
def test_what_holds_for_every_policy(
    made: list[dt.datetime], policy: Policy, dice: random.Random
) -> None:
    backups = [backup(moment) for moment in made]
    result = plan(backups, policy)
    names = [k.backup.name for k in result.keep] + [b.name for b in result.forget]
    assert sorted(names) == sorted(b.name for b in backups)
    assert all(k.reasons for k in result.keep)
    if backups:
        # The newest always stays, and a second look changes nothing.
        assert result.keep[0].backup == max(backups, key=lambda b: b.created)
        again = plan([k.backup for k in result.keep], policy)
        assert {k.backup.name for k in again.keep} == {k.backup.name for k in result.keep}
    dice.shuffle(backups)
    assert plan(backups, policy) == result
