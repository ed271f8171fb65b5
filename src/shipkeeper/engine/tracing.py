"""Traces of runs: a span of each run and of each of its steps, for OpenTelemetry (ADR 47).

A run's own span is sent when the run comes to its end, by whichever process that is: what others
sent before belongs to it already, as its ids follow from the run's id.
"""

from typing import TYPE_CHECKING

from shipkeeper.engine.journal import Entry, Outcome, Phase
from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import (
    Event,
    PlanRevised,
    Sink,
    StepDone,
    StepFailed,
    StepStarted,
    StepUndone,
)
from shipkeeper.engine.review import Revision
from shipkeeper.engine.verdict import Verdict
from shipkeeper.hosts.masking import Masking
from shipkeeper.traces.process import tracing

if TYPE_CHECKING:
    from shipkeeper.traces.otlp import StepSpan, Tracer

_OUTCOME = "shipkeeper.outcome"
_LONGEST = 1024  # characters of a message
_WORDS = {
    Phase.BEFORE: "item begun",
    Phase.AFTER: "item done",
    Phase.FAILED: "item failed",
    Phase.UNDONE: "item undone",
}
_BAD = frozenset({Outcome.FAILED, Outcome.BLOCKED, Outcome.INCOMPLETE})


def traced(run: str, plan: Plan, journal: Ledger, tell: Sink) -> tuple[Ledger, Sink]:
    """The same journal and sink, overheard if somebody wants traces."""
    tracer = tracing.tracer()
    if tracer is None:
        return journal, tell
    trace = _Trace(tracer, run, plan, journal.entries(run))

    def both(event: Event) -> None:
        tell(event)
        trace.hear(event)

    return _OverheardLedger(journal, trace), both


class _Trace:
    """The spans of a run, as far as this process goes on with it."""

    def __init__(self, tracer: "Tracer", run: str, plan: Plan, entries: list[Entry]) -> None:
        self._procedure = plan.procedure
        self._about = {"shipkeeper.run.id": run, "shipkeeper.procedure": plan.procedure}
        began = entries[0].written_at if entries else None
        steps = {"shipkeeper.run.steps": len(plan.steps)}
        self._run = tracer.run(run, f"run {plan.procedure}", {**self._about, **steps}, began)
        self._attempt = self._run.within(f"attempt {plan.procedure}", self._about)
        self._steps: dict[str, StepSpan] = {}

    def hear(self, event: Event) -> None:
        """Take in what the run tells of its steps."""
        match event:
            case StepStarted(step):
                self._steps[step.id] = self._begin(step, step.action)
            case StepDone(step, already=False):
                self._end(step, "Done")
            case StepFailed(step, verdict):
                self._fail(step, verdict)
            case StepUndone(step):
                self._begin(step, f"undo {step.action}").end({_OUTCOME: "Undone"})
            case PlanRevised(_, changes):
                told = {"shipkeeper.changes": [_plain(each) for each in changes]}
                self._run.note("planned anew", told)
                self._attempt.note("planned anew", told)
            case _:
                pass

    def note(self, entry: Entry) -> None:
        """Take in what the journal gets to know of an item, such as a pod that is gone."""
        span = self._steps.get(entry.step)
        if span is not None and entry.item:
            key = str(entry.detail.get("pod", entry.item))
            span.note(_WORDS[entry.phase], {"shipkeeper.item": key})

    def finish(self, outcome: Outcome) -> None:
        """The run came to its end, or this attempt of it."""
        told = {_OUTCOME: str(outcome)}
        if outcome is Outcome.ABORTING:
            # What is given up may have come to its end, and been told of, long ago.
            self._attempt = self._run.within(f"abort {self._procedure}", self._about)
        elif outcome in (Outcome.INTERRUPTED, Outcome.ABORTED):
            for span in self._steps.values():
                span.end(told)
            self._attempt.end(told)
        else:
            self._run.end(told, str(outcome) if outcome in _BAD else None)

    def _begin(self, step: Step, name: str) -> "StepSpan":
        kind, _, target = step.target.partition("/")
        about = {
            **self._about,
            "shipkeeper.step.id": step.id,
            "shipkeeper.step.action": step.action,
            "shipkeeper.step.target": step.target,
        }
        return self._run.within(
            name, {**about, "k8s.node.name": target} if kind == "node" else about
        )

    def _end(self, step: Step, outcome: str) -> None:
        span = self._steps.pop(step.id, None)
        if span is not None:
            span.end({_OUTCOME: outcome})

    def _fail(self, step: Step, verdict: Verdict) -> None:
        # What is refused was not begun.
        span = self._steps.pop(step.id, None) or self._begin(step, step.action)
        outcome = "Blocked" if verdict.blocks else "Failed"
        span.end({_OUTCOME: outcome, "shipkeeper.reason": verdict.reason}, _plain(verdict.message))


class _OverheardLedger:
    """A journal whose entries, once they are on record, a trace gets to know."""

    def __init__(self, journal: Ledger, trace: _Trace) -> None:
        self._journal = journal
        self._trace = trace

    def entries(self, run: str, *, step: str = "") -> list[Entry]:
        return self._journal.entries(run, step=step)

    async def write(self, entry: Entry) -> None:
        await self._journal.write(entry)
        self._trace.note(entry)

    async def revise(self, run: str, revision: Revision) -> None:
        await self._journal.revise(run, revision)

    async def finish(self, run: str, outcome: Outcome) -> None:
        await self._journal.finish(run, outcome)
        self._trace.finish(outcome)


def _plain(message: str) -> str:
    """A message without what looks like a secret: what hosts print is masked once more."""
    masking = Masking()
    return "\n".join(masking.line(line) for line in message.splitlines())[:_LONGEST]
