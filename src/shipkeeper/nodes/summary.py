"""The closing report of a drain or a maintenance: what became of each node."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec

from shipkeeper.engine.history import RunHistory, StepHistory, StepState
from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.run import RunResult
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import BlockedError, IncompleteError, ShipkeeperError

# The state of a node that got no step because pods of it are refused.
REFUSED = "Refused"


class NodeSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One node: Done, Failed, Begun, Pending or Refused, and why it is not done."""

    node: str
    state: str
    pods_moved: int
    seconds: float | None
    message: str

    @property
    def is_done(self) -> bool:
        """Whether everything was done that was asked for."""
        return self.state == StepState.DONE


class RunSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run; `seconds` from its beginning to its end, resumptions and all."""

    run: str
    procedure: str
    outcome: Outcome | None
    seconds: float | None
    pods_moved: int
    nodes: tuple[NodeSummary, ...]
    verdicts: tuple[Verdict, ...]


def summarise(history: RunHistory) -> RunSummary:
    """Fold the steps of a run into a line for each node, in the plan's order."""
    steps: defaultdict[str, list[StepHistory]] = defaultdict(list)
    for step in history.steps:
        if step.target.startswith("node/"):
            steps[step.target].append(step)
    worked_on = tuple(_node(target, own) for target, own in steps.items())
    refused = tuple(_refused(each) for each in history.verdicts if each.target.startswith("node/"))
    return RunSummary(
        run=history.id,
        procedure=history.procedure,
        outcome=history.outcome,
        seconds=_seconds(history.started_at, history.finished_at),
        pods_moved=sum(node.pods_moved for node in worked_on),
        nodes=(*worked_on, *refused),
        verdicts=history.verdicts,
    )


def failure_of(result: RunResult, summary: RunSummary) -> ShipkeeperError | None:
    """The error that says why not all of a run was done; None if all of it was."""
    left = ", ".join(node.node for node in summary.nodes if not node.is_done)
    if result.failures:
        kind = BlockedError if result.outcome is Outcome.BLOCKED else ShipkeeperError
        messages = dict.fromkeys(verdict.message for verdict in result.failures)
        first = result.failures[0]
        return kind("; ".join(messages), reason=first.reason, hint=first.remedy)
    if result.outcome is Outcome.INCOMPLETE:
        return IncompleteError(
            f"not all nodes could be worked on; left are: {left}",
            reason="PodsRefused",
            hint=f"see why with: shipkeeper drain {left.replace(',', '')} --explain",
        )
    return None


def _node(target: str, steps: Sequence[StepHistory]) -> NodeSummary:
    failed = next((step for step in steps if step.message), None)
    items = [item for step in steps for item in step.items]
    began = [step.began_at for step in steps if step.began_at]
    ended = [step.ended_at for step in steps if step.ended_at]
    return NodeSummary(
        node=target.removeprefix("node/"),
        state=_state(steps),
        pods_moved=sum(item.state is StepState.DONE for item in items),
        seconds=_seconds(min(began), max(ended)) if began and ended else None,
        message=f"{failed.message}{_fate(steps)}" if failed else "",
    )


def _fate(steps: Sequence[StepHistory]) -> str:
    """In what state a maintenance left a node that it could not finish."""
    if not any(step.action == "uncordon" for step in steps):
        return ""
    cordon = next((step.state for step in steps if step.action == "cordon"), None)
    if cordon is StepState.UNDONE:
        return "; it takes pods again"
    return "; it stays cordoned" if cordon is StepState.DONE else ""


def _state(steps: Sequence[StepHistory]) -> str:
    states = [step.state for step in steps]
    if any(step.message for step in steps):
        return StepState.FAILED
    if all(state is StepState.DONE for state in states):
        return StepState.DONE
    return StepState.PENDING if set(states) == {StepState.PENDING} else StepState.BEGUN


def _refused(verdict: Verdict) -> NodeSummary:
    return NodeSummary(
        node=verdict.target.removeprefix("node/"),
        state=REFUSED,
        pods_moved=0,
        seconds=None,
        message=verdict.message,
    )


def _seconds(began: datetime | None, ended: datetime | None) -> float | None:
    if began is None or ended is None:
        return None
    return round((ended - began).total_seconds(), 3)
