"""Work on several hosts: whoever fails first, none of it goes on behind the error."""

import asyncio

import pytest

from shipkeeper.hosts.together import together


async def test_what_each_gives_comes_in_order() -> None:
    async def give(value: int) -> int:
        await asyncio.sleep(0)
        return value

    assert await together(give(1), give(2), give(3)) == (1, 2, 3)


async def test_all_have_ended_when_the_first_error_is_raised() -> None:
    later, ended = asyncio.Event(), list[str]()

    async def fail(name: str) -> None:
        later.set()
        raise OSError(name)

    async def fail_later(name: str) -> None:
        await later.wait()
        await asyncio.sleep(0.01)
        ended.append(name)
        raise OSError(name)

    with pytest.raises(OSError, match="first"):
        await together(fail_later("first"), fail("second"), fail_later("third"))
    assert sorted(ended) == ["first", "third"]
