"""How the node inventory looks."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from shipkeeper.engine.report import Column, Report, Table, item_list
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.duration import format_age
from shipkeeper.model.words import counted
from shipkeeper.nodes.inventory import NodeRow

_COLUMNS = (
    Column("NAME"),
    Column("STATUS"),
    Column("ROLES"),
    Column("AGE"),
    Column("VERSION"),
    Column("INTERNAL-IP", wide=True),
    Column("OS-IMAGE", wide=True),
    Column("KERNEL-VERSION"),
    Column("CONTAINER-RUNTIME", wide=True),
    Column("ZONE"),
    Column("PODS"),
    Column("CORDONED-BY", wide=True),
    Column("DRAIN-BLOCKED-BY"),
)
# kubectl's word for what an object does not have.
_NONE = "<none>"


def inventory_report(rows: Sequence[NodeRow], now: datetime) -> Report:
    """The table of nodes."""
    return Report(
        value=item_list(rows),
        body=(Table(_COLUMNS, tuple(_cells(row, now) for row in rows)),),
        names=tuple(f"node/{row.name}" for row in rows),
    )


def _cells(row: NodeRow, now: datetime) -> tuple[str, ...]:
    created = row.creation_timestamp
    return (
        row.name,
        row.status,
        ",".join(row.roles) or _NONE,
        format_age(now - created) if created else "<unknown>",
        row.kubelet_version or "<unknown>",
        row.internal_ip or _NONE,
        row.os_image or "<unknown>",
        row.kernel_version or "<unknown>",
        row.container_runtime_version or "<unknown>",
        row.zone or "-",
        str(row.pods),
        _cordoned_by(row),
        obstacles_in_short(row.obstacles) or "-",
    )


def _cordoned_by(row: NodeRow) -> str:
    if not row.unschedulable:
        return "-"
    return row.cordoned_by or "<unknown>"


def obstacles_in_short(obstacles: Sequence[Verdict]) -> str:
    """What hinders a drain, in a cell: `2 pods: LocalStorage,Unreplicated; 1 waits: …`."""
    parts = [each.reason for each in obstacles if each.target.startswith("node/")]
    on_pods = [each for each in obstacles if each.target.startswith("pod/")]
    refused = {each.target for each in on_pods if each.blocks}
    if refused:
        parts.append(
            f"{counted(len(refused), 'pod')}: {_reasons(each for each in on_pods if each.blocks)}"
        )
    waiting = [e for e in on_pods if e.effect is Effect.WAIT and e.target not in refused]
    if waiting:
        targets = {each.target for each in waiting}
        parts.append(f"{len(targets)} waiting: {_reasons(waiting)}")
    return "; ".join(parts)


def _reasons(verdicts: Iterable[Verdict]) -> str:
    return ",".join(sorted({each.reason for each in verdicts}))
