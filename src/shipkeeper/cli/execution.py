"""Seeing a run through: progress while it lasts, a closing word, and what a stop leaves behind."""

import asyncio
from collections.abc import Awaitable, Callable

from shipkeeper.cli.metrics import UNMEASURED, MetricsFlags
from shipkeeper.cli.output import say, show
from shipkeeper.cli.progress import Screen, open_screen
from shipkeeper.cli.words import KubectlWords, pending
from shipkeeper.engine.history import read_history
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.engine.progress import Event, RunStarted, Sink
from shipkeeper.engine.run import RunResult
from shipkeeper.errors import InterruptedRunError
from shipkeeper.nodes.report import plan_line, summary_report
from shipkeeper.nodes.standing import Standing
from shipkeeper.nodes.summary import failure_of, summarise
from shipkeeper.paths import state_dir

Start = Callable[[Sink], Awaitable[RunResult]]


def _usual_way(run: str) -> str:
    return (
        f"go on with the same command or: shipkeeper resume {run}; "
        f"give it up and uncordon with: shipkeeper abort {run}"
    )


def open_journal() -> Journal:
    """The journal of this user."""
    return Journal(state_dir() / "journal.db")


async def see_through(
    start: Start,
    *,
    deletes: bool = False,
    in_words: bool = True,
    metrics: MetricsFlags = UNMEASURED,
    way_on: Callable[[str], str] = _usual_way,
) -> RunResult:
    """Show a run from its start to its end, a drain also in kubectl's words, and measure it.

    A Ctrl-C stops it safely and becomes an InterruptedRunError that says how to go on: `way_on`
    has the words for that, by the run's id.
    """
    async with metrics.collecting() as measured, open_screen() as screen:
        words = KubectlWords(screen.put, screen.say, deletes=deletes)

        def tell(event: Event) -> None:
            screen(event)
            measured(event)
            if isinstance(event, RunStarted):
                _introduce(event, screen)
            if in_words:
                words(event)

        try:
            result = await start(tell)
        except asyncio.CancelledError:
            raise _interrupted(screen.standing, way_on) from None
        measured.end(has_succeeded=result.outcome is Outcome.SUCCEEDED)
        return result


def _introduce(event: RunStarted, screen: Screen) -> None:
    resumed = "going on where it was interrupted: " if event.resumed else ""
    screen.say(f"run {event.run}: {resumed}{plan_line(event.plan)}")


def _interrupted(standing: Standing, way_on: Callable[[str], str]) -> InterruptedRunError:
    if not standing.run:
        return InterruptedRunError("interrupted before anything was changed", reason="Interrupted")
    return InterruptedRunError(
        f"interrupted: run {standing.run} stopped safely at: {standing}",
        reason="Interrupted",
        hint=way_on(standing.run),
    )


def conclude(journal: Journal, result: RunResult, output: str | None, *, in_words: bool) -> None:
    """Show what became of a run; raise the error that says why not all of it was done."""
    run = journal.run(result.run)
    summary = summarise(read_history(run, journal.entries(run.id)))
    if output or not in_words:
        show(summary_report(summary), output)
    failure = failure_of(result, summary)
    if failure is not None:
        if in_words:
            say(pending([node.node for node in summary.nodes if not node.is_done]))
        raise failure
