"""Appointments are kept once, in time, and one at a time for each key."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from shipkeeper.sandbox.hollow.timetable import Timetable

HOUR = 3600.0


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def running(
    keep: Callable[[str], Awaitable[None]], *, at_once: int = 2
) -> AsyncGenerator[Timetable[str]]:
    timetable = Timetable(keep, at_once=at_once)
    task = asyncio.create_task(timetable.run())
    async with asyncio.timeout(400):
        yield timetable
    task.cancel()
    await asyncio.wait([task])


async def test_the_earlier_of_two_appointments_stays() -> None:
    kept: asyncio.Queue[str] = asyncio.Queue()
    async with running(kept.put) as timetable:
        timetable.at("sooner", now() + HOUR)
        timetable.at("sooner", now())
        timetable.at("later", now() + HOUR)
        timetable.at("later", now() + 2 * HOUR)
        timetable.at("as it was", now())
        timetable.at("as it was", now() + HOUR)
        assert {await kept.get(), await kept.get()} == {"sooner", "as it was"}
        await settle()
    assert kept.empty()


async def test_what_is_cancelled_is_not_kept_even_when_it_is_due() -> None:
    kept: asyncio.Queue[str] = asyncio.Queue()
    free = asyncio.Event()

    async def keep(key: str) -> None:
        if key == "first":
            await free.wait()
        await kept.put(key)

    async with running(keep, at_once=1) as timetable:
        timetable.at("first", now())
        timetable.at("dropped", now())
        timetable.at("renewed", now())
        await settle()
        timetable.cancel("dropped")
        timetable.cancel("renewed")
        timetable.at("renewed", now())
        await settle()
        free.set()
        assert [await kept.get(), await kept.get()] == ["first", "renewed"]
        await settle()
    assert kept.empty()


async def test_one_key_is_never_attended_to_twice_at_once() -> None:
    begun: list[str] = []
    free = asyncio.Event()

    async def keep(key: str) -> None:
        begun.append(key)
        await free.wait()

    async with running(keep) as timetable:
        timetable.at("key", now())
        await settle()
        timetable.at("key", now())
        await settle()
        assert begun == ["key"]
        free.set()
        await settle()
        assert begun == ["key", "key"]


async def test_a_failure_ends_it() -> None:
    async def keep(_: str) -> None:
        raise ValueError("broken")

    timetable = Timetable(keep, at_once=2)
    timetable.at("key", now())
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(400):
            await timetable.run()


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(20):
        await asyncio.sleep(0)
