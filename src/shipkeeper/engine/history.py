"""What became of a run, read from its journal."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from shipkeeper.engine.journal import PLAN, Entry, Outcome, Phase, RunRecord
from shipkeeper.engine.plan import Step
from shipkeeper.engine.verdict import Verdict


class StepState(StrEnum):
    """Where a step stands; a begun one was interrupted, or is under way."""

    PENDING = "Pending"
    BEGUN = "Begun"
    DONE = "Done"
    FAILED = "Failed"
    UNDONE = "Undone"


_STATES = {
    Phase.BEFORE: StepState.BEGUN,
    Phase.AFTER: StepState.DONE,
    Phase.FAILED: StepState.FAILED,
    Phase.UNDONE: StepState.UNDONE,
}


class ItemHistory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one item of a step."""

    key: str
    uid: str
    state: StepState


class StepHistory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one step; `message` says why it failed."""

    id: str
    action: str
    target: str
    effect: str
    state: StepState
    began_at: datetime | None
    ended_at: datetime | None
    reason: str
    message: str
    items: tuple[ItemHistory, ...]


class RevisionHistory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When a run went on by another plan, and what had changed."""

    at: datetime | None
    changes: tuple[str, ...]


class RunHistory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run from its beginning; `verdicts` forbade a part of what was asked for."""

    id: str
    procedure: str
    cluster: str
    outcome: Outcome | None
    started_at: datetime
    finished_at: datetime | None
    steps: tuple[StepHistory, ...]
    verdicts: tuple[Verdict, ...]
    revisions: tuple[RevisionHistory, ...] = ()


def read_history(run: RunRecord, entries: Iterable[Entry]) -> RunHistory:
    """Put the entries of a run, oldest first, in the order of its plan."""
    written = list(entries)
    by_step: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in written:
        by_step[entry.step].append(entry)
    return RunHistory(
        id=run.id,
        procedure=run.procedure,
        cluster=run.cluster,
        outcome=run.outcome,
        started_at=run.started_at,
        finished_at=run.finished_at,
        steps=tuple(_step(step, by_step[step.id]) for step in run.plan.steps),
        verdicts=run.plan.blockers,
        revisions=tuple(
            RevisionHistory(at=entry.written_at, changes=tuple(entry.detail["changes"]))
            for entry in by_step[PLAN]
        ),
    )


def _step(step: Step, entries: Sequence[Entry]) -> StepHistory:
    own = [entry for entry in entries if not entry.item]
    last = own[-1] if own else None
    state = _STATES[last.phase] if last else StepState.PENDING
    failures = [entry.detail for entry in own if entry.phase is Phase.FAILED]
    failure = failures[-1] if failures else {}
    is_failed = state in (StepState.FAILED, StepState.UNDONE)
    return StepHistory(
        id=step.id,
        action=step.action,
        target=step.target,
        effect=step.effect,
        state=state,
        began_at=own[0].written_at if own else None,
        ended_at=last.written_at if last and state is not StepState.BEGUN else None,
        reason=failure.get("reason", "") if is_failed else "",
        message=failure.get("message", "") if is_failed else "",
        items=_items(step, entries, is_done=state is StepState.DONE),
    )


def _items(step: Step, entries: Sequence[Entry], *, is_done: bool) -> tuple[ItemHistory, ...]:
    planned = {item.uid: item.key for item in step.items}
    found: dict[str, ItemHistory] = {}
    for entry in entries:
        if entry.item:
            # An item that came after the plan was made is named by what was written with it.
            key = planned.get(entry.item) or " ".join(map(str, entry.detail.values()))
            state = _STATES[entry.phase]
            # What an interrupted attempt had begun, and the next one found done, is not written.
            settled = StepState.DONE if is_done and state is StepState.BEGUN else state
            found[entry.item] = ItemHistory(key=key, uid=entry.item, state=settled)
    return tuple(found.values())
