"""What a reader answers out of a watch, and what it asks the real API server for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.following import FollowingReader, NotingWriter
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.writer import Writer
from tests.faults.faults import Cut, Drop
from tests.faults.proxy import FaultProxy
from tests.kube.following import LIMIT, eventually
from tests.kube.marks import ON_NEWEST
from tests.kube.objects import CONFIG_MAPS, MINE, config_map

pytestmark = ON_NEWEST

WATCH = "watch=true"


@pytest.fixture
async def knowing(reader: Reader, writer: Writer, namespace: str) -> AsyncIterator[FollowingReader]:
    """A reader behind the proxy that knows one ConfigMap."""
    await writer.create(CONFIG_MAPS, config_map("known", n="1"), namespace=namespace)
    reflector = Reflector(reader, CONFIG_MAPS, namespace=namespace, label_selector=MINE)
    async with reflector as followed:
        yield FollowingReader(reader.connection, followed, CONFIG_MAPS)


def change(n: str) -> dict[str, dict[str, str]]:
    return {"data": {"n": n}}


async def test_what_is_watched_is_not_asked_for(
    knowing: FollowingReader, proxy: FaultProxy, namespace: str
) -> None:
    asked = len(proxy.requests)
    found = await knowing.get(CONFIG_MAPS, "known", namespace)
    assert found.data == {"n": "1"}
    assert len(proxy.requests) == asked


async def test_what_is_not_known_is_asked_for(
    knowing: FollowingReader, writer: Writer, namespace: str
) -> None:
    unlabelled = {**config_map("other", n="2"), "metadata": {"name": "other"}}
    await writer.create(CONFIG_MAPS, unlabelled, namespace=namespace)
    assert (await knowing.get(CONFIG_MAPS, "other", namespace)).data == {"n": "2"}
    with pytest.raises(NotFoundError):
        await knowing.get(CONFIG_MAPS, "none", namespace)


async def test_one_reads_what_one_wrote_before_the_watch_tells_of_it(
    knowing: FollowingReader, direct: Connection, namespace: str
) -> None:
    noting = NotingWriter(direct, knowing)
    for number in range(20):
        await noting.patch(CONFIG_MAPS, "known", change(str(number)), namespace=namespace)
        assert (await knowing.get(CONFIG_MAPS, "known", namespace)).data == {"n": str(number)}


async def test_what_others_change_after_it_wins(
    knowing: FollowingReader, direct: Connection, writer: Writer, namespace: str
) -> None:
    await NotingWriter(direct, knowing).patch(
        CONFIG_MAPS, "known", change("ours"), namespace=namespace
    )
    await writer.patch(CONFIG_MAPS, "known", change("theirs"), namespace=namespace)

    async def is_theirs() -> bool:
        found = await knowing.get(CONFIG_MAPS, "known", namespace)
        return found.data == {"n": "theirs"}

    async with asyncio.timeout(LIMIT):
        while not await is_theirs():
            await asyncio.sleep(0.01)


async def test_while_the_watch_is_broken_it_asks(
    knowing: FollowingReader, proxy: FaultProxy, writer: Writer, namespace: str
) -> None:
    proxy.inject(Drop(), path=WATCH)
    proxy.strike(Cut())
    await eventually(lambda: knowing.followed.stale_since is not None)
    await writer.patch(CONFIG_MAPS, "known", change("new"), namespace=namespace)
    assert (await knowing.get(CONFIG_MAPS, "known", namespace)).data == {"n": "new"}


async def test_lists_of_a_moment_ago_are_answered_from_the_watch_while_it_holds(
    knowing: FollowingReader, proxy: FaultProxy
) -> None:
    knowing.answer_lists(CONFIG_MAPS, knowing.followed)
    asked = len(proxy.requests)
    found = await knowing.list(CONFIG_MAPS, at_hand=True)
    assert [each.name for each in found.items] == ["known"]
    assert found.resource_version == knowing.followed.revision
    assert len(proxy.requests) == asked
    proxy.inject(Drop(), path=WATCH)
    proxy.strike(Cut())
    await eventually(lambda: knowing.followed.stale_since is not None)
    assert len((await knowing.list(CONFIG_MAPS, at_hand=True)).items) > 1


async def test_lists_of_now_are_asked_for(knowing: FollowingReader, proxy: FaultProxy) -> None:
    knowing.answer_lists(CONFIG_MAPS, knowing.followed)
    asked = len(proxy.requests)
    assert len((await knowing.list(CONFIG_MAPS)).items) > 1
    assert len(proxy.requests) > asked
