"""How a NodeMaintenance stands, as its status tells it. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from shipkeeper.engine.history import StepState, read_history
from shipkeeper.engine.journal import Entry, Outcome, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Format, render
from shipkeeper.engine.verdict import Verdict
from shipkeeper.nodes.report import plan_line, plan_report
from shipkeeper.nodes.summary import REFUSED, NodeSummary, summarise
from shipkeeper.operator.api.conditions import StatusCondition, settled
from shipkeeper.operator.api.maintenance import NodeCount, NodeMaintenanceStatus, NodeTrouble
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.backups.told import in_the_way
from shipkeeper.operator.shown import ShownPlan
from shipkeeper.operator.situation import ENDS, Phase, Situation

_NAMED = 20


def has_ended(status: NodeMaintenanceStatus) -> bool:
    """Whether nothing more will come of it."""
    return status.finished_at is not None


def rejected(
    status: NodeMaintenanceStatus,
    generation: int,
    now: datetime,
    *,
    reason: str,
    message: str,
    condition: str = "Accepted",
) -> NodeMaintenanceStatus:
    """The status of one that cannot be planned: nonsense (Accepted), or forbidden (Planned)."""
    is_accepted = condition != "Accepted"
    found = [
        StatusCondition(
            type="Accepted",
            status="True" if is_accepted else "False",
            reason="Valid" if is_accepted else reason,
            message="" if is_accepted else message,
        ),
        StatusCondition(type="Planned", status="False", reason=reason, message=message),
    ]
    phase = Phase.BLOCKED if is_accepted else Phase.PENDING
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
        message=message[:1024],
        progress=f"{count.done}/{count.total}",
        nodes=count,
        under_way=tuple(each.node for each in nodes if each.state == StepState.BEGUN)[:_NAMED],
        troubles=troubles_of(nodes),
        run=record.id,
        plan=shown.text,
        plan_in=shown.places,
        journal=home,
        started_at=_whole(entries[0].written_at if entries else None),
        finished_at=_whole(record.finished_at) if ended else None,
        conditions=settled(
            status.conditions,
            _conditions(record, phase, situation, message),
            generation,
            now,
        ),
    )


def counted_nodes(nodes: Sequence[NodeSummary]) -> NodeCount:
    """How many nodes there are, and how they stand."""
    return NodeCount(
        total=len(nodes),
        done=sum(each.is_done for each in nodes),
        failed=sum(each.state == StepState.FAILED for each in nodes),
        refused=sum(each.state == REFUSED for each in nodes),
    )


def troubles_of(nodes: Sequence[NodeSummary]) -> tuple[NodeTrouble, ...]:
    """The nodes that failed or were refused, the first of them, and why."""
    troubled = [each for each in nodes if each.message and not each.is_done]
    return tuple(
        NodeTrouble(node=each.node, message=each.message[:1024]) for each in troubled[:_NAMED]
    )


def _conditions(
    record: RunRecord, phase: Phase, situation: Situation, message: str
) -> list[StatusCondition]:
    ended = phase in ENDS.values()
    is_progressing = not ended and situation.phase in (Phase.RUNNING, Phase.STOPPING)
    succeeded = "Unknown" if not ended else "True" if phase is Phase.SUCCEEDED else "False"
    return [
        spec_ignored() if situation.is_spec_ignored else _accepted(),
        StatusCondition(
            type="Planned", status="True", reason="Planned", message=plan_line(record.plan)
        ),
        StatusCondition(
            type="Progressing",
            status="True" if is_progressing else "False",
            reason="Ended" if ended else situation.reason,
            message=message,
        ),
        StatusCondition(
            type="Succeeded",
            status=succeeded,
            reason=str(phase) if ended else "NotEnded",
            message=message if ended else "",
        ),
    ]


def _accepted() -> StatusCondition:
    return StatusCondition(type="Accepted", status="True", reason="Valid")


def spec_ignored() -> StatusCondition:
    """The condition of one whose spec was changed after it was planned."""
    return StatusCondition(
        type="Accepted",
        status="True",
        reason="SpecIgnored",
        message="the spec was changed after it was planned, and what it says now is not done: "
        "for that, delete it and create another",
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


def _whole(moment: datetime | None) -> datetime | None:
    """Kubernetes' own times have no fractions of seconds."""
    return moment.astimezone(UTC).replace(microsecond=0) if moment else None
