"""How the run of a ClusterUpgrade stands, as its status tells it. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shipkeeper.engine.history import RunHistory, StepState, read_history
from shipkeeper.engine.journal import Entry, Outcome, RunRecord
from shipkeeper.nodes.report import plan_line
from shipkeeper.nodes.summary import summarise
from shipkeeper.operator.api.conditions import settled
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.api.upgrades import ClusterUpgradeStatus
from shipkeeper.operator.over_nodes import (
    LONGEST,
    counted_nodes,
    progress,
    troubles_of,
    under_way,
)
from shipkeeper.operator.shown import ShownPlan
from shipkeeper.operator.situation import ENDS, Phase, Situation
from shipkeeper.operator.told import accepted, condition, spec_ignored, whole
from shipkeeper.upgrade.outlook import outlook_of

APPROVED = "approved"
"""The key of a plan's request with what it was approved by."""
_OF_LOOKS = ("Checked", "Clean")


def standing(
    before: ClusterUpgradeStatus,
    generation: int,
    record: RunRecord,
    entries: Sequence[Entry],
    situation: Situation,
    home: ObjectRef,
    shown: ShownPlan,
    now: datetime,
) -> ClusterUpgradeStatus:
    """The status of one that has a run; what the last look found stays."""
    history = read_history(record, entries)
    nodes = summarise(history).nodes
    ended = record.outcome in ENDS
    phase = ENDS[record.outcome] if ended and record.outcome else situation.phase
    message = _ending(history) if ended else _doing(history, situation)
    count = counted_nodes(nodes)
    outlook = outlook_of(record.plan)
    kept = [each for each in before.conditions if each.type in _OF_LOOKS]
    conditions = (
        spec_ignored() if situation.is_spec_ignored else accepted(),
        *kept,
        condition("Planned", True, "Planned", plan_line(record.plan)),
        *progress(phase, situation, message),
    )
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=phase,
        message=message[:LONGEST],
        hops=outlook.hops if outlook else (),
        blockers=(),
        plan=shown.text,
        plan_in=shown.places,
        plan_hash=str(record.began_with.request[APPROVED]),
        progress=f"{count.done}/{count.total}",
        nodes=count,
        under_way=under_way(nodes),
        troubles=troubles_of(nodes),
        run=record.id,
        journal=home,
        started_at=whole(entries[0].written_at) if entries and entries[0].written_at else None,
        finished_at=whole(record.finished_at) if ended and record.finished_at else None,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def _doing(history: RunHistory, situation: Situation) -> str:
    """What it does now: while somebody else works on the control plane, that is waited for."""
    if situation.phase is not Phase.RUNNING:
        return situation.message
    awaited = (
        f"waits until {each.effect}"
        for each in history.steps
        if each.action == "await" and each.state is StepState.BEGUN
    )
    return next(awaited, situation.message)


def _ending(history: RunHistory) -> str:
    if history.outcome is Outcome.SUCCEEDED:
        return f"everything that was planned is done: {len(history.steps)} steps"
    if history.outcome is Outcome.ABORTED:
        return "given up; the nodes that it cordoned take pods again, and what is upgraded stays"
    failed = [f"{each.target}: {each.message}" for each in history.steps if each.message]
    why = "; ".join(failed[:3]) or "not all nodes are done"
    return f"{why}; to go on from where the cluster is, delete it and create another"
