"""A stage of a rotation: look, plan, and what its runs are done by."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipkeeper.access.certs.renew.leaves import Authority
from shipkeeper.access.certs.renew.procedure import observe
from shipkeeper.access.certs.renew.reach import run_on
from shipkeeper.access.certs.renew.switching import Bench
from shipkeeper.access.certs.rotate import programs
from shipkeeper.access.certs.rotate.cluster import observe_cluster
from shipkeeper.access.certs.rotate.outlook import Place, Request, hosts_of, outlook_of, request_of
from shipkeeper.access.certs.rotate.plan import END, PROCEDURE, plan_stage, standing
from shipkeeper.access.certs.rotate.staging import Rotation
from shipkeeper.access.certs.rotate.standing import Stage, next_stage, read_kept
from shipkeeper.access.certs.rotate.steps import rotation_actions
from shipkeeper.engine.action import Action
from shipkeeper.engine.host_runs import HostRuns
from shipkeeper.engine.journal import Journal, Outcome, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Sink
from shipkeeper.errors import BlockedError, UsageError
from shipkeeper.hosts.host import Host
from shipkeeper.hosts.together import together
from shipkeeper.kube.connection import Connection

_AT_ONCE = 16


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: which authority, at most how many seconds each wait may take."""

    authority: Authority
    timeout: float
    accept_old_pods: bool


async def prepare(connection: Connection, sites: Mapping[str, Host], wish: Wish) -> Plan:
    """Look at every host and at the cluster, and plan the next stage; writes nothing.

    `sites` are the hosts by the names of their Nodes.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def look(node: str, host: Host) -> Place:
        async with slots:
            seen, said = await together(
                observe(host), run_on(host, programs.kept(keep_of(wish.authority)))
            )
            return Place(node=node, seen=seen, kept=read_kept(said))

    places = await together(*(look(node, host) for node, host in sites.items()))
    if not any(each.is_control_plane for each in places):
        raise UsageError(
            "no host of the control plane was found",
            reason="NoHost",
            hint="its API servers must be static pods of hosts that can be reached",
        )
    request = Request(
        authority=wish.authority,
        stage=next_stage(standing(places, wish.authority)),
        hosts=tuple(sorted(each.name for each in sites.values())),
        timeout=wish.timeout,
        accept_old_pods=wish.accept_old_pods,
    )
    return plan_stage(places, await observe_cluster(connection), request, datetime.now(UTC))


def keep_of(authority: Authority) -> str:
    """The folder on hosts that a rotation keeps its authority in, from stage to stage."""
    return f"/etc/kubernetes/rotate-{authority}"


def runs_of(connection: Connection, sites: Mapping[str, Host], journal: Journal) -> HostRuns:
    """The stages that were run on these hosts."""
    hosts = {each.name: each for each in sites.values()}

    def actions(plan: Plan, _directory: Path, _tell: Sink) -> Mapping[str, Action]:
        outlook = outlook_of(plan)
        bench = Bench(
            hosts=hosts,
            sites=hosts_of(outlook),
            folder=outlook.folder,
            timeout=request_of(plan).timeout,
        )
        return rotation_actions(Rotation(hosts=hosts, outlook=outlook), connection, bench)

    return HostRuns(
        journal=journal, procedure=PROCEDURE, hosts=frozenset(hosts), actions_of=actions
    )


async def put_back(runs: HostRuns, record: RunRecord, tell: Sink) -> None:
    """Let every host be as it was before a stage; BlockedError once the old authority is gone."""
    is_over = record.outcome is Outcome.SUCCEEDED
    # Said before anything is given up: a run that is given up cannot be brought to its end.
    is_over = is_over or any(each.step == END for each in runs.journal.entries(record.id))
    if is_over and outlook_of(record.plan).stage is Stage.DROP:
        on = "go on with the same command without --back; " if record.is_unfinished else ""
        raise BlockedError(
            f"run {record.id} dropped the old authority: there is no way back from that",
            reason="NoReturn",
            hint=f"{on}rotate again, if the new one must go as well",
        )
    await runs.abort(record, tell)
