"""Work beside the reconcilers: told once, to the object that it was done for, and bounded."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.errands import Errands


def named(name: str, uid: str) -> CustomObject:
    body = {"metadata": {"name": name, "uid": uid}}
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
    await ended.wait()
    await errands.stop()


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
