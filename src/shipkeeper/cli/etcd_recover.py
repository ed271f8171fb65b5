"""`shipkeeper etcd recover`: a kubeadm control plane brought back from a snapshot, over SSH."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.control_plane_flags import NOWHERE, ControlPlaneFlags
from shipkeeper.cli.execution import open_journal, see_through
from shipkeeper.cli.output import show, write
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.history import read_history
from shipkeeper.engine.journal import Journal, RunRecord
from shipkeeper.engine.progress import quiet
from shipkeeper.errors import BlockedError, ShipkeeperError, UsageError
from shipkeeper.etcd.recover import procedure
from shipkeeper.etcd.recover.report import recovered_report, recovery_report
from shipkeeper.hosts.host import Host
from shipkeeper.model.duration import parse_duration


async def recover(
    file: Path,
    /,
    *,
    skip_hash_check: Annotated[
        bool, Parameter(help="Take a file without a sha256, as from a data directory.")
    ] = False,
    timeout: Annotated[
        str, Parameter(help="How long each wait for a process, or its health, may take.")
    ] = "3m",
    abort: Annotated[
        bool, Parameter(help="Give the recovery up that is under way: the old etcd runs again.")
    ] = False,
    dry_run: ClientDryRun = "none",
    output: Output = None,
    reached: ControlPlaneFlags = NOWHERE,
) -> None:
    """Bring a kubeadm control plane back from one snapshot, on every control-plane host.

    Up to the point of no return, which the plan names, a step that fails lets the old etcd run
    again. A run that was interrupted, or that failed past that point, goes on with the same
    command.
    """
    hosts, journal = reached.hosts(), open_journal()
    found = procedure.under_way(journal, hosts)
    if abort:
        await _abort(hosts, journal, found)
        return
    if found is None:
        patience = parse_duration(timeout).total_seconds()
        planned = await procedure.prepare(
            hosts, file, skip_hash_check=skip_hash_check, timeout=patience
        )
    else:
        _require_same(found, file)
        planned = found.plan
    if dry_run == "client":
        show(recovery_report(planned, datetime.now(UTC)), output)
    if planned.blockers:
        first = planned.blockers[0]
        raise BlockedError(first.message, reason=first.reason, hint=first.remedy)
    if dry_run == "client":
        return
    result = await see_through(
        lambda tell: procedure.execute(hosts, journal, planned, found, tell),
        in_words=False,
        way_on=_way_on,
    )
    run = journal.run(result.run)
    show(recovered_report(read_history(run, journal.entries(run.id))), output)
    for failure in result.failures:
        raise ShipkeeperError(failure.message, reason=failure.reason, hint=failure.remedy)


async def _abort(hosts: Mapping[str, Host], journal: Journal, found: RunRecord | None) -> None:
    if found is None:
        raise UsageError(
            "no recovery of these hosts is under way",
            reason="NothingUnderWay",
            hint="name the hosts that it was begun with; see it with: shipkeeper runs",
        )
    await procedure.abort(hosts, journal, found, quiet)
    write(f"run/{found.id} aborted\n")


def _require_same(found: RunRecord, file: Path) -> None:
    begun_with = found.plan.request["snapshot"]
    if begun_with != str(file.absolute()):
        raise UsageError(
            f"run {found.id} recovers these hosts from {begun_with} and has not come to its end",
            reason="OtherSnapshot",
            hint=f"go on with: shipkeeper etcd recover {begun_with}; "
            "or give it up with the same and --abort",
        )


def _way_on(_run: str) -> str:
    return (
        "go on with the same command; let the old etcd run again with the same command and --abort"
    )
