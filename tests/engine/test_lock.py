"""The cluster's lock on a real API server: one holder, taken over only when it is dead."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from shipkeeper.engine.journal import Journal
from shipkeeper.engine.lock import cluster_lock
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import quiet
from shipkeeper.engine.session import new_run
from shipkeeper.engine.setback import History
from shipkeeper.engine.tenure import NAME, NAMESPACE, LeaseTimes, LockLostError, Tenure
from shipkeeper.engine.witness import NOBODY, Mark, Witness
from shipkeeper.errors import LockHeldError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import LEASES, Resource
from shipkeeper.kube.writer import Writer
from shipkeeper.model.lease import Lease
from shipkeeper.model.meta import KubeObject
from shipkeeper.sandbox.sandbox import Sandbox

T = TypeVar("T", bound=KubeObject)
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
    connection: Connection,
    identity: str,
    *,
    gone: str = "",
    witness: Witness = NOBODY,
    reader: Reader | None = None,
) -> AbstractAsyncContextManager[Tenure]:
    return cluster_lock(
        reader or Reader(connection),
        Writer(connection),
        identity,
        is_gone=lambda holder: holder == gone,
        tell=quiet,
        times=TIMES,
        witness=witness,
    )


async def holder_of(connection: Connection) -> str | None:
    return (await Reader(connection).get(LEASES, NAME, NAMESPACE)).spec.holder_identity


async def seize(connection: Connection, identity: str | None) -> None:
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
    # What it lost is not its own to give away.
    assert await holder_of(connection) == "thief"
    await seize(connection, None)


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


class Stalled:
    """Who remembers nothing more from some note on, until it is let go."""

    def __init__(self, after: int) -> None:
        self._left = after
        self.stalls = asyncio.Event()
        self.goes_on = asyncio.Event()

    def marks(self) -> Sequence[Mark]:
        return ()

    def found(self, lease: Lease, marks: Sequence[Mark]) -> None:
        pass

    async def kept(self, lease: Lease) -> None:
        if self._left == 0:
            self.stalls.set()
            await self.goes_on.wait()
        self._left = max(0, self._left - 1)


async def test_a_slow_journal_does_not_keep_it_from_being_renewed(connection: Connection) -> None:
    slow = Stalled(after=1)
    async with asyncio.timeout(30), hold(connection, "one", witness=slow) as tenure:
        await slow.stalls.wait()
        for _ in range(3):
            await tenure.proven()
        slow.goes_on.set()


async def test_whoever_is_stopped_right_after_taking_it_gives_it_back(
    connection: Connection,
) -> None:
    slow = Stalled(after=0)

    async def hold_it() -> None:
        async with hold(connection, "one", witness=slow):
            pytest.fail("it was stopped before")

    holding = asyncio.create_task(hold_it())
    async with asyncio.timeout(30):
        await slow.stalls.wait()
    assert await holder_of(connection) == "one"
    holding.cancel()
    await asyncio.sleep(0)
    slow.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert not await holder_of(connection)


class Overtaken(Reader):
    """Who reads the Lease, and stalls once while another run holds it."""

    def __init__(self, connection: Connection, other: Witness) -> None:
        super().__init__(connection)
        self._opened = connection
        self._others = [other]

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        read = await super().get(resource, name, namespace)
        while self._others:
            async with hold(self._opened, "swift", witness=self._others.pop()):
                pass
        return read


async def test_a_run_that_held_it_while_another_stalled_did_not_go_back(
    connection: Connection, tmp_path: Path
) -> None:
    plan = Plan(procedure="drain", request={}, steps=(), verdicts=())
    with contextlib.closing(Journal(tmp_path / "journal.db")) as journal:
        swift, slow = (History(journal, new_run(plan, "c"), "https://c") for _ in range(2))
        async with hold(connection, "swift", witness=swift):
            pass
        stalling = Overtaken(connection, swift)
        async with hold(connection, "slow", witness=slow, reader=stalling):
            assert await holder_of(connection) == "slow"
        swift.require_unbroken()
