"""A lock: one at a time, in their order, those in a hurry first, and none is ever lost."""

import asyncio

import pytest

from shipkeeper.operator.priority_lock import PriorityLock


async def test_whoever_is_in_a_hurry_goes_before_all_others_that_wait() -> None:
    turns, order = PriorityLock(), list[str]()

    async def take(name: str, *, in_hurry: bool = False) -> None:
        async with turns.held(in_hurry=in_hurry):
            order.append(name)
            await asyncio.sleep(0)
            assert order[-1] == name

    async with asyncio.TaskGroup() as tasks:
        for name in ("first", "second", "third"):
            tasks.create_task(take(name))
        for name in ("hurried", "hurried, too"):
            tasks.create_task(take(name, in_hurry=True))
    assert order == ["first", "hurried", "hurried, too", "second", "third"]


@pytest.mark.parametrize("pauses", range(4))
async def test_whoever_is_cancelled_as_their_turn_comes_passes_it_on(pauses: int) -> None:
    turns, order = PriorityLock(), list[str]()

    async def take(name: str) -> None:
        async with turns.held():
            order.append(name)

    async with asyncio.TaskGroup() as tasks:
        async with turns.held():
            early = tasks.create_task(take("early"))
            tasks.create_task(take("late"))
            await asyncio.sleep(0)
        for _ in range(pauses):
            await asyncio.sleep(0)
        early.cancel()
    assert order[-1] == "late"
    async with turns.held():
        pass


async def test_a_failure_passes_the_turn_on() -> None:
    turns = PriorityLock()
    with pytest.raises(LookupError):
        async with turns.held():
            raise LookupError
    async with turns.held():
        pass
