"""How the plan of a restore, and what became of it, look. Pure."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from shipkeeper.backup.restore_plan import SPARED, VOLUME, WRITES, Action
from shipkeeper.engine.plan import Item, Plan
from shipkeeper.engine.report import Column, Report, Table

_OBJECTS = (
    Column("ACTION"),
    Column("KIND"),
    Column("NAMESPACE"),
    Column("NAME"),
    Column("REASON"),
    Column("MESSAGE"),
)
_PHASES = (Column("PHASE"), *(Column(action.upper()) for action in Action))


class PlannedObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What becomes of one object, and why if that is not simply what was asked for."""

    action: str
    kind: str
    namespace: str
    name: str
    reason: str = ""
    message: str = ""
    remedy: str = ""


class PlannedRestore(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A plan: how many objects by action, and each of them in the order of the plan."""

    backup: str
    counts: dict[str, int]
    objects: tuple[PlannedObject, ...]


def planned_restore(plan: Plan) -> PlannedRestore:
    """What becomes of each object, in the order of the plan."""
    objects = tuple(_object(item) for step in plan.steps for item in step.items)
    counts = Counter(each.action for each in objects)
    return PlannedRestore(
        backup=str(plan.request["backup"]), counts=dict(sorted(counts.items())), objects=objects
    )


def restore_report(plan: Plan) -> Report:
    """The phases, then every object that is written or refused; `-o json` has the rest as well."""
    planned = planned_restore(plan)
    objects = planned.objects
    shown = [
        each
        for each in objects
        if each.action in WRITES or each.action == Action.REFUSE or each.reason == SPARED
    ]
    others = [each for each in objects if each.action not in Action.__members__.values()]
    return Report(
        value=planned,
        body=(
            Table(_PHASES, tuple(_phase(step.target, step.items) for step in plan.steps)),
            Table(_OBJECTS, tuple(_cells(each) for each in (*others, *shown))),
            _remedies(objects),
        ),
        names=tuple(f"{each.kind}/{each.name}" for each in shown),
    )


def _object(item: Item) -> PlannedObject:
    kind, namespace, name = [*item.key.split("/", 2), ""][:3]
    if kind == VOLUME:
        namespace, name = "", item.key.partition("/")[2]
    elif not name:
        namespace, name = "", namespace
    verdict = item.verdicts[0] if item.verdicts else None
    return PlannedObject(
        action=item.action,
        kind=kind,
        namespace=namespace,
        name=name,
        reason=verdict.reason if verdict else "",
        message=verdict.message if verdict else "",
        remedy=verdict.remedy if verdict else "",
    )


def _phase(target: str, items: Iterable[Item]) -> tuple[str, ...]:
    counts = Counter(item.action for item in items)
    return (target, *(str(counts[action] or "-") for action in Action))


def _cells(each: PlannedObject) -> tuple[str, ...]:
    return (
        each.action,
        each.kind,
        each.namespace or "-",
        each.name,
        each.reason or "-",
        each.message or "-",
    )


def _remedies(objects: Iterable[PlannedObject]) -> str:
    """What would help against refusals, once for each remedy."""
    refused = [each for each in objects if each.action == Action.REFUSE]
    remedies = dict.fromkeys(f"{each.reason}: {each.remedy}" for each in refused if each.remedy)
    return "\n".join(remedies)
