"""Whether a run's journal may be trusted, by what it had seen of the cluster's Lease."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shipkeeper.engine.journal import Journal
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.session import new_run
from shipkeeper.engine.setback import History
from shipkeeper.errors import BlockedError
from shipkeeper.model.lease import Lease
from shipkeeper.model.meta import ObjectMeta


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def history(journal: Journal, cluster: str = "a") -> History:
    plan = Plan(procedure="drain", request={}, steps=(), verdicts=())
    return History(journal, new_run(plan, cluster))


def lease(revision: int | str, uid: str = "u") -> Lease:
    return Lease(metadata=ObjectMeta(uid=uid, resource_version=str(revision)))


async def test_a_cluster_that_went_on_is_trusted(journal: Journal) -> None:
    run = history(journal)
    run.found(lease(3))
    run.require_unbroken()
    await run.kept(lease(10))
    # Released, and held by others meanwhile.
    run.found(lease(10))
    run.found(lease(1000))
    run.require_unbroken()


async def test_an_older_lease_ends_the_trust_for_good(journal: Journal) -> None:
    run = history(journal)
    await run.kept(lease(9))
    await run.kept(lease(10))
    run.found(lease(9))
    # Whatever becomes of the Lease later.
    await run.kept(lease(1_000_000_000))
    run.found(lease(1_000_000_000))
    with pytest.raises(BlockedError, match="etcd was restored to a state from before") as caught:
        run.require_unbroken()
    assert "shipkeeper abort drain-" in caught.value.hint


async def test_another_run_that_finds_it_tells_of_all_it_is_true_of(journal: Journal) -> None:
    ended, older, elsewhere = history(journal), history(journal), history(journal, "b")
    await ended.kept(lease(10))
    await older.kept(lease(5))
    await elsewhere.kept(lease(10))
    history(journal).found(lease(7))
    with pytest.raises(BlockedError):
        ended.require_unbroken()
    older.require_unbroken()
    elsewhere.require_unbroken()


async def test_another_lease_leaves_it_open_what_happened(journal: Journal) -> None:
    run = history(journal)
    await run.kept(lease(10))
    run.found(lease(20, "another"))
    with pytest.raises(BlockedError, match="that was deleted, or etcd was restored"):
        run.require_unbroken()


async def test_what_is_no_revision_of_etcd_is_not_compared(journal: Journal) -> None:
    run = history(journal)
    await run.kept(lease("b"))
    run.found(lease("a"))
    run.require_unbroken()
