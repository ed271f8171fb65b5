"""Seeing a restore through: what it tells while it lasts, and how it ended."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from shipkeeper.cli.output import say, show
from shipkeeper.engine.history import read_history
from shipkeeper.engine.history_report import run_report
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.engine.onlooking import as_line
from shipkeeper.engine.progress import Event, RunStarted, Sink
from shipkeeper.engine.run import RunResult
from shipkeeper.errors import IncompleteError, InterruptedRunError

Start = Callable[[Sink], Awaitable[RunResult]]


async def see_restore_through(start: Start) -> RunResult:
    """Write every event as a line of JSON to stderr; a Ctrl-C stops safely."""
    run = ""

    def tell(event: Event) -> None:
        nonlocal run
        if isinstance(event, RunStarted):
            run = event.run
        line = {"time": datetime.now(UTC), **as_line(event)}
        say(msgspec.json.encode(line).decode())

    try:
        return await start(tell)
    except asyncio.CancelledError:
        raise InterruptedRunError(
            f"interrupted: run {run} stopped safely" if run else "interrupted before any change",
            reason="Interrupted",
            hint=f"go on with the same command; put webhooks back with: shipkeeper abort {run}",
        ) from None


def conclude_restore(journal: Journal, result: RunResult, output: str | None) -> None:
    """Show what became of the run; IncompleteError if not everything came back."""
    record = journal.run(result.run)
    show(run_report(read_history(record, journal.entries(record.id))), output)
    if result.outcome is Outcome.SUCCEEDED:
        return
    said = [each.message for each in result.failures]
    said += [f"{each.target}: {each.message}" for each in record.plan.blockers]
    shown = "; ".join(said[:5]) + (f" and {len(said) - 5} more" if len(said) > 5 else "")
    first = [*result.failures, *record.plan.blockers][0]
    raise IncompleteError(
        f"not everything came back: {shown}",
        reason=first.reason,
        hint=first.remedy or f"see it all with: shipkeeper runs show {result.run}",
    )
