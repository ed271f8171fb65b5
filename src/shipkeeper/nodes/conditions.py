"""The Node conditions of KEP-5683 that a run writes, when, and how; pure.

https://kubernetes.io/docs/reference/node/node-lifecycle-conditions/: a writer sets a condition True
while what it says is observed, and takes it away afterwards; nobody owns a type, so a condition
whose reason is not ours is somebody else's and stays as it is.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from shipkeeper.engine.journal import Phase
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.model.meta import Condition
from shipkeeper.model.node import Node

REASON = "Shipkeeper"


class Lifecycle(StrEnum):
    """The types of conditions that a run writes."""

    DRAIN_IN_PROGRESS = "DrainInProgress"
    DRAINED = "Drained"
    MAINTENANCE_PLANNED = "MaintenancePlanned"
    MAINTENANCE_IN_PROGRESS = "MaintenanceInProgress"


Conditions = frozenset[Lifecycle]

_NONE: Conditions = frozenset()
_PLANNED = frozenset({Lifecycle.MAINTENANCE_PLANNED})
_DRAINING = frozenset({Lifecycle.DRAIN_IN_PROGRESS})
_DRAINED = frozenset({Lifecycle.DRAINED})
_WORKED_ON = frozenset({Lifecycle.DRAINED, Lifecycle.MAINTENANCE_IN_PROGRESS})

_Course = dict[tuple[str, Phase], Conditions]
_DRAIN: _Course = {
    ("drain", Phase.BEFORE): _DRAINING,
    ("drain", Phase.AFTER): _DRAINED,
    ("drain", Phase.FAILED): _NONE,
    ("cordon", Phase.UNDONE): _NONE,
}
# A node that failed after its drain is empty and cordoned, and nobody works on it any more.
_MAINTENANCE: _Course = {
    ("cordon", Phase.FAILED): _NONE,
    ("cordon", Phase.UNDONE): _NONE,
    ("drain", Phase.BEFORE): _PLANNED | _DRAINING,
    ("drain", Phase.AFTER): _PLANNED | _DRAINED,
    ("drain", Phase.FAILED): _NONE,
    ("update", Phase.BEFORE): _WORKED_ON,
    ("update", Phase.FAILED): _DRAINED,
    ("ready", Phase.FAILED): _DRAINED,
    ("uncordon", Phase.FAILED): _DRAINED,
    ("uncordon", Phase.AFTER): _NONE,
}


class Course:
    """Which conditions each node of a plan should have, told of what becomes of its steps."""

    def __init__(self, plan: Plan) -> None:
        is_maintenance = plan.procedure != "drain"
        self._course = _MAINTENANCE if is_maintenance else _DRAIN
        begin = _PLANNED if is_maintenance else _NONE
        targets = [each.target for each in plan.steps if each.target.startswith("node/")]
        self._wanted = {target.removeprefix("node/"): begin for target in targets}
        self._steps = {step.id: step for step in plan.steps}

    @property
    def wanted(self) -> dict[str, Conditions]:
        """What each node should have now."""
        return self._wanted

    def take(self, step: str | Step, phase: Phase) -> str:
        """Take a step's new phase in; the node whose conditions change by it, or nothing.

        Nothing for what the plan does not have: a journal also tells of the plan itself.
        """
        found = self._steps.get(step) if isinstance(step, str) else step
        return "" if found is None else self._take(found, phase)

    def _take(self, step: Step, phase: Phase) -> str:
        conditions = self._course.get((step.action, phase))
        node = step.target.removeprefix("node/")
        if conditions is None or self._wanted.get(node) == conditions:
            return ""
        self._wanted[node] = conditions
        return node

    def stop(self) -> None:
        """The run stops where it is, to be gone on with: nothing is in progress meanwhile."""
        self._keep(_PLANNED | _DRAINED)

    def end(self) -> None:
        """The run is over: nothing is planned or in progress any more."""
        self._keep(_DRAINED)

    def give_up(self) -> None:
        """The run is given up, and with it all that it said."""
        self._keep(_NONE)

    def _keep(self, kept: Conditions) -> None:
        self._wanted = {node: wanted & kept for node, wanted in self._wanted.items()}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """How to bring a node's conditions about; `patch` (strategic merge) is None if they are there.

    `foreign` are those that somebody else wrote, and that are left to them.
    """

    patch: dict[str, Any] | None
    foreign: tuple[Condition, ...] = ()


def change_of(node: Node, wanted: Conditions, message: str, now: datetime) -> Change:
    """What has to change in a node's status so that of ours it has just the conditions wanted."""
    found = {each.type: each for each in node.status.conditions}
    ours = {type_ for type_ in Lifecycle if type_ in found and found[type_].reason == REASON}
    foreign = [found[type_] for type_ in sorted(wanted) if type_ in found and type_ not in ours]
    written = [
        _written(type_, found.get(type_), message, now)
        for type_ in sorted(wanted)
        if (type_ in ours and found[type_].message != message) or type_ not in found
    ]
    removed = [{"type": str(type_), "$patch": "delete"} for type_ in sorted(ours - wanted)]
    return Change(patch=_patch(node, [*written, *removed]), foreign=tuple(foreign))


def has_ours(node: Node) -> bool:
    """Whether a node has conditions that a run wrote."""
    types = set(Lifecycle)
    return any(each.type in types and each.reason == REASON for each in node.status.conditions)


def foreign_words(node: str, foreign: Iterable[Condition]) -> str:
    """The sentence about conditions that are left as they are."""
    named = ", ".join(f"{each.type} ({each.reason or 'without a reason'})" for each in foreign)
    return f"node/{node}: somebody else wrote its conditions {named}; they are left as they are"


def _patch(node: Node, conditions: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not conditions:
        return None
    # Conditional, so that a condition that somebody wrote in this moment is not overwritten.
    metadata = {"resourceVersion": node.metadata.resource_version}
    return {"metadata": metadata, "status": {"conditions": conditions}}


def _written(
    type_: Lifecycle, before: Condition | None, message: str, now: datetime
) -> dict[str, Any]:
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    since = before.last_transition_time if before is not None else None
    return {
        "type": str(type_),
        "status": "True",
        "reason": REASON,
        "message": message,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": since.strftime("%Y-%m-%dT%H:%M:%SZ") if since else stamp,
    }
