"""Who waits for a state or hears of changes, without a server."""

import asyncio

import pytest

from shipkeeper.kube.changes import Added, Change, Deleted
from shipkeeper.kube.replica import Replica
from shipkeeper.model.meta import KubeObject, ObjectMeta

A = KubeObject(metadata=ObjectMeta(name="a", uid="1", resource_version="1"))


async def _waiting(replica: Replica[KubeObject]) -> "asyncio.Task[None]":
    task = asyncio.create_task(replica.wait_for(lambda objects: "a" in objects))
    await asyncio.sleep(0)
    return task


async def test_a_state_that_passes_is_not_missed() -> None:
    replica: Replica[KubeObject] = Replica()
    waiting = await _waiting(replica)
    replica.apply([Added(A), Deleted(A)])
    await asyncio.wait_for(waiting, 10)


async def test_who_waits_is_told_of_a_failure_until_it_is_taken_back() -> None:
    replica: Replica[KubeObject] = Replica()
    waiting = await _waiting(replica)
    replica.fail(ZeroDivisionError("now"))
    with pytest.raises(ZeroDivisionError, match="now"):
        await waiting
    with pytest.raises(ZeroDivisionError):
        await replica.wait_for(lambda objects: "a" in objects)
    await replica.wait_for(lambda objects: not objects)
    replica.recover()
    waiting = await _waiting(replica)
    replica.apply([Added(A)])
    await waiting


async def test_a_predicate_that_fails_fails_its_own_waiter_alone() -> None:
    replica: Replica[KubeObject] = Replica()
    other = await _waiting(replica)
    failing = asyncio.create_task(replica.wait_for(lambda objects: bool(objects and 1 / 0)))
    await asyncio.sleep(0)
    replica.apply([Added(A)])
    with pytest.raises(ZeroDivisionError):
        await failing
    await other


async def test_who_gives_up_waiting_is_forgotten() -> None:
    replica: Replica[KubeObject] = Replica()
    waiting = await _waiting(replica)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    replica.apply([Added(A)])


async def test_a_callback_sees_the_change_and_may_unsubscribe_itself() -> None:
    replica: Replica[KubeObject] = Replica()
    heard: list[Change[KubeObject]] = []

    def once(change: Change[KubeObject]) -> None:
        assert dict(replica.objects) == {"a": A}
        heard.append(change)
        unsubscribe()

    unsubscribe = replica.subscribe(once)
    replica.apply([Added(A), Deleted(A)])
    assert heard == [Added(A)]


def test_the_view_cannot_be_written_to() -> None:
    replica: Replica[KubeObject] = Replica()
    with pytest.raises(TypeError):
        replica.objects["a"] = A  # pyright: ignore[reportIndexIssue]
