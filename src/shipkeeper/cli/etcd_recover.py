"""`shipkeeper etcd recover`: a kubeadm control plane brought back from a snapshot, over SSH."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.control_plane_flags import NOWHERE, ControlPlaneFlags
from shipkeeper.cli.execution import open_journal
from shipkeeper.cli.host_runs import AS_A_TABLE, HostRunFlags, required
from shipkeeper.cli.output import write
from shipkeeper.engine.journal import RunRecord
from shipkeeper.engine.progress import quiet
from shipkeeper.errors import UsageError
from shipkeeper.etcd.recover import procedure
from shipkeeper.etcd.recover.report import recovered_report, recovery_report
from shipkeeper.model.duration import parse_duration


async def recover(
    file: Path,
    /,
    *,
    skip_hash_check: Annotated[
        bool, Parameter(help="Take a file without a sha256, as from a data directory.")
    ] = False,
    timeout: Annotated[
        str,
        Parameter(
            help="How long each wait may take; the kubelet starts no pod sooner than it likes."
        ),
    ] = "6m",
    abort: Annotated[
        bool, Parameter(help="Give the recovery up that is under way: the old etcd runs again.")
    ] = False,
    flags: HostRunFlags = AS_A_TABLE,
    reached: ControlPlaneFlags = NOWHERE,
) -> None:
    """Bring a kubeadm control plane back from one snapshot, on every control-plane host.

    Up to the point of no return, which the plan names, a step that fails lets the old etcd run
    again. A run that was interrupted, or that failed past that point, goes on with the same
    command.
    """
    hosts = reached.hosts()
    runs = procedure.runs_of(hosts, open_journal())
    found = procedure.under_way(runs)
    if abort:
        record = required(found, "recovery")
        await procedure.abort(runs, record, quiet)
        write(f"run/{record.id} aborted\n")
        return
    if found is None:
        patience = parse_duration(timeout).total_seconds()
        plan = await procedure.prepare(
            hosts, file, skip_hash_check=skip_hash_check, timeout=patience
        )
    else:
        _require_same(found, file)
        plan = found.plan
    await flags.carry_out(
        runs,
        plan,
        found,
        page=lambda: recovery_report(plan, datetime.now(UTC)),
        told=recovered_report,
        way_on=_way_on,
    )


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
