"""`shipkeeper runs`: what the journal of this machine holds."""

from datetime import UTC, datetime

from cyclopts import App

from shipkeeper.cli.execution import open_journal
from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.identity import identity_of
from shipkeeper.cli.output import show
from shipkeeper.engine.history import read_history
from shipkeeper.engine.history_report import run_report, runs_report

runs = App(name="runs")


@runs.default
async def list_runs(*, output: Output = None, cluster: Cluster = CURRENT) -> None:
    """List the runs of the journal, newest first; with --context those in that cluster alone."""
    where = await identity_of(cluster) if cluster.context else ""
    show(runs_report(open_journal().runs(cluster=where), datetime.now(UTC)), output)


@runs.command(name="show")
def show_run(run: str, /, *, output: Output = None) -> None:
    """Show a run: its steps, and what became of each."""
    journal = open_journal()
    record = journal.run(run)
    show(run_report(read_history(record, journal.entries(run))), output)
