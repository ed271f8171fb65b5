"""Which contexts a console serves, by which names, and what becomes of one that fails."""

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.errors import UsageError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.web.app import Application
from shipkeeper.web.clusters import Member, mark_of
from shipkeeper.web.opening import Shared
from shipkeeper.web.server import ServeOptions, require_safe
from tests.cli.run import SHIPKEEPER
from tests.web.many import BROKEN, EAST, WEST, clusters, many
from tests.web.served import WITHIN, Tab, served

__all__ = ["many"]


async def test_if_none_can_be_used_nothing_is_served(many: Path) -> None:
    with pytest.raises(Exception, match="nowhere"):
        async with served(many, contexts=(BROKEN, "no-such-context")):
            pass


async def test_a_bug_is_reported_once_however_often_it_is_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shipkeeper.web.clusters._TRY_AGAIN", 0.0)
    bugs: list[Exception] = []
    said: list[str] = []
    tries = 0
    is_enough = asyncio.Event()

    @asynccontextmanager
    async def opening() -> AsyncGenerator[Application]:
        nonlocal tries
        tries += 1
        if tries == 10:
            is_enough.set()
        raise KeyError("first" if tries < 5 else "second")
        yield

    member = Member(EAST, opening, shared(said), bugs.append, lambda _: True)
    task = asyncio.create_task(member.run())
    async with asyncio.timeout(WITHIN):
        await is_enough.wait()
    task.cancel()
    assert [repr(each) for each in bugs] == ["KeyError('first')", "KeyError('second')"]
    assert len(said) == 2


def shared(said: list[str]) -> Shared:
    """What a member needs that is never opened."""
    nothing: Any = None
    return Shared(
        url="http://127.0.0.1:1",
        is_local=True,
        takes_certificates=False,
        files=nothing,
        journal=nothing,
        directory=Path(),
        place=None,
        planning=nothing,
        say=said.append,
    )


def test_what_cannot_be_of_several_is_refused() -> None:
    common = ServeOptions(
        host="127.0.0.1",
        port=0,
        certificate=Path("a"),
        key=Path("b"),
        connection=ConnectionOptions(),
        flags=(),
        directory=Path(),
        contexts=("a", "b"),
        client_ca=Path("c"),
    )
    with pytest.raises(UsageError, match="of one cluster"):
        require_safe(common)


@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=6, unique=True))
def test_every_context_has_a_mark_of_its_own(names: list[str]) -> None:
    marks = [mark_of(name) for name in names]
    assert len(set(marks)) == len(names)
    for mark in marks:
        assert mark.isascii()
        assert mark[0].isalnum()
        assert len(mark) <= 63
        assert not set(mark) - set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
        )


async def test_the_command_takes_patterns(many: Path) -> None:
    words = ("serve", "--port=0", f"--kubeconfig={many}", "--context", "e*", "--context", WEST)
    process = await asyncio.create_subprocess_exec(
        SHIPKEEPER, *words, env=dict(os.environ), stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(WITHIN):
            said = [(await process.stderr.readline()).decode() for _ in range(2)]
        link = next(line.split()[-1] for line in said if "?link=" in line)
        url = link.partition("/?")[0]
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            async with http.get(link):
                pass
            assert list(await clusters(Tab(url, http))) == [EAST, WEST]
    finally:
        process.terminate()
        await process.wait()
