"""How a NodeMaintenance stands, as its status tells it. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shipkeeper.engine.history import read_history
from shipkeeper.engine.journal import Entry, Outcome, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Format, render
from shipkeeper.engine.verdict import Verdict
from shipkeeper.nodes.report import plan_line, plan_report
from shipkeeper.nodes.summary import NodeSummary, summarise
from shipkeeper.operator.api.conditions import settled
from shipkeeper.operator.api.maintenance import NodeMaintenanceStatus
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.over_nodes import (
    LONGEST,
    counted_nodes,
    progress,
    troubles_of,
    under_way,
)
from shipkeeper.operator.shown import ShownPlan
from shipkeeper.operator.situation import ENDS, Phase, Situation
from shipkeeper.operator.told import accepted, condition, in_the_way, spec_ignored, whole


def has_ended(status: NodeMaintenanceStatus) -> bool:
    """Whether nothing more will come of it."""
    return status.finished_at is not None


def rejected(
    status: NodeMaintenanceStatus,
    generation: int,
    now: datetime,
    *,
    phase: Phase,
    reason: str,
    message: str,
) -> NodeMaintenanceStatus:
    """The status of one that is not planned: Pending if it is nonsense, Blocked, or Waiting."""
    is_accepted = phase is not Phase.PENDING
    found = (
        accepted() if is_accepted else condition("Accepted", False, reason, message),
        condition("Planned", False, reason, message),
    )
    return msgspec.structs.replace(
        status,
        observed_generation=generation,
        phase=phase,
        message=message,
        conditions=settled(status.conditions, found, generation, now),
    )


def plan_text(plan: Plan, at: datetime) -> str:
    """A plan as `shipkeeper maintain plan` prints it."""
    return render(plan_report(plan, at), Format.TEXT)


def standing(
    status: NodeMaintenanceStatus,
    generation: int,
    record: RunRecord,
    entries: Sequence[Entry],
    situation: Situation,
    home: ObjectRef,
    shown: ShownPlan,
    now: datetime,
) -> NodeMaintenanceStatus:
    """The status of one that has a run, whatever its run does."""
    summary = summarise(read_history(record, entries))
    nodes = summary.nodes
    count = counted_nodes(nodes)
    ended = record.outcome in ENDS
    phase = ENDS[record.outcome] if ended and record.outcome else situation.phase
    message = _ending(record, nodes) if ended else situation.message
    return NodeMaintenanceStatus(
        observed_generation=generation,
        phase=phase,
        message=message[:LONGEST],
        progress=f"{count.done}/{count.total}",
        nodes=count,
        under_way=under_way(nodes),
        troubles=troubles_of(nodes),
        run=record.id,
        plan=shown.text,
        plan_in=shown.places,
        journal=home,
        started_at=whole(entries[0].written_at) if entries and entries[0].written_at else None,
        finished_at=whole(record.finished_at) if ended and record.finished_at else None,
        conditions=settled(
            status.conditions,
            (
                spec_ignored() if situation.is_spec_ignored else accepted(),
                condition("Planned", True, "Planned", plan_line(record.plan)),
                *progress(phase, situation, message),
            ),
            generation,
            now,
        ),
    )


def _ending(record: RunRecord, nodes: Sequence[NodeSummary]) -> str:
    if record.outcome is Outcome.SUCCEEDED:
        return "all nodes are done"
    if record.outcome is Outcome.ABORTED:
        return "given up; the nodes that it cordoned take pods again"
    named = "; ".join(f"{each.node}: {each.message}" for each in troubles_of(nodes)[:3])
    return named or "not all nodes are done"


def blockers_of(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """Why nothing of a plan can be done: the first reason, and all in a sentence."""
    found = [each for each in verdicts if each.blocks]
    if not found:
        return "NothingToDo", "; ".join(map(in_the_way, verdicts))
    message = "; ".join(map(in_the_way, found[:5]))
    more = f" (and {len(found) - 5} more)" if len(found) > 5 else ""
    return found[0].reason, f"{message}{more}"
