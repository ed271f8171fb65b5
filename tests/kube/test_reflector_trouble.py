"""The reflector against everything that can break between it and a real API server."""

import asyncio
import time

import pytest

from shipkeeper.kube.changes import Added, Deleted, Modified
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import MalformedAnswerError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.sandbox import Sandbox
from tests.faults.faults import (
    Cut,
    Delay,
    Drop,
    End,
    Fault,
    Freeze,
    Inject,
    expired_event,
    refusal,
    slow_down,
    status,
)
from tests.faults.proxy import FaultProxy
from tests.kube.following import LIMIT, Followed, eventually, following
from tests.kube.marks import ON_NEWEST

WATCH = "watch=true"


# Not the question which revision the server is at.
LIST = r"configmaps\?.*limit=(?!1\b)"


async def test_a_cut_stream_goes_on_where_it_was(followed: Followed, proxy: FaultProxy) -> None:
    for turn in range(5):
        await followed.create(f"before-{turn}")
        await followed.until_told_of(f"before-{turn}")
        assert proxy.strike(Cut()) == 1
        await followed.create(f"after-{turn}")
        await followed.until_told_of(f"after-{turn}")
    names = [f"{when}-{turn}" for turn in range(5) for when in ("before", "after")]
    assert followed.story() == [("Added", name) for name in names]
    assert proxy.count("GET", LIST) == 1


async def test_a_half_open_stream_is_noticed_and_replaced(
    followed: Followed, proxy: FaultProxy
) -> None:
    await followed.create("before")
    await followed.until_told_of("before")
    held = proxy.inject(refusal(500, "InternalError"), path=WATCH, times=3)
    assert proxy.strike(Freeze()) == 1
    await followed.create("unheard")
    await asyncio.wait_for(held.met(2), LIMIT)
    assert followed.reflector.stale_since is not None
    assert followed.reflector.last_error is not None
    await followed.until_told_of("unheard")
    assert followed.reflector.stale_since is None
    assert followed.reflector.last_error is None
    assert followed.story() == [("Added", "before"), ("Added", "unheard")]
    assert proxy.count("GET", LIST) == 1


@ON_NEWEST
async def test_a_server_that_accepts_and_never_answers_is_left(
    followed: Followed, proxy: FaultProxy
) -> None:
    silent = proxy.inject(Delay(3600), path=WATCH, times=2)
    proxy.strike(Cut())
    await followed.create("a")
    await followed.until_told_of("a")
    assert silent.count == 2
    assert followed.story() == [("Added", "a")]


async def test_an_event_of_megabytes_cut_in_its_middle_comes_once(
    followed: Followed, proxy: FaultProxy
) -> None:
    big = "x" * 900_000
    proxy.inject(Cut(after_events=1, and_bytes=500_000), path=WATCH)
    proxy.strike(Cut())
    for turn in range(4):
        await followed.create(f"big-{turn}", big=big)
    await followed.until_told_of("big-3")
    assert followed.story() == [("Added", f"big-{turn}") for turn in range(4)]
    assert all(each.data == {"big": big} for each in followed.reflector.objects.values())


@pytest.mark.parametrize(
    "fault",
    [
        refusal(410, "Expired"),
        expired_event(),
        Inject({"type": "ERROR", "object": status(500, "InternalError")}),
    ],
    ids=["410", "410-event", "500-event"],
)
async def test_after_a_lost_revision_a_new_list_tells_only_what_differs(
    followed: Followed, proxy: FaultProxy, fault: Fault
) -> None:
    for name in ("same", "changed", "gone", "replaced"):
        await followed.create(name, n="1")
    await followed.until(lambda objects: len(objects) == 4)
    before = {each.name: each for each in followed.reflector.objects.values()}
    followed.told.clear()

    proxy.inject(fault, path=WATCH)
    proxy.strike(Freeze())
    await followed.change("changed", n="2")
    changed = await followed.change("changed", n="3")
    await followed.delete("gone")
    await followed.delete("replaced")
    replacement = await followed.create("replaced", n="2")
    new = await followed.create("new")
    await followed.until_told_of("new")

    assert proxy.count("GET", LIST) == 2
    assert followed.told == [
        Deleted(before["gone"]),
        Modified(before["changed"], changed),
        Added(new),
        Deleted(before["replaced"]),
        Added(replacement),
    ]


@ON_NEWEST
@pytest.mark.parametrize(
    "fault",
    [refusal(500, "InternalError"), refusal(429, "TooManyRequests"), Drop(), expired_event()],
    ids=["500", "429", "drop", "410"],
)
async def test_trouble_that_stays_is_met_with_growing_pauses(
    followed: Followed, proxy: FaultProxy, fault: Fault
) -> None:
    began = time.monotonic()
    trouble = proxy.inject(fault, path=WATCH, times=6)
    proxy.strike(Cut())
    await followed.create("a")
    await asyncio.wait_for(trouble.met(6), LIMIT)
    # Five pauses lie between them: 50, 100, 200, 400 and 800 ms, shortened by at most a half.
    assert time.monotonic() - began >= 0.75
    await followed.until(lambda objects: list(objects) == ["a"])
    await eventually(lambda: followed.reflector.last_error is None)
    assert followed.story() == [("Added", "a")]


@ON_NEWEST
async def test_streams_that_end_as_they_begin_are_not_taken_for_health(
    followed: Followed, proxy: FaultProxy
) -> None:
    proxy.inject(End(), path=WATCH, times=None)
    proxy.strike(End())
    await eventually(lambda: followed.reflector.stale_since is not None)
    assert "ends every watch of configmaps" in str(followed.reflector.last_error)
    proxy.heal()
    await followed.create("a")
    await followed.until_told_of("a")
    assert followed.reflector.last_error is None
    assert followed.story() == [("Added", "a")]


@ON_NEWEST
async def test_an_event_that_makes_no_sense_is_not_believed(
    followed: Followed, proxy: FaultProxy
) -> None:
    nonsense = proxy.inject(Inject({"type": "EVENTUALLY", "object": {}}), path=WATCH, times=4)
    proxy.strike(Cut())
    await asyncio.wait_for(nonsense.met(4), LIMIT)
    with pytest.raises(MalformedAnswerError, match="unknown event type 'EVENTUALLY'"):
        await followed.until_told_of("a")
    await followed.create("a")
    # Each watch is healthy until its nonsense is read: only what it tells shows that one stays so.
    await eventually(lambda: followed.story() == [("Added", "a")])


@ON_NEWEST
async def test_a_pause_is_as_long_as_the_server_asks(followed: Followed, proxy: FaultProxy) -> None:
    busy = proxy.inject(slow_down(2), path=WATCH)
    began = time.monotonic()
    proxy.strike(Cut())
    await asyncio.wait_for(busy.met(), LIMIT)
    await followed.create("a")
    await followed.until_told_of("a")
    assert time.monotonic() - began >= 2


@ON_NEWEST
async def test_a_list_that_fails_after_410_is_tried_again(
    followed: Followed, proxy: FaultProxy
) -> None:
    failing = proxy.inject(refusal(500, "InternalError"), path=LIST, times=7)
    proxy.inject(refusal(410, "Expired"), path=WATCH)
    proxy.strike(Cut())
    await followed.create("a")
    await followed.until_told_of("a")
    assert failing.count == 7
    assert followed.story() == [("Added", "a")]


async def test_a_restarted_server_is_followed_again(
    followed: Followed,
    sandbox: Sandbox,
    proxy: FaultProxy,
    direct: Connection,
    writer: Writer,
    namespace: str,
) -> None:
    """One follower is current when the server ends; the other one's revision is forgotten."""
    async with following(Reader(direct), writer, namespace) as current:
        await followed.create("gone")
        await followed.until_told_of("gone")
        held = proxy.inject(Freeze(), path=WATCH, times=None)
        proxy.strike(Cut())
        await asyncio.wait_for(held.met(), LIMIT)
        await followed.delete("gone")
        await followed.create("new", n="1")
        await current.until_told_of("new")
        await asyncio.to_thread(sandbox.restart, "kube-apiserver")
        changed = await followed.change("new", n="2")
        proxy.heal()
        for each in (current, followed):
            await each.until(lambda objects: list(objects.values()) == [changed])
        short = [("Added", "gone"), ("Deleted", "gone"), ("Added", "new")]
        assert followed.story() == short
        assert current.story() == [*short, ("Modified", "new")]
