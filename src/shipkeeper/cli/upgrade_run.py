"""`shipkeeper upgrade run|status|resume|abort`."""

from datetime import UTC, datetime

from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.departure_flags import UNHURRIED, DepartureFlags
from shipkeeper.cli.drain_flags import CAREFUL, DrainFlags
from shipkeeper.cli.execution import conclude, open_journal, see_through
from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.fleet_flags import ONE_BY_ONE, FleetFlags
from shipkeeper.cli.metrics import UNMEASURED, MetricsFlags
from shipkeeper.cli.output import say, show, write
from shipkeeper.cli.output_flags import ClientDryRun
from shipkeeper.cli.upgrade_flags import AS_USUAL, To, UpgradeFlags
from shipkeeper.cli.upgrade_look import refuse
from shipkeeper.engine.journal import Journal, RunRecord
from shipkeeper.engine.progress import quiet
from shipkeeper.engine.session import is_driven
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.upgrade import procedure
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.plan import PROCEDURE
from shipkeeper.upgrade.plan_report import upgrade_report
from shipkeeper.upgrade.status import standing_of, status_report


async def run(
    *,
    to: To,
    dry_run: ClientDryRun = "none",
    output: Output = None,
    upgrade: UpgradeFlags = AS_USUAL,
    fleet: FleetFlags = ONE_BY_ONE,
    drain: DrainFlags = CAREFUL,
    departure: DepartureFlags = UNHURRIED,
    repository: RepositoryFlags = HERE,
    metrics: MetricsFlags = UNMEASURED,
    cluster: Cluster = CURRENT,
) -> None:
    """Upgrade a kubeadm cluster over SSH, hop by hop; with --wait, watch its provider do it.

    A run that was interrupted goes on with the same command. One that failed is planned anew by it,
    from where the cluster is.
    """
    options = upgrade.options(to, fleet, drain, departure, repository)
    async with connect(cluster.options(page_size=drain.chunk_size)) as connection:
        planned = await procedure.prepare(connection, options, catalog())
        if dry_run == "client":
            show(upgrade_report(planned, datetime.now(UTC)), output)
        refuse(planned)
        if dry_run == "client":
            return
        if not planned.steps:
            say(f"everything is {options.target} already")
            return
        journal = open_journal()
        result = await see_through(
            lambda tell: procedure.execute(connection, journal, planned, tell),
            in_words=False,
            metrics=metrics,
        )
    conclude(journal, result, output, in_words=False)


def status(run: str = "", /, *, output: Output = None) -> None:
    """Show where an upgrade stands, the latest unless one is named, and how it can go on."""
    journal = open_journal()
    record = _record(journal, run)
    is_running = is_driven(journal, record.id)
    standing = standing_of(record, journal.entries(record.id), is_running=is_running)
    show(status_report(standing), output)


async def resume(run: str = "", /, *, output: Output = None, cluster: Cluster = CURRENT) -> None:
    """Go on with an interrupted upgrade where it stopped; nothing is done twice."""
    journal = open_journal()
    record = _record(journal, run)
    async with connect(cluster.options()) as connection:
        result = await see_through(
            lambda tell: procedure.resume(connection, journal, record, tell), in_words=False
        )
    conclude(journal, result, output, in_words=False)


async def abort(run: str = "", /, *, cluster: Cluster = CURRENT) -> None:
    """Give an upgrade up: nodes that it cordoned are uncordoned, and what that leaves is said."""
    journal = open_journal()
    record = _record(journal, run)
    async with connect(cluster.options()) as connection:
        await procedure.abort(connection, journal, record, quiet)
    write(f"run/{record.id} aborted\n")
    say(standing_of(record, journal.entries(record.id), is_running=False).way_back)


def _record(journal: Journal, run: str) -> RunRecord:
    found = [each for each in journal.runs() if each.procedure == PROCEDURE]
    if run:
        found = [journal.run(run)]
    if not found or found[0].procedure != PROCEDURE:
        raise UsageError(
            "there is no such upgrade in the journal",
            reason="NoRun",
            hint="begin one with: shipkeeper upgrade run --to VERSION",
        )
    return found[0]
