"""The work queue: one worker a key, nothing lost, nothing done twice for the same news."""

import asyncio
from datetime import timedelta

import pytest

from shipkeeper.operator.queue import WorkQueue


async def test_what_is_added_often_is_handled_once() -> None:
    queue = WorkQueue()
    for _ in range(3):
        queue.add("a")
    assert queue.depth == 1
    assert await queue.get() == "a"
    assert queue.depth == 0


async def test_what_is_added_while_it_is_handled_is_handled_again_afterwards() -> None:
    queue = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert queue.depth == 0, "nobody else may handle it meanwhile"
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.depth == 0


async def test_the_earliest_of_several_times_counts() -> None:
    queue = WorkQueue()
    queue.add_after("a", timedelta(hours=1))
    queue.add_after("a", timedelta(milliseconds=1))
    queue.add_after("a", timedelta(hours=2))
    async with asyncio.timeout(10):
        assert await queue.get() == "a"


async def test_failures_in_a_row_wait_longer_and_a_success_ends_the_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, delays = WorkQueue(), list[timedelta]()

    def note(_key: str, delay: timedelta) -> None:
        delays.append(delay)

    monkeypatch.setattr(queue, "add_after", note)
    for _ in range(12):
        queue.retry("a")
    assert delays[0] <= timedelta(seconds=0.5)
    assert delays[-1] >= timedelta(minutes=1)
    queue.succeeded("a")
    queue.retry("a")
    assert delays[-1] <= timedelta(seconds=0.5)


async def test_nothing_comes_after_its_end() -> None:
    queue = WorkQueue()
    queue.add_after("a", timedelta(milliseconds=1))
    queue.close()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await queue.get()
