"""How the loss of a node looks beforehand."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.engine.verdict import Verdict
from shipkeeper.model.duration import format_duration
from shipkeeper.nodes.loss.foretell import NodeLoss, PodLoss
from shipkeeper.nodes.loss.rules import Fate

_COLUMNS = (
    Column("POD"),
    Column("CONTROLLER"),
    Column("FATE"),
    Column("BACK-AFTER"),
    Column("OUTAGE"),
    Column("WHY"),
)
_BACK_AFTER = {
    Fate.LOST: "never",
    Fate.NODE_BOUND: "node is back",
    Fate.STUCK: "settled by hand",
    Fate.STAYS: "node is back",
    Fate.FINISHED: "-",
}


def loss_report(loss: NodeLoss) -> Report:
    """What becomes of each pod, then of the budgets, then what would help."""
    grace = format_duration(timedelta(seconds=loss.grace_seconds))
    title = f"If node {loss.node} dies now, it is noticed after {grace} without its heartbeat."
    about_pods = [verdict for pod in loss.pods for verdict in pod.verdicts]
    return Report(
        value=loss,
        body=(
            title,
            Table(_COLUMNS, tuple(map(_row, loss.pods))),
            "\n".join(f"{each.target}: {each.message}" for each in loss.verdicts),
            "\n".join(_remedies((*about_pods, *loss.verdicts))),
        ),
        names=(f"node/{loss.node}",),
    )


def _row(pod: PodLoss) -> tuple[str, ...]:
    return (
        pod.pod,
        pod.controller or "-",
        pod.fate,
        _back_after(pod),
        "yes" if pod.is_outage else "-",
        "; ".join(verdict.message for verdict in pod.verdicts) or "-",
    )


def _back_after(pod: PodLoss) -> str:
    if pod.fate is Fate.REPLACED and pod.deleted_after_seconds is not None:
        return format_duration(timedelta(seconds=pod.deleted_after_seconds))
    return _BACK_AFTER[pod.fate]


def _remedies(verdicts: Sequence[Verdict]) -> Iterable[str]:
    """Each remedy once, with the reason that it is for."""
    found = dict.fromkeys((each.reason, each.remedy) for each in verdicts if each.remedy)
    if found:
        yield "What would help:"
        yield from (f"  {reason}: {remedy}" for reason, remedy in sorted(found))
