"""A run is gone on with, or given up, in the cluster that it began in; one that starts is that."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from shipkeeper.backup import restore
from shipkeeper.engine import session
from shipkeeper.engine.journal import Journal, Outcome, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Sink, quiet
from shipkeeper.engine.session import cluster_identity
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ForbiddenError
from shipkeeper.nodes import procedure
from shipkeeper.upgrade import procedure as upgrade
from tests.faults.faults import refusal
from tests.nodes.test_eviction_rules import through_proxy
from tests.nodes.world import World

Way = Callable[[Connection, Journal, RunRecord, Sink], Awaitable[Any]]
WAYS = [procedure.resume, procedure.abort, restore.abort, upgrade.abort]
SYSTEM = "/namespaces/kube-system"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_LOOK_EVERY", 0.01)


def interrupted(cluster: str) -> RunRecord:
    return RunRecord(
        id="drain-1",
        procedure="drain",
        cluster=cluster,
        plan=Plan(procedure="drain", request={}, steps=()),
        started_at=datetime.now(UTC),
        outcome=Outcome.INTERRUPTED,
    )


@pytest.mark.parametrize("way", WAYS)
async def test_who_may_not_see_which_cluster_it_is_is_not_told_it_is_another(
    newest_world: World, way: Way
) -> None:
    world = newest_world
    run = interrupted(await cluster_identity(world.reader))
    async with through_proxy(world) as (proxy, connection):
        refused = proxy.inject(refusal(403, "Forbidden"), path=SYSTEM, times=None)
        with pytest.raises(ForbiddenError, match="not allowed to get"):
            await way(connection, world.journal, run, quiet)
    assert refused.count > 1


@pytest.mark.parametrize("way", WAYS)
async def test_an_api_server_that_starts_is_asked_again(newest_world: World, way: Way) -> None:
    world = newest_world
    async with through_proxy(world) as (proxy, connection):
        refused = proxy.inject(refusal(403, "Forbidden"), path=SYSTEM, times=3)
        with pytest.raises(UsageError, match="began in another cluster: elsewhere"):
            await way(connection, world.journal, interrupted("elsewhere"), quiet)
    assert refused.count == 3


async def test_who_begins_without_seeing_it_goes_on_whether_they_see_it_or_not(
    newest_world: World,
) -> None:
    world = newest_world
    run = interrupted(world.connection.credentials.server)
    await session.require_same_cluster(world.connection, run)
