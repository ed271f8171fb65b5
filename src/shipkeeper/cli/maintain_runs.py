"""`shipkeeper maintain status|watch|pause|resume|abort`: a maintenance that runs."""

import time

from shipkeeper.cli import resume as runs
from shipkeeper.cli.execution import open_journal
from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.metrics import UNMEASURED, MetricsFlags
from shipkeeper.cli.output import say, show, write
from shipkeeper.engine.brake import Brake
from shipkeeper.engine.history import read_history
from shipkeeper.engine.journal import Journal, Outcome, RunRecord
from shipkeeper.engine.session import is_driven, run_directory
from shipkeeper.errors import UsageError
from shipkeeper.nodes.report import summary_report
from shipkeeper.nodes.summary import RunSummary, summarise

_LOOK_EVERY = 1.0  # seconds


def status(run: str = "", /, *, output: Output = None) -> None:
    """Show where a maintenance stands, the latest unless one is named."""
    journal = open_journal()
    record = _record(journal, run)
    show(summary_report(_summary(journal, record)), output)
    say(_condition(journal, record))


def watch(run: str = "", /) -> None:
    """Show where a maintenance stands, whenever that changes, until nobody drives it any more."""
    journal = open_journal()
    before = ""
    while True:
        record = _record(journal, run)
        report = summary_report(_summary(journal, record))
        condition = _condition(journal, record)
        shown = f"{report}{condition}"
        if shown != before:
            show(report, None)
            say(condition)
            before = shown
        if not is_driven(journal, record.id):
            return
        time.sleep(_LOOK_EVERY)


def pause(run: str = "", /) -> None:
    """Let a running maintenance begin no further node; those under way are finished."""
    journal = open_journal()
    record = _record(journal, run)
    if not is_driven(journal, record.id):
        raise UsageError(
            f"run {record.id} is not running: {_condition(journal, record)}",
            reason="NotRunning",
            hint=f"see it with: shipkeeper maintain status {record.id}",
        )
    changed = Brake(run_directory(journal, record.id)).put_on()
    write(f"run/{record.id} {'paused' if changed else 'already paused'}\n")


async def resume(
    run: str = "",
    /,
    *,
    output: Output = None,
    metrics: MetricsFlags = UNMEASURED,
    cluster: Cluster = CURRENT,
) -> None:
    """Let a paused maintenance begin further nodes; go on with one that was interrupted."""
    journal = open_journal()
    record = _record(journal, run)
    changed = Brake(run_directory(journal, record.id)).let_go()
    if is_driven(journal, record.id):
        write(f"run/{record.id} {'resumed' if changed else 'already running'}\n")
        return
    await runs.resume(record.id, output=output, metrics=metrics, cluster=cluster)


async def abort(run: str = "", /, *, cluster: Cluster = CURRENT) -> None:
    """Give a maintenance up: nodes that it cordoned, and only those, are uncordoned."""
    journal = open_journal()
    await runs.abort(_record(journal, run).id, cluster=cluster)


def _record(journal: Journal, run: str) -> RunRecord:
    if run:
        return journal.run(run)
    found = next((each for each in journal.runs() if each.procedure == "maintain"), None)
    if found is None:
        raise UsageError(
            "there is no maintenance in the journal",
            reason="NoRun",
            hint="begin one with: shipkeeper maintain run",
        )
    return found


def _summary(journal: Journal, record: RunRecord) -> RunSummary:
    return summarise(read_history(record, journal.entries(record.id)))


def _condition(journal: Journal, record: RunRecord) -> str:
    """Whether a run goes on, and if not, how it goes on."""
    name = f"run {record.id}"
    if is_driven(journal, record.id):
        if Brake(run_directory(journal, record.id)).is_on:
            return f"{name} is paused: go on with: shipkeeper maintain resume {record.id}"
        return f"{name} is running"
    if record.outcome is Outcome.ABORTING:
        return f"{name} is half given up: take back the rest with: shipkeeper abort {record.id}"
    if record.is_unfinished:
        return (
            f"{name} was interrupted: go on with: shipkeeper maintain resume {record.id}; "
            f"or give it up with: shipkeeper maintain abort {record.id}"
        )
    return f"{name} has ended: {record.outcome}"
