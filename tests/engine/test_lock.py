"""The cluster's lock on a real API server: one holder, taken over only when it is dead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest

from shipkeeper.engine.lock import cluster_lock
from shipkeeper.engine.progress import quiet
from shipkeeper.engine.tenure import NAME, NAMESPACE, LeaseTimes, LockLostError, Tenure
from shipkeeper.errors import LockHeldError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import LEASES
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.sandbox import Sandbox

TIMES = LeaseTimes(
    duration=timedelta(seconds=3),
    renew_every=timedelta(seconds=0.5),
    again_after=timedelta(seconds=0.1),
    patience=timedelta(seconds=6),
    refused=timedelta(seconds=1),
)


@pytest.fixture
async def connection(sandbox: Sandbox) -> AsyncIterator[Connection]:
    async with connect(ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))) as opened:
        yield opened


def hold(
    connection: Connection, identity: str, *, gone: str = ""
) -> AbstractAsyncContextManager[Tenure]:
    return cluster_lock(
        Reader(connection),
        Writer(connection),
        identity,
        is_gone=lambda holder: holder == gone,
        tell=quiet,
        times=TIMES,
    )


async def holder_of(connection: Connection) -> str | None:
    return (await Reader(connection).get(LEASES, NAME, NAMESPACE)).spec.holder_identity


async def seize(connection: Connection, identity: str) -> None:
    patch: dict[str, Any] = {"spec": {"holderIdentity": identity}}
    await Writer(connection).patch(LEASES, NAME, patch, namespace=NAMESPACE)


async def test_a_second_run_is_told_who_holds_it(connection: Connection) -> None:
    async with hold(connection, "one"):
        with pytest.raises(LockHeldError, match="one"):
            async with hold(connection, "two"):
                pytest.fail("two holders at once")
    assert not await holder_of(connection)


async def test_the_holder_keeps_it_longer_than_it_lasts(connection: Connection) -> None:
    async with hold(connection, "one"):
        await asyncio.sleep(4)
        with pytest.raises(LockHeldError):
            async with hold(connection, "two"):
                pytest.fail("two holders at once")


async def test_a_silent_holder_is_replaced_after_it_was_watched(connection: Connection) -> None:
    async with hold(connection, "one"):
        pass
    await seize(connection, "dead")
    async with asyncio.timeout(20), hold(connection, "two"):
        assert await holder_of(connection) == "two"


async def test_a_holder_that_is_known_to_be_gone_is_replaced_at_once(
    connection: Connection,
) -> None:
    async with hold(connection, "one"), hold(connection, "two", gone="one"):
        assert await holder_of(connection) == "two"
        # The first would find out at its next renewal.
        await seize(connection, "one")


async def test_whoever_loses_it_is_stopped(connection: Connection) -> None:
    async def lose() -> None:
        async with hold(connection, "one"):
            await seize(connection, "thief")
            await asyncio.sleep(30)

    with pytest.raises(LockLostError, match="thief"):
        await lose()


async def test_an_error_of_the_body_comes_through(connection: Connection) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with hold(connection, "one"):
            raise ValueError("mine")
    assert not await holder_of(connection)


async def test_a_renewal_whose_answer_was_never_heard_leaves_nothing_locked(
    connection: Connection,
) -> None:
    async with hold(connection, "one"):
        await seize(connection, "one")
    assert not await holder_of(connection)
