"""A run's hold of the lock while the API server is away: nothing is changed, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.lock import cluster_lock
from shipkeeper.engine.progress import Event, Note
from shipkeeper.engine.tenure import NAME, NAMESPACE, LeaseTimes, LockLostError, Tenure
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ForbiddenError, NotFoundError, UnreachableError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import LEASES, NAMESPACES
from shipkeeper.kube.steady import SteadyConnection
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.sandbox import Sandbox
from tests.faults.faults import Drop, Fault, LoseAnswer, refusal
from tests.faults.proxy import FaultProxy

TIMES = LeaseTimes(
    duration=timedelta(seconds=3),
    renew_every=timedelta(seconds=1),
    again_after=timedelta(seconds=0.2),
    patience=timedelta(seconds=60),
    refused=timedelta(seconds=2),
)
_LEASE = f"/leases/{NAME}"


class Field:
    """A cluster seen directly, and through a proxy that can go away."""

    def __init__(
        self,
        proxy: FaultProxy,
        direct: Connection,
        through: Connection,
        restart: Callable[[], FaultProxy],
    ) -> None:
        self.proxy = proxy
        self.restart = restart
        self.direct = direct
        self.through = through
        self.told: list[str] = []

    def hold(self, times: LeaseTimes = TIMES) -> Any:
        """Hold the lock through the proxy."""
        return cluster_lock(
            Reader(self.through),
            Writer(self.through),
            "one",
            is_gone=lambda _: True,
            tell=self._tell,
            times=times,
        )

    def _tell(self, event: Event) -> None:
        assert isinstance(event, Note)
        self.told.append(event.message)

    def run(self, tenure: Tenure) -> SteadyConnection:
        """The requests of the run that holds it."""
        return SteadyConnection(self.through, tenure)

    async def seize(self, holder: str) -> None:
        """Take the lock as another would."""
        patch = {"spec": {"holderIdentity": holder}}
        await Writer(self.direct).patch(LEASES, NAME, patch, namespace=NAMESPACE)

    async def mark(self) -> str:
        """What the runs of these tests leave in the cluster."""
        namespace = await Reader(self.direct).get(NAMESPACES, "default")
        return namespace.metadata.annotations.get("marks", "")


async def mark(requests: SteadyConnection, text: str) -> None:
    patch = {"metadata": {"annotations": {"marks": text}}}
    await Writer(requests).patch(NAMESPACES, "default", patch)


@pytest.fixture
async def field(newest: Sandbox, tmp_path: Path) -> AsyncIterator[Field]:
    direct = ConnectionOptions(kubeconfig=str(newest.kubeconfig))
    async with FaultProxy(newest.kubeconfig, tmp_path) as proxy, connect(direct) as connection:
        by_proxy = ConnectionOptions(kubeconfig=str(proxy.kubeconfig))
        async with connect(by_proxy) as through:
            yield Field(
                proxy,
                connection,
                through,
                restart=lambda: FaultProxy(newest.kubeconfig, tmp_path, port=proxy.port),
            )


async def until_shaky(tenure: Tenure) -> None:
    async with asyncio.timeout(400):
        while tenure.is_firm:
            await asyncio.sleep(0.05)


async def test_an_absence_longer_than_the_lease_is_outlasted(field: Field) -> None:
    async with field.hold() as tenure:
        requests = field.run(tenure)
        await mark(requests, "before")
        await field.proxy.close()
        await until_shaky(tenure)
        reading = asyncio.create_task(Reader(requests).get(NAMESPACES, "default"))
        writing = asyncio.create_task(mark(requests, "after"))
        await asyncio.sleep(3)
        assert not reading.done()
        assert not writing.done()
        assert await field.mark() == "before"
        async with field.restart():
            async with asyncio.timeout(400):
                assert (await reading).name == "default"
                await writing
            assert await field.mark() == "after"
            first, last = field.told
    assert first.startswith("the lock cannot be renewed (")
    assert last.startswith("the API server serves again")


async def test_whoever_lost_it_meanwhile_changes_nothing_more(field: Field) -> None:
    async def lose() -> None:
        async with field.hold() as tenure:
            requests = field.run(tenure)
            await mark(requests, "mine")
            field.proxy.inject(Drop(), times=None)
            await until_shaky(tenure)
            await field.seize("thief")
            writing = asyncio.create_task(mark(requests, "no longer mine"))
            field.proxy.heal()
            await writing

    with pytest.raises(LockLostError, match="thief took it"):
        await lose()
    assert await field.mark() == "mine"


async def test_patience_has_an_end(field: Field) -> None:
    async def wait_in_vain(fault: Fault) -> None:
        times = msgspec.structs.replace(TIMES, patience=timedelta(seconds=4))
        async with field.hold(times):
            field.proxy.inject(fault, times=None)
            await asyncio.sleep(60)

    with pytest.raises(LockLostError, match="could not be renewed for"):
        await wait_in_vain(Drop())
    field.proxy.heal()
    with pytest.raises(LockLostError, match=r"could not be renewed for .*not allowed"):
        await wait_in_vain(refusal(403, "Forbidden"))
    assert len(field.told) == 2


async def test_a_lease_that_is_gone_is_lost(field: Field) -> None:
    async def lose() -> None:
        async with field.hold():
            await Writer(field.direct).delete(LEASES, NAME, namespace=NAMESPACE)
            await asyncio.sleep(60)

    with pytest.raises(LockLostError, match="deleted"):
        await lose()


async def test_a_server_that_starts_refuses_what_it_will_allow(field: Field) -> None:
    async with field.hold() as tenure, asyncio.timeout(400):
        requests = field.run(tenure)
        for path, times in (("/namespaces/default", 1), (_LEASE, 2)):
            field.proxy.inject(refusal(403, "Forbidden"), path=path, times=times)
        await mark(requests, "allowed")
        field.proxy.inject(refusal(503, "ServiceUnavailable"), method="GET", times=8)
        assert (await Reader(requests).get(NAMESPACES, "default")).name == "default"
    assert await field.mark() == "allowed"


async def test_what_the_server_means_is_told(field: Field) -> None:
    async with field.hold() as tenure, asyncio.timeout(400):
        requests = field.run(tenure)
        with pytest.raises(NotFoundError):
            await Reader(requests).get(NAMESPACES, "none")
        refused = field.proxy.inject(
            refusal(403, "Forbidden"), path="/namespaces/default", times=None
        )
        with pytest.raises(ForbiddenError):
            await mark(requests, "forbidden")
        assert refused.count == 2


async def test_a_change_whose_answer_was_lost_is_not_sent_again(field: Field) -> None:
    async with field.hold() as tenure, asyncio.timeout(400):
        lost = field.proxy.inject(LoseAnswer(), path="/namespaces/default", times=None)
        with pytest.raises(UnreachableError):
            await mark(field.run(tenure), "once")
        assert lost.count == 1
    assert await field.mark() == "once"
