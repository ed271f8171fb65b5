"""A renewal from end to end: look at the hosts, plan, run, and go on or back after a stop."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from shipkeeper.access.certs.renew import programs
from shipkeeper.access.certs.renew.leaves import API_SERVER
from shipkeeper.access.certs.renew.plan import (
    PROCEDURE,
    Request,
    Seen,
    outlook_of,
    plan_renewal,
    request_of,
)
from shipkeeper.access.certs.renew.reach import is_ready, look, present, run_on
from shipkeeper.access.certs.renew.site import (
    leader_ports,
    server_of,
    watched_ports,
    with_sight,
)
from shipkeeper.access.certs.renew.staging import stage
from shipkeeper.access.certs.renew.switching import Bench, switching_actions
from shipkeeper.engine.journal import Journal, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Sink
from shipkeeper.engine.run import Run, RunResult
from shipkeeper.engine.session import drive_apart, require_resumable
from shipkeeper.hosts.host import Host


async def prepare(hosts: Mapping[str, Host], request: Request) -> Plan:
    """Look at every host, and plan; writes nothing."""
    seen = await asyncio.gather(*map(observe, hosts.values()))
    return plan_renewal(seen, request, datetime.now(UTC))


async def observe(host: Host) -> Seen:
    """A host as it is now: its certificates, its tools, and what its ports present."""
    found, tools = await asyncio.gather(look(host), run_on(host, programs.survey()))
    watched = tuple(watched_ports(found))
    seen = await present(host, watched)
    leading = await present(host, leader_ports(watched))
    servers = [
        await is_ready(host, each, server_of(found), one)
        for each, one in zip(watched, seen, strict=True)
        if each.component == API_SERVER
    ]
    lines = tools.splitlines()
    return Seen(
        host=host.name,
        look=found,
        tools=frozenset(each.removeprefix("tool ") for each in lines if each.startswith("tool ")),
        kubeadm=next((each for each in lines if each.startswith("kubeadm ")), ""),
        has_manifests="manifests" in lines,
        free=next((int(each.split()[1]) for each in lines if each.startswith("free ")), 0),
        is_hidden=any(
            each.hides(one)
            for each, one in zip(watched, seen, strict=True)
            if each.component == API_SERVER
        ),
        leads=any(each.is_plain for each in leading),
        watched=with_sight(watched, seen, is_ready=all(servers) and bool(servers)),
    )


def under_way(journal: Journal, hosts: Mapping[str, Host]) -> RunRecord | None:
    """The renewal of these hosts that was interrupted."""
    newest = next(iter(journal.runs(cluster=_cluster(hosts))), None)
    return newest if newest is not None and newest.is_unfinished else None


async def execute(
    hosts: Mapping[str, Host], journal: Journal, plan: Plan, found: RunRecord | None, tell: Sink
) -> RunResult:
    """Run a plan, or go on with a renewal that is under way.

    BlockedError if that one is half given up.
    """
    if found is not None:
        require_resumable(found)
    with _driven(hosts, journal, plan, found, tell) as run:
        return await run.execute()


async def abort(hosts: Mapping[str, Host], journal: Journal, record: RunRecord, tell: Sink) -> None:
    """Put back on every host what was there before the run."""
    with _driven(hosts, journal, record.plan, record, tell) as run:
        await run.abort()


@contextmanager
def _driven(
    hosts: Mapping[str, Host], journal: Journal, plan: Plan, found: RunRecord | None, tell: Sink
) -> Generator[Run]:
    # The API server of a single control plane is away for a while, and the cluster's lock with it.
    with drive_apart(journal, plan, _cluster(hosts), found, tell) as (run, _):
        outlook, request = outlook_of(run.plan), request_of(run.plan)
        bench = Bench(
            hosts=hosts,
            sites={each.host: each for each in outlook.sites},
            folder=outlook.folder,
            timeout=request.timeout,
        )
        actions = switching_actions(
            bench, lambda host, site: stage(outlook, host, site, is_all=not request.names)
        )
        yield Run(run.id, run.plan, actions, journal, tell)


def _cluster(hosts: Mapping[str, Host]) -> str:
    # The API server may be away, for its certificates may have ended: nobody can be asked.
    return f"{PROCEDURE}:{','.join(sorted(hosts))}"
