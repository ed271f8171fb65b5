"""Work beside the reconcilers: told once, to the object that it was done for, and bounded."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.errands import Errands


def named(name: str, uid: str, generation: int = 1) -> CustomObject:
    body = {"metadata": {"name": name, "uid": uid, "generation": generation}}
    return msgspec.json.decode(msgspec.json.encode(body), type=CustomObject)


def saying(said: str) -> Callable[[], Awaitable[str]]:
    async def work() -> str:
        return said

    return work


async def test_what_was_done_for_an_object_is_not_told_to_another_of_its_name() -> None:
    done: asyncio.Queue[str] = asyncio.Queue()
    errands: Errands[str] = Errands(done.put_nowait)
    first, second = named("x", "1"), named("x", "2")
    assert errands.outcome(first, saying("first")) is None
    await done.get()
    assert errands.is_under_way(first)
    assert not errands.is_under_way(second)
    assert errands.outcome(second, saying("second")) is None
    await done.get()
    assert errands.outcome(second, saying("again")) == "second"
    assert not errands.is_under_way(second)


@pytest.mark.parametrize("of_spec", [False, True])
async def test_what_was_done_for_an_old_spec_is_told_only_where_that_does_not_matter(
    *, of_spec: bool
) -> None:
    done: asyncio.Queue[str] = asyncio.Queue()
    errands: Errands[str] = Errands(done.put_nowait, of_spec=of_spec)
    before, after = named("x", "1"), named("x", "1", generation=2)
    errands.outcome(before, saying("before"))
    await done.get()
    told = errands.outcome(after, saying("after"))
    if told is None:
        await done.get()
        told = errands.outcome(after, saying("again"))
    assert told == ("after" if of_spec else "before")


async def test_the_work_for_an_object_ends_when_another_has_its_name() -> None:
    errands: Errands[str] = Errands(lambda _: None)
    ended = asyncio.Event()

    async def long() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    errands.outcome(named("x", "1"), long)
    await asyncio.sleep(0)
    errands.outcome(named("x", "2"), saying("second"))
    async with asyncio.timeout(400):
        await ended.wait()
    await errands.stop()


async def test_work_that_is_halted_does_nothing_more() -> None:
    errands: Errands[str] = Errands(lambda _: None)
    is_over = False

    async def long() -> str:
        nonlocal is_over
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            is_over = True
        return ""

    found = named("x", "1")
    errands.outcome(found, long)
    await asyncio.sleep(0)
    await errands.halt(found.key)
    assert is_over
    assert not errands.is_under_way(found)


async def test_errands_of_several_kinds_share_their_slots() -> None:
    slots = asyncio.Semaphore(2)
    most = under_way = 0
    finished: asyncio.Queue[str] = asyncio.Queue()

    async def work() -> str:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        for _ in range(5):
            await asyncio.sleep(0)
        under_way -= 1
        return ""

    kinds = [Errands[str](finished.put_nowait, slots) for _ in range(4)]
    for number, errands in enumerate(kinds):
        errands.outcome(named(f"x{number}", "1"), work)
    for _ in kinds:
        await finished.get()
    assert most == 2


async def test_errands_that_share_a_turn_leave_a_slot_to_others() -> None:
    slots, turn = asyncio.Semaphore(2), asyncio.Lock()
    finished: asyncio.Queue[str] = asyncio.Queue()
    long = [Errands[str](finished.put_nowait, slots, turn) for _ in range(2)]

    async def for_ever() -> str:
        await asyncio.Event().wait()
        return ""

    for number, errands in enumerate(long):
        errands.outcome(named(f"long{number}", "1"), for_ever)
        await asyncio.sleep(0)
    other = Errands[str](finished.put_nowait, slots)
    other.outcome(named("short", "1"), saying("done"))
    async with asyncio.timeout(400):
        assert await finished.get() == "short"
    for errands in long:
        await errands.stop()
