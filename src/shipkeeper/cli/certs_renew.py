"""`shipkeeper certs renew`: new certificates for a control plane, over SSH."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from shipkeeper.access.certs.renew import procedure
from shipkeeper.access.certs.renew.plan import PROCEDURE, Request, request_of
from shipkeeper.access.certs.renew.report import renewal_report
from shipkeeper.cli.certs_hosts import BY_NODES, ControlPlaneFlags, of_same_cluster
from shipkeeper.cli.execution import open_journal
from shipkeeper.cli.flags import CURRENT, Cluster
from shipkeeper.cli.host_runs import AS_A_TABLE, HostRunFlags, required
from shipkeeper.cli.output import write
from shipkeeper.engine.host_runs import last_run_at
from shipkeeper.engine.journal import Journal, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import quiet
from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.hosts.host import Host
from shipkeeper.kube.connection import connect
from shipkeeper.model.duration import parse_duration


async def renew(
    *names: str,
    how: Annotated[
        Literal["kubeadm", "openssl"] | None,
        Parameter(help="By which tool of the host; kubeadm where it is, else openssl."),
    ] = None,
    timeout: Annotated[
        str, Parameter(help="How long each wait for a process, or its health, may take.")
    ] = "3m",
    abort: Annotated[
        bool, Parameter(help="Give the renewal up that is under way: what was there is put back.")
    ] = False,
    flags: HostRunFlags = AS_A_TABLE,
    reached: ControlPlaneFlags = BY_NODES,
    cluster: Cluster = CURRENT,
) -> None:
    """Renew a control plane's certificates, all or those named, one host after the other.

    Names are kubeadm's (apiserver, etcd-peer, admin.conf, …). All are made and compared before
    anything in use changes; then each host's components restart, proven by what their ports
    present. A step that fails puts back what was there. Run again, it goes on where it stopped.
    """
    journal = open_journal()
    server = "" if reached.host else await _server(cluster)
    hosts = await _hosts(reached, cluster, journal, server)
    runs = procedure.runs_of(hosts, journal)
    found = runs.under_way()
    if abort:
        record = required(found, "renewal")
        await runs.abort(record, quiet)
        write(f"run/{record.id} aborted\n")
        return
    request = Request(
        hosts=tuple(hosts),
        names=names,
        how=how or "",
        timeout=parse_duration(timeout).total_seconds(),
    )
    plan = await _planned(hosts, request, server, found)
    await flags.carry_out(
        runs, plan, found, page=lambda: renewal_report(plan, datetime.now(UTC)), way_on=_way_on
    )


async def _planned(
    hosts: Mapping[str, Host], request: Request, server: str, found: RunRecord | None
) -> Plan:
    if found is None:
        return await procedure.prepare(hosts, request, server)
    begun = request_of(found.plan)
    if set(begun.names) != set(request.names):
        raise UsageError(
            f"run {found.id} renews {', '.join(begun.names) or 'all'} and has not come to its end",
            reason="OtherRun",
            hint="go on with it by the same names, or give it up with --abort",
        )
    return found.plan


async def _server(cluster: Cluster) -> str:
    """The cluster's URL; empty if it is not known, which whoever asks for its hosts will tell."""
    with suppress(ShipkeeperError):
        async with connect(cluster.options()) as connection:
            return connection.credentials.server
    return ""


async def _hosts(
    reached: ControlPlaneFlags, cluster: Cluster, journal: Journal, server: str
) -> Mapping[str, Host]:
    """The hosts of the run to go on with, or to give up; else those named, or of the Nodes.

    A run that was cut off may have left nobody who could be asked for them.
    """
    last = last_run_at(journal, PROCEDURE, server) if server else None
    if last is None or not last.is_unfinished:
        return await reached.hosts(cluster)
    return await of_same_cluster(reached.at(request_of(last.plan).hosts), reached.hosts(cluster))


def _way_on(_run: str) -> str:
    return "go on with the same command; put back what was there with the same and --abort"
