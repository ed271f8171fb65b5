"""Whether a run's journal may be trusted, by what it had seen of the cluster's Lease."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipkeeper.engine.journal import Journal
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.session import new_run
from shipkeeper.engine.setback import History
from shipkeeper.errors import BlockedError
from shipkeeper.model.lease import Lease, LeaseSpec
from shipkeeper.model.meta import ObjectMeta


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def history(journal: Journal, *, cluster: str = "a", server: str = "https://a") -> History:
    plan = Plan(procedure="drain", request={}, steps=(), verdicts=())
    return History(journal, new_run(plan, cluster), server)


def found(run: History, lease: Lease) -> None:
    run.found(lease, run.marks())


def lease(revision: int | str, uid: str = "u", spec: LeaseSpec | None = None) -> Lease:
    metadata = ObjectMeta(uid=uid, resource_version=str(revision))
    return Lease(metadata=metadata, spec=spec or LeaseSpec())


def taken(number: int, at_minute: int | None) -> LeaseSpec:
    at = None if at_minute is None else datetime(2026, 1, 1, 0, at_minute, tzinfo=UTC)
    return LeaseSpec(lease_transitions=number, acquire_time=at)


async def test_a_cluster_that_went_on_is_trusted(journal: Journal) -> None:
    run = history(journal)
    found(run, lease(3))
    run.require_unbroken()
    await run.kept(lease(10))
    # Released, and held by others meanwhile.
    found(run, lease(10))
    found(run, lease(1000))
    run.require_unbroken()


async def test_an_older_lease_ends_the_trust_for_good(journal: Journal) -> None:
    run = history(journal)
    await run.kept(lease(9))
    await run.kept(lease(10))
    found(run, lease(9))
    # Whatever becomes of the Lease later.
    await run.kept(lease(1_000_000_000))
    found(run, lease(1_000_000_000))
    with pytest.raises(BlockedError, match="etcd was restored to a state from before") as caught:
        run.require_unbroken()
    assert "shipkeeper abort drain-" in caught.value.hint


async def test_another_run_that_finds_it_tells_of_all_it_is_true_of(journal: Journal) -> None:
    ended, older = history(journal), history(journal)
    # Who may not read kube-system knows the cluster by its URL.
    otherwise_named = history(journal, cluster="https://a")
    await ended.kept(lease(10))
    await older.kept(lease(5))
    await otherwise_named.kept(lease(10))
    found(history(journal), lease(7))
    for went_back in (ended, otherwise_named):
        with pytest.raises(BlockedError):
            went_back.require_unbroken()
    older.require_unbroken()


async def test_another_run_tells_nothing_of_a_clone_or_another_cluster(journal: Journal) -> None:
    run = history(journal)
    await run.kept(lease(10))
    found(history(journal, server="https://clone"), lease(7))
    found(history(journal), lease(7, "tunneled to another"))
    run.require_unbroken()


async def test_what_was_noted_after_a_lease_was_read_says_nothing_of_it(journal: Journal) -> None:
    swift, slow = history(journal), history(journal)
    await swift.kept(lease(100))
    marks = slow.marks()
    await swift.kept(lease(101))
    slow.found(lease(100), marks)
    swift.require_unbroken()


async def test_another_lease_leaves_it_open_what_happened(journal: Journal) -> None:
    run = history(journal)
    await run.kept(lease(10))
    found(run, lease(20, "another"))
    with pytest.raises(BlockedError, match="that was deleted, or etcd was restored"):
        run.require_unbroken()


async def test_what_is_no_revision_of_etcd_is_not_compared(journal: Journal) -> None:
    run = history(journal)
    await run.kept(lease("b"))
    found(run, lease("a"))
    run.require_unbroken()


@pytest.mark.parametrize(
    ("seen", "went_back"),
    [
        (taken(5, 10), False),
        (taken(5, None), False),
        (taken(6, 20), False),
        (taken(4, 20), True),
        (taken(4, None), True),
        (taken(5, 20), True),
    ],
    ids=["its own", "released", "another's after", "one before", "released before", "in its place"],
)
async def test_a_lease_that_others_took_after_a_restore_is_not_young(
    journal: Journal, seen: LeaseSpec, went_back: bool
) -> None:
    run = history(journal)
    await run.kept(lease(5000, spec=taken(5, 10)))
    found(run, lease(6000, spec=seen))
    if went_back:
        with pytest.raises(BlockedError, match="etcd was restored"):
            run.require_unbroken()
    else:
        run.require_unbroken()
