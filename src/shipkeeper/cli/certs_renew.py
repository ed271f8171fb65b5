"""`shipkeeper certs renew`: new certificates for a control plane, over SSH."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from shipkeeper.access.certs.renew import procedure
from shipkeeper.access.certs.renew.plan import Request, request_of
from shipkeeper.access.certs.renew.report import renewal_report
from shipkeeper.cli.certs_hosts import BY_NODES, ControlPlaneFlags
from shipkeeper.cli.execution import open_journal, see_through
from shipkeeper.cli.flags import CURRENT, Cluster
from shipkeeper.cli.output import show, write
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.history import read_history
from shipkeeper.engine.history_report import run_report
from shipkeeper.engine.journal import Journal, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import quiet
from shipkeeper.errors import BlockedError, ShipkeeperError, UsageError
from shipkeeper.hosts.host import Host
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
    dry_run: ClientDryRun = "none",
    output: Output = None,
    reached: ControlPlaneFlags = BY_NODES,
    cluster: Cluster = CURRENT,
) -> None:
    """Renew a control plane's certificates, all or those named, one host after the other.

    Names are kubeadm's (apiserver, etcd-peer, admin.conf, …). All are made and compared before
    anything in use changes; then each host's components restart, proven by what their ports
    present. A step that fails puts back what was there. Run again, it goes on where it stopped.
    """
    hosts, journal = await reached.hosts(cluster), open_journal()
    found = procedure.under_way(journal, hosts)
    if abort:
        await _abort(hosts, journal, found)
        return
    request = Request(
        hosts=tuple(hosts),
        names=names,
        how=how or "",
        timeout=parse_duration(timeout).total_seconds(),
    )
    planned = await _planned(hosts, request, found)
    if dry_run == "client":
        show(renewal_report(planned, datetime.now(UTC)), output)
    refuse(planned)
    if dry_run == "client":
        return
    result = await see_through(
        lambda tell: procedure.execute(hosts, journal, planned, found, tell),
        in_words=False,
        way_on=way_on,
    )
    run = journal.run(result.run)
    show(run_report(read_history(run, journal.entries(run.id))), output)
    for failure in result.failures:
        kind = BlockedError if failure.blocks else ShipkeeperError
        raise kind(failure.message, reason=failure.reason, hint=failure.remedy)


async def _planned(hosts: Mapping[str, Host], request: Request, found: RunRecord | None) -> Plan:
    if found is None:
        return await procedure.prepare(hosts, request)
    begun = request_of(found.plan)
    if set(begun.names) != set(request.names):
        raise UsageError(
            f"run {found.id} renews {', '.join(begun.names) or 'all'} and has not come to its end",
            reason="OtherRun",
            hint="go on with it by the same names, or give it up with --abort",
        )
    return found.plan


async def _abort(hosts: Mapping[str, Host], journal: Journal, found: RunRecord | None) -> None:
    if found is None:
        raise UsageError(
            "no renewal of these hosts is under way",
            reason="NothingUnderWay",
            hint="name the hosts that it was begun with; see it with: shipkeeper runs",
        )
    await procedure.abort(hosts, journal, found, quiet)
    write(f"run/{found.id} aborted\n")


def refuse(planned: Plan) -> None:
    """BlockedError with the first verdict that forbids a plan."""
    if planned.blockers:
        first = planned.blockers[0]
        more = f" (and {len(planned.blockers) - 1} more)" if len(planned.blockers) > 1 else ""
        raise BlockedError(
            f"{first.target}: {first.message}{more}", reason=first.reason, hint=first.remedy
        )


def way_on(_run: str) -> str:
    """How to go on with a run that was interrupted."""
    return "go on with the same command; put back what was there with the same and --abort"
