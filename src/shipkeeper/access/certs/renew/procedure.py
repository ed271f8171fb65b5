"""A renewal: look at the hosts, plan, and what its runs are done by."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

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
from shipkeeper.engine.action import Action
from shipkeeper.engine.host_runs import HostRuns
from shipkeeper.engine.journal import Journal
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Sink
from shipkeeper.hosts.host import Host
from shipkeeper.hosts.together import together


async def prepare(hosts: Mapping[str, Host], request: Request, server: str) -> Plan:
    """Look at every host, and plan; writes nothing.

    `server` is the URL at which the cluster was asked for them; empty if they were named.
    """
    seen = await together(*map(observe, hosts.values()))
    return plan_renewal(seen, request, datetime.now(UTC), server=server)


async def observe(host: Host) -> Seen:
    """A host as it is now: its certificates, its tools, and what its ports present."""
    found, tools = await together(look(host), run_on(host, programs.survey()))
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
        away=tuple(each.removeprefix("away ") for each in lines if each.startswith("away ")),
        free=next((int(each.split()[1]) for each in lines if each.startswith("free ")), 0),
        is_hidden=any(
            each.hides(one)
            for each, one in zip(watched, seen, strict=True)
            if each.component == API_SERVER
        ),
        leads=any(each.is_plain for each in leading),
        watched=with_sight(watched, seen, is_ready=all(servers) and bool(servers)),
    )


def runs_of(hosts: Mapping[str, Host], journal: Journal) -> HostRuns:
    """The renewals of these hosts."""

    def actions(plan: Plan, _directory: Path, _tell: Sink) -> Mapping[str, Action]:
        outlook, request = outlook_of(plan), request_of(plan)
        bench = Bench(
            hosts=hosts,
            sites={each.host: each for each in outlook.sites},
            folder=outlook.folder,
            timeout=request.timeout,
        )
        return switching_actions(
            bench, lambda host, site: stage(outlook, host, site, is_all=not request.names)
        )

    return HostRuns(
        journal=journal, procedure=PROCEDURE, hosts=frozenset(hosts), actions_of=actions
    )
