"""`shipkeeper certs rotate-ca`: an authority replaced by a new one, stage by stage, over SSH."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.access.certs.renew.leaves import Authority
from shipkeeper.access.certs.rotate import procedure
from shipkeeper.access.certs.rotate.outlook import outlook_of
from shipkeeper.access.certs.rotate.procedure import Wish
from shipkeeper.access.certs.rotate.report import stage_report
from shipkeeper.access.certs.rotate.standing import Stage
from shipkeeper.cli.certs_hosts import SSH_TO_ALL, NodeHostFlags
from shipkeeper.cli.certs_renew import refuse, way_on
from shipkeeper.cli.execution import open_journal, see_through
from shipkeeper.cli.flags import CURRENT, Cluster
from shipkeeper.cli.output import say, show, write
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.history import read_history
from shipkeeper.engine.history_report import run_report
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.engine.progress import quiet
from shipkeeper.errors import BlockedError, ShipkeeperError, UsageError
from shipkeeper.hosts.host import Host
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.model.duration import parse_duration


async def rotate_ca(
    authority: Authority,
    /,
    *,
    through: Annotated[
        Stage | None,
        Parameter(help="Go on through this stage without a stop; else one stage is run."),
    ] = None,
    back: Annotated[
        bool, Parameter(help="Put the last stage back: every host is as it was before it.")
    ] = False,
    accept_old_pods: Annotated[
        bool, Parameter(help="Drop the old authority though pods run that may know it alone.")
    ] = False,
    timeout: Annotated[
        str, Parameter(help="How long each wait for a process, or its health, may take.")
    ] = "3m",
    dry_run: ClientDryRun = "none",
    output: Output = None,
    reached: NodeHostFlags = SSH_TO_ALL,
    cluster: Cluster = CURRENT,
) -> None:
    """Replace an authority (kubernetes, etcd or front-proxy) in stages: trust, move, drop.

    trust: hosts, pods and kubeconfigs trust both. move: everything is certified by the new one.
    drop: the old one is trusted no more. Each command runs the next stage and stops; --back puts
    a stage back, also one that was interrupted. Interrupted, the same command goes on with it.
    """
    wish = Wish(
        authority=authority,
        timeout=parse_duration(timeout).total_seconds(),
        accept_old_pods=accept_old_pods,
    )
    journal = open_journal()
    async with connect(cluster.options()) as connection:
        sites = await reached.sites(connection)
        if back:
            await _put_back(connection, sites, journal, authority)
            return
        while True:
            stage = await _stage(connection, sites, journal, wish, dry_run, output)
            if (
                dry_run == "client"
                or through is None
                or list(Stage).index(stage) >= list(Stage).index(through)
            ):
                return


async def _stage(
    connection: Connection,
    sites: Mapping[str, Host],
    journal: Journal,
    wish: Wish,
    dry_run: str,
    output: str | None,
) -> Stage:
    """Run the next stage, or go on with the one under way; say which it was."""
    found = procedure.under_way(journal, sites)
    planned = found.plan if found else await procedure.prepare(connection, sites, wish)
    outlook = outlook_of(planned)
    if outlook.authority is not wish.authority:
        raise UsageError(
            f"stage {outlook.stage} of the authority {outlook.authority} is under way",
            reason="OtherRun",
            hint=f"go on with: shipkeeper certs rotate-ca {outlook.authority}; or put it back "
            "with the same and --back",
        )
    if dry_run == "client":
        show(stage_report(planned, datetime.now(UTC)), output)
    refuse(planned)
    if dry_run == "client":
        return outlook.stage
    say(f"authority {outlook.authority}: stage {outlook.stage}")
    result = await see_through(
        lambda tell: procedure.execute(connection, sites, journal, planned, found, tell),
        in_words=False,
        way_on=lambda run: way_on(run).replace("--abort", "--back"),
    )
    run = journal.run(result.run)
    show(run_report(read_history(run, journal.entries(run.id))), output)
    for failure in result.failures:
        kind = BlockedError if failure.blocks else ShipkeeperError
        raise kind(failure.message, reason=failure.reason, hint=failure.remedy)
    return outlook.stage


async def _put_back(
    connection: Connection, sites: Mapping[str, Host], journal: Journal, authority: Authority
) -> None:
    found = procedure.newest(journal, sites)
    is_back = found is not None and found.outcome is Outcome.ABORTED
    if found is None or is_back or outlook_of(found.plan).authority is not authority:
        raise UsageError(
            f"no stage of the authority {authority} was run from here that is not put back",
            reason="NothingUnderWay",
            hint="see what was run with: shipkeeper runs",
        )
    stage = outlook_of(found.plan).stage
    await procedure.put_back(connection, sites, journal, found, quiet)
    write(f"run/{found.id}: stage {stage} put back\n")
