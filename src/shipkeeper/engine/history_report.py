"""How the runs of the journal look."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from shipkeeper.engine.history import RunHistory, StepHistory, StepState
from shipkeeper.engine.journal import RunRecord
from shipkeeper.engine.report import Column, Report, Table, item_list
from shipkeeper.model.duration import format_age, format_duration

_RUNS = (
    Column("RUN"),
    Column("PROCEDURE"),
    Column("CLUSTER"),
    Column("STARTED"),
    Column("TOOK", wide=True),
    Column("BY", wide=True),
    Column("OUTCOME"),
)
_STEPS = (
    Column("STEP"),
    Column("STATE"),
    Column("ITEMS"),
    Column("TOOK"),
    Column("EFFECT"),
    Column("MESSAGE"),
)
# What a run has for an outcome while it has none.
UNFINISHED = "Unfinished"
_SHORT = 8  # characters of a cluster's identity that tell it from the user's few others


class RunRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run in a list."""

    id: str
    procedure: str
    cluster: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    person: str
    door: str


def runs_report(runs: Sequence[RunRecord], now: datetime) -> Report:
    """The list of runs."""
    rows = tuple(
        RunRow(
            id=run.id,
            procedure=run.procedure,
            cluster=run.cluster,
            started_at=run.started_at,
            finished_at=run.finished_at,
            outcome=run.outcome or UNFINISHED,
            person=run.person,
            door=run.door,
        )
        for run in runs
    )
    return Report(
        value=item_list(rows),
        body=(Table(_RUNS, tuple(_run(row, now) for row in rows)),),
        names=tuple(f"run/{row.id}" for row in rows),
    )


def _run(row: RunRow, now: datetime) -> tuple[str, ...]:
    return (
        row.id,
        row.procedure,
        row.cluster[:_SHORT],
        f"{format_age(now - row.started_at)} ago",
        _took(row.started_at, row.finished_at),
        f"{row.person} ({row.door})" if row.person else "-",
        row.outcome,
    )


def run_report(history: RunHistory) -> Report:
    """One run, step by step."""
    title = (
        f"{history.id}: {history.procedure} in cluster {history.cluster}, "
        f"{history.outcome or UNFINISHED}"
    )
    return Report(
        value=history,
        body=(
            title,
            Table(_STEPS, tuple(map(_step, history.steps))),
            "\n".join(_revisions(history)),
        ),
        names=(f"run/{history.id}",),
    )


def _revisions(history: RunHistory) -> Iterable[str]:
    """What changed the plan while it was carried out."""
    for revision in history.revisions:
        at = "" if revision.at is None else f" at {revision.at:%T}Z"
        yield from (f"planned anew{at}: {change}" for change in revision.changes)


def _step(step: StepHistory) -> tuple[str, ...]:
    done = sum(item.state is StepState.DONE for item in step.items)
    return (
        step.id,
        step.state,
        f"{done}/{len(step.items)}" if step.items else "-",
        _took(step.began_at, step.ended_at),
        step.effect,
        step.message or "-",
    )


def _took(began: datetime | None, ended: datetime | None) -> str:
    if began is None or ended is None:
        return "-"
    return format_duration(timedelta(seconds=(ended - began).total_seconds()))
