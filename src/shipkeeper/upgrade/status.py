"""Where an upgrade stands: its steps, what stopped it, how it goes on, and how far back; pure.

The journal alone tells it: also while the API server is away.
"""

from collections.abc import Sequence

import msgspec

from shipkeeper.engine.history import RunHistory, StepHistory, StepState, read_history
from shipkeeper.engine.journal import Entry, Outcome, RunRecord
from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.upgrade.options import options_of
from shipkeeper.upgrade.outlook import UpgradeOutlook, outlook_of

_COLUMNS = (
    Column("STEP"),
    Column("ACTION", wide=True),
    Column("STATE"),
    Column("EFFECT"),
    Column("MESSAGE"),
)


class UpgradeStanding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An upgrade as it stands; `next` is how to go on, `way_back` how to go back, if one can.

    `snapshot` and `backup` are what was saved first, or why nothing was.
    """

    run: str
    state: str
    hops: tuple[str, ...]
    steps: tuple[StepHistory, ...]
    next: str
    way_back: str
    snapshot: str
    backup: str


def standing_of(
    record: RunRecord, entries: Sequence[Entry], *, is_running: bool
) -> UpgradeStanding:
    """What the journal tells of an upgrade; its entries come oldest first."""
    outlook, history = outlook_of(record.plan), read_history(record, entries)
    options = options_of(record.plan.request)
    return UpgradeStanding(
        run=record.id,
        state=_state(record, is_running=is_running),
        hops=outlook.hops if outlook else (),
        steps=history.steps,
        next=_next(record, is_running=is_running),
        way_back=_way_back(history, outlook) if outlook else "",
        snapshot=_saved(record, entries, "snapshot", is_left_out=not options.snapshot),
        backup=_saved(record, entries, "backup", is_left_out=options.goes_without_backup),
    )


def status_report(standing: UpgradeStanding) -> Report:
    """Each step, then where it stands and how it goes on."""
    rows = tuple(
        (each.id, each.action, each.state, each.effect, each.message or "-")
        for each in standing.steps
    )
    done = sum(each.state is StepState.DONE for each in standing.steps)
    lines = (
        f"run {standing.run} by {' -> '.join(standing.hops)}: {standing.state}, "
        f"{done} of {len(standing.steps)} steps done",
        f"next: {standing.next}",
        f"way back: {standing.way_back}",
        f"etcd snapshot: {standing.snapshot}",
        f"backup: {standing.backup}",
    )
    return Report(
        value=standing,
        body=(Table(_COLUMNS, rows), "\n".join(lines)),
        names=(f"run/{standing.run}",),
    )


def _state(record: RunRecord, *, is_running: bool) -> str:
    if is_running:
        return "Running"
    return str(record.outcome or "Stopped")


def _next(record: RunRecord, *, is_running: bool) -> str:
    if is_running:
        return "wait for it"
    if record.outcome is Outcome.ABORTING:
        return f"take back the rest: shipkeeper upgrade abort {record.id}"
    if record.is_unfinished:
        return f"shipkeeper upgrade resume {record.id}"
    if record.outcome is Outcome.SUCCEEDED:
        return "nothing: it is done"
    return (
        "mend what the message names, then run the same `shipkeeper upgrade run` again: "
        "it plans from where the cluster is now"
    )


def _saved(record: RunRecord, entries: Sequence[Entry], action: str, *, is_left_out: bool) -> str:
    """What a step of an action saved; why nothing, if so."""
    step = next((each.id for each in record.plan.steps if each.action == action), None)
    if step is None:
        if is_left_out:
            return f"none, as --no-{action} was given"
        lacking = (each for each in record.plan.verdicts if each.reason == f"No{action.title()}")
        warned = next(lacking, None)
        return f"none: {warned.message}" if warned else "none: no control plane is changed by us"
    told = (each.detail.get("saved") for each in reversed(entries) if each.step == step)
    return next((each for each in told if each), "not taken yet")


def _way_back(history: RunHistory, outlook: UpgradeOutlook) -> str:
    """The way of the first point that was not passed yet."""
    begun = {
        each.id
        for each in history.steps
        if each.state is not StepState.PENDING and each.id in outlook.commands
    }
    order = [each.id for each in history.steps]
    last = max((order.index(id_) for id_ in begun), default=-1)
    for point in outlook.return_points:
        if point.until in order and last < order.index(point.until):
            return point.way or f"none: {point.why}"
    passed = outlook.return_points[-1] if outlook.return_points else None
    if passed is None:
        return "none is needed: it changes nothing"
    return passed.way or f"none: {passed.why}"
