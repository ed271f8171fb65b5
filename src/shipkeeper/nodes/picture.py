"""A run of a drain or a maintenance as an onlooker sees it: folded from its journal and progress.

It is told what was written and what was told, in whatever pieces, and knows where each node and
each pod on its way stands. Pure but for what it is told.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from shipkeeper.engine.journal import PLAN, Entry, Phase, RunRecord
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.verdict import Verdict
from shipkeeper.nodes.fleet.plan import Outlook
from shipkeeper.nodes.plan import MOVING

_NOTES = 500


class PodState(StrEnum):
    """Where a pod stands that has to leave."""

    PLANNED = "Planned"
    LEAVING = "Leaving"
    WAITING = "Waiting"
    GONE = "Gone"
    STAYED = "Stayed"
    FAILED = "Failed"


_ON_THE_WAY = frozenset({PodState.PLANNED, PodState.LEAVING, PodState.WAITING})
# What is told of a pod, and where it stands then.
_TOLD = {
    "Waiting": PodState.WAITING,
    "Held": PodState.WAITING,
    "Terminating": PodState.LEAVING,
    "Evicting": PodState.LEAVING,
    "Forced": PodState.LEAVING,
    "Skipped": PodState.LEAVING,
    "Gone": PodState.GONE,
    "Failed": PodState.FAILED,
}


class PodPicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A pod that has to leave: since when, when it was gone, and what it waits for."""

    uid: str
    key: str
    node: str
    state: PodState = PodState.PLANNED
    began_at: datetime | None = None
    gone_at: datetime | None = None
    message: str = ""
    budget: str = ""


class StepPicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One step of a node; state is Pending, Begun, Done, Failed or Undone."""

    id: str
    action: str
    effect: str
    state: str = "Pending"
    began_at: datetime | None = None
    ended_at: datetime | None = None
    verdict: Verdict | None = None


class NodePicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One node of a run; `wave` counts from 1, 0 if its plan has no waves."""

    node: str
    wave: int
    state: str
    steps: tuple[StepPicture, ...]
    moving: int
    moved: int
    waiting: int
    began_at: datetime | None
    ended_at: datetime | None


class NotePicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A sentence of the run, such as a line that a host printed."""

    at: str
    message: str
    is_warning: bool = False


class StillPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is at one moment: nothing of it changes, whoever reads it in whatever thread."""

    run: RunRecord
    nodes: tuple[NodePicture, ...]
    pods: tuple[PodPicture, ...]
    gates: tuple[StepPicture, ...]
    notes: tuple[NotePicture, ...]
    revisions: tuple[str, ...]


_STATES = {
    Phase.BEFORE: "Begun",
    Phase.AFTER: "Done",
    Phase.FAILED: "Failed",
    Phase.UNDONE: "Undone",
}
# What a node is doing while a step of it is under way.
_DOING = {
    "cordon": "Cordoning",
    "drain": "Draining",
    "detach": "Awaiting detach",
    "daemons": "Ending daemons",
    "update": "Working",
    "ready": "Awaiting Ready",
    "attach": "Awaiting attach",
    "uncordon": "Uncordoning",
}


class RunPicture:
    """The fold; `nodes` and `pods` hold new values only for what changed."""

    def __init__(self, run: RunRecord) -> None:
        self.run = run
        self.waves: tuple[tuple[str, ...], ...] = ()
        self.gates: dict[str, StepPicture] = {}
        self.notes: list[NotePicture] = []
        self.revisions: list[str] = []
        self.pods: dict[str, PodPicture] = {}
        self._steps: dict[str, StepPicture] = {}
        self._of_node: dict[str, list[str]] = {}
        self._node_of_step: dict[str, str] = {}
        self._pods_of: dict[str, dict[str, None]] = {}
        self._pods_of_step: dict[str, dict[str, None]] = {}
        self._nodes: dict[str, NodePicture] = {}
        self._dirty: set[str] = set()
        self._is_over = False
        self.take_plan(run.plan)

    @property
    def nodes(self) -> Mapping[str, NodePicture]:
        """Each node of the plan, in its order."""
        for name in self._dirty:
            self._nodes[name] = self._draw(name)
        self._dirty.clear()
        return self._nodes

    def pods_of(self, node: str) -> tuple[PodPicture, ...]:
        """The pods that have to leave a node, as far as is known."""
        return tuple(self.pods[uid] for uid in self._pods_of.get(node, ()))

    def still(self) -> StillPicture:
        """All of it as it is now."""
        return StillPicture(
            run=self.run,
            nodes=tuple(self.nodes.values()),
            pods=tuple(self.pods.values()),
            gates=tuple(self.gates.values()),
            notes=tuple(self.notes),
            revisions=tuple(self.revisions),
        )

    def take_plan(self, plan: Plan) -> None:
        """Know the steps and pods of a plan; what is known of those that were begun stays."""
        if "waves" in plan.outlook:
            self.waves = msgspec.convert(plan.outlook, Outlook).waves
        known, self._steps, self._of_node = self._steps, {}, {}
        self._nodes = {}
        for step in plan.steps:
            kind, _, name = step.target.partition("/")
            found = known.get(step.id)
            if found is None:
                found = StepPicture(id=step.id, action=step.action, effect=step.effect)
            self._steps[step.id] = found
            if kind == "node":
                self._of_node.setdefault(name, []).append(step.id)
                self._node_of_step[step.id] = name
                self._know_pods(step, name)
        self._nodes = {name: self._draw(name) for name in self._of_node}
        self._dirty.clear()

    def take_entries(self, entries: Iterable[Entry]) -> None:
        """Know what was written down."""
        for entry in entries:
            if entry.step == PLAN:
                self.revisions += entry.detail.get("changes", ())
            elif entry.item:
                self._take_item(entry)
            else:
                self._take_step(entry)

    def take_told(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Know what was told: `engine.onlooking`'s lines."""
        for line in lines:
            match line.get("type"):
                case "item":
                    self._take_word(line)
                case "note":
                    self.notes.append(
                        NotePicture(
                            at=str(line.get("time", "")),
                            message=str(line.get("message", "")),
                            is_warning=bool(line.get("is_warning")),
                        )
                    )
                    del self.notes[:-_NOTES]
                case "failed":
                    self._take_failure(line)
                case _:
                    pass

    def settle(self) -> None:
        """Know whether the run is over: who has not left stays then, and no node is on its way.

        A run that is over begins again when it is given up.
        """
        was_over, self._is_over = self._is_over, not self.run.is_unfinished
        if self._is_over:
            for uid, pod in self.pods.items():
                if pod.state in _ON_THE_WAY:
                    self.pods[uid] = msgspec.structs.replace(
                        pod, state=PodState.STAYED, message="", budget=""
                    )
        if was_over or self._is_over:
            self._dirty.update(self._of_node)

    def _know_pods(self, step: Step, node: str) -> None:
        if step.action not in ("drain", "daemons"):
            return
        own = self._pods_of.setdefault(node, {})
        planned = {item.uid: item for item in step.items if item.action in MOVING}
        for uid, item in planned.items():
            own[uid] = None
            self._pods_of_step.setdefault(step.id, {})[uid] = None
            if uid not in self.pods:
                self.pods[uid] = PodPicture(uid=uid, key=item.key, node=node)

    def _take_step(self, entry: Entry) -> None:
        known = self._steps.get(entry.step)
        if known is None:
            return
        changed = msgspec.structs.replace(
            known,
            state=_STATES[entry.phase],
            began_at=known.began_at or entry.written_at,
            ended_at=None if entry.phase is Phase.BEFORE else entry.written_at,
            verdict=self._verdict_after(known, entry),
        )
        self._put_step(changed)

    def _verdict_after(self, known: StepPicture, entry: Entry) -> Verdict | None:
        """Why a step failed; begun again it has not, and taken back it still has."""
        if entry.phase is Phase.UNDONE:
            return known.verdict
        if entry.phase is not Phase.FAILED:
            return None
        try:
            return msgspec.convert(
                {"target": entry.step, "effect": "Block", **entry.detail}, Verdict
            )
        except msgspec.ValidationError:
            return None

    def _put_step(self, step: StepPicture) -> None:
        self._steps[step.id] = step
        node = self._node_of_step.get(step.id)
        if node is not None:
            self._dirty.add(node)
            if step.action in ("drain", "daemons") and step.state == "Done":
                self._end_pods(step.id)
        else:
            self.gates[step.id] = step

    def _end_pods(self, step: str) -> None:
        """A step that is done left none of its pods, whatever was last heard of them."""
        for uid in self._pods_of_step.get(step, ()):
            pod = self.pods[uid]
            if pod.state not in (PodState.GONE, PodState.FAILED):
                self.pods[uid] = msgspec.structs.replace(pod, state=PodState.GONE, message="")

    def _take_item(self, entry: Entry) -> None:
        node = self._node_of_step.get(entry.step)
        if node is None:
            return
        key = str(entry.detail.get("pod", ""))
        pod = self.pods.get(entry.item) or PodPicture(uid=entry.item, key=key, node=node)
        if entry.phase is Phase.BEFORE:
            is_new = pod.state in (PodState.PLANNED, PodState.STAYED)
            pod = msgspec.structs.replace(
                pod,
                state=PodState.LEAVING if is_new else pod.state,
                began_at=pod.began_at or entry.written_at,
            )
        elif entry.phase is Phase.AFTER:
            pod = msgspec.structs.replace(
                pod, state=PodState.GONE, gone_at=entry.written_at, message="", budget=""
            )
        self._pods_of_step.setdefault(entry.step, {})[pod.uid] = None
        self._put_pod(pod)

    def _take_word(self, line: Mapping[str, Any]) -> None:
        node = self._node_of_step.get(str(line.get("step", "")))
        key, state = str(line.get("item", "")), _TOLD.get(str(line.get("state", "")))
        found = [pod for pod in self.pods_of(node or "") if pod.key == key]
        # Of pods of one name that come one after the other, the last one is meant.
        if not found or state is None or found[-1].state is PodState.GONE:
            return
        self._put_pod(
            msgspec.structs.replace(
                found[-1],
                state=state,
                message="" if state is PodState.GONE else str(line.get("message", "")),
                budget=str(line.get("budget", "")),
            )
        )

    def _take_failure(self, line: Mapping[str, Any]) -> None:
        known = self._steps.get(str(line.get("step", "")))
        if known is None or known.state not in ("Failed", "Undone"):
            return
        try:
            verdict = msgspec.convert(line.get("verdict"), Verdict)
        except msgspec.ValidationError:
            return
        self._put_step(msgspec.structs.replace(known, verdict=verdict))

    def _put_pod(self, pod: PodPicture) -> None:
        self.pods[pod.uid] = pod
        self._pods_of.setdefault(pod.node, {})[pod.uid] = None
        self._dirty.add(pod.node)

    def _draw(self, name: str) -> NodePicture:
        steps = tuple(self._steps[each] for each in self._of_node.get(name, ()))
        pods = self.pods_of(name)
        began = [step.began_at for step in steps if step.began_at is not None]
        is_over = self._is_over or (
            bool(steps) and all(step.state in ("Done", "Failed", "Undone") for step in steps)
        )
        return NodePicture(
            node=name,
            wave=next((i for i, wave in enumerate(self.waves, start=1) if name in wave), 0),
            state=_state_of(steps, is_over=self._is_over),
            steps=steps,
            moving=len(pods),
            moved=sum(pod.state is PodState.GONE for pod in pods),
            waiting=sum(pod.state is PodState.WAITING for pod in pods),
            began_at=min(began, default=None),
            ended_at=self._end_of(steps) if is_over else None,
        )

    def _end_of(self, steps: tuple[StepPicture, ...]) -> datetime | None:
        if any(step.state == "Begun" for step in steps):
            return self.run.finished_at
        return max((step.ended_at for step in steps if step.ended_at is not None), default=None)


def _state_of(steps: tuple[StepPicture, ...], *, is_over: bool) -> str:
    """What a node does, or what became of it."""
    if any(step.state == "Failed" or step.verdict is not None for step in steps):
        return "Failed"
    under_way = next((step for step in steps if step.state == "Begun"), None)
    if under_way is not None and is_over:
        return "Undone"
    if under_way is not None:
        return _DOING.get(under_way.action, "Begun")
    states = {step.state for step in steps}
    if states == {"Done"}:
        return "Done"
    if "Undone" in states:
        return "Undone"
    return "Pending" if states <= {"Pending"} else "Begun"
