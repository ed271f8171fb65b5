"""How plans, explanations and results of node maintenance look."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from textwrap import indent

import msgspec

from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.report import Column, Report, Table, describe, item_list
from shipkeeper.engine.verdict import Verdict
from shipkeeper.model.duration import format_duration
from shipkeeper.model.words import counted
from shipkeeper.nodes.explain import NodeExplanation
from shipkeeper.nodes.fleet.forecast import Forecast
from shipkeeper.nodes.fleet.plan import Outlook
from shipkeeper.nodes.plan import PodAction, nodes_of
from shipkeeper.nodes.summary import NodeSummary, RunSummary

_STEPS = (
    Column("STEP"),
    Column("NODE"),
    Column("ACTION"),
    Column("EFFECT"),
    Column("PRECONDITION", wide=True),
    Column("AFTER", wide=True),
)
_WAVES = (Column("WAVE"), Column("SIZE"), Column("NODES"))
_FORECAST = (Column("NODE"), Column("BEGINS"), Column("DRAINED"), Column("BACK"))
_RESULTS = (
    Column("NODE"),
    Column("STATE"),
    Column("PODS-MOVED"),
    Column("TOOK"),
    Column("MESSAGE"),
)


def plan_report(plan: Plan, now: datetime) -> Report:
    """A plan: its steps in order, and everything that is to be said beforehand."""
    rows = tuple(
        (
            str(number),
            step.target.removeprefix("node/"),
            step.action,
            step.effect,
            step.precondition or "-",
            _after(step),
        )
        for number, step in enumerate(plan.steps, start=1)
    )
    return Report(
        value=plan,
        body=(Table(_STEPS, rows), *_waves(plan), "\n".join(_verdicts(plan.verdicts, now))),
        names=tuple(f"node/{node}" for node in nodes_of(plan)),
    )


def forecast_report(forecast: Forecast) -> Report:
    """When which node begins, is drained and is back, in virtual time."""
    rows = tuple(
        (each.node, *(_clock(at) for at in (each.begins, each.drained, each.ends)))
        for each in forecast.nodes
    )
    lines = [f"all done after {_clock(forecast.makespan)}, {counted(forecast.moves, 'move')}"]
    if forecast.stuck:
        lines.append(f"never done, as pods wait for their budgets: {', '.join(forecast.stuck)}")
    return Report(
        value=forecast,
        body=(Table(_FORECAST, rows), "\n".join(lines)),
        names=tuple(f"node/{each.node}" for each in forecast.nodes),
    )


def _clock(seconds: float) -> str:
    return format_duration(timedelta(seconds=round(seconds)))


def _waves(plan: Plan) -> Iterable[Table]:
    """Which nodes may be down together, if the plan is one of waves."""
    if "waves" in plan.outlook:
        outlook = msgspec.convert(plan.outlook, Outlook)
        rows = tuple(
            (str(number), str(len(wave)), " ".join(wave))
            for number, wave in enumerate(outlook.waves, start=1)
        )
        yield Table(_WAVES, rows)


def _after(step: Step) -> str:
    """The steps before a step; of many only the first is named."""
    if len(step.after) > 1:
        return f"{step.after[0]} and {len(step.after) - 1} more"
    return step.after[0] if step.after else "-"


def _verdicts(verdicts: Iterable[Verdict], now: datetime) -> Iterable[str]:
    for verdict in verdicts:
        yield f"{verdict.target}: {describe(verdict, now)}"


def plan_line(plan: Plan) -> str:
    """A plan in one line, such as `drain 2 nodes: 24 pods to move, 4 to leave; 1 node refused`."""
    if not nodes_of(plan):
        return f"{plan.procedure}: {counted(len(plan.steps), 'step')}"
    items = [item for step in plan.steps if step.action == "drain" for item in step.items]
    leaving = sum(item.action in (PodAction.EVICT, PodAction.DELETE) for item in items)
    refused = sum(verdict.target.startswith("node/") for verdict in plan.blockers)
    line = (
        f"{plan.procedure} {counted(len(nodes_of(plan)), 'node')}: "
        f"{counted(leaving, 'pod')} to move, {len(items) - leaving} to leave"
    )
    return f"{line}; {counted(refused, 'node')} refused" if refused else line


def explanation_report(explanations: Sequence[NodeExplanation], now: datetime) -> Report:
    """Every pod of nodes with all verdicts on it, and what would clear each."""
    return Report(
        value=item_list(explanations),
        body=tuple(_explanation(each, now) for each in explanations),
        names=tuple(f"node/{each.node}" for each in explanations),
    )


def _explanation(explanation: NodeExplanation, now: datetime) -> str:
    refused = len(explanation.refused)
    title = f"node/{explanation.node} " + (
        f"cannot be drained: {counted(refused, 'pod')} refused" if refused else "can be drained"
    )
    lines = [title, *(indent(describe(each, now), "  ") for each in explanation.verdicts)]
    for pod in explanation.pods:
        tier = f" in tier {pod.tier}" if pod.tier else ""
        lines.append(f"  {pod.key}: {pod.action}{tier}")
        lines += [indent(describe(verdict, now), "    ") for verdict in pod.verdicts]
    return "\n".join(lines)


def summary_report(summary: RunSummary) -> Report:
    """What became of each node of a run."""
    line = f"{summary.run}: {summary.outcome or 'Unfinished'}, " + counted(
        summary.pods_moved, "pod"
    )
    return Report(
        value=summary,
        body=(Table(_RESULTS, tuple(map(_result, summary.nodes))), f"{line} moved"),
        names=tuple(f"node/{node.node}" for node in summary.nodes),
    )


def _result(node: NodeSummary) -> tuple[str, ...]:
    took = "-" if node.seconds is None else format_duration(timedelta(seconds=node.seconds))
    return (node.node, node.state, str(node.pods_moved), took, node.message or "-")
