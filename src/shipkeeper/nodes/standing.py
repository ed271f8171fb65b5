"""Where a drain or a maintenance stands while it goes on, folded from what it tells."""

from collections import Counter

import msgspec

from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import (
    Event,
    ItemChanged,
    PlanRevised,
    RunStarted,
    StepDone,
    StepFailed,
    StepStarted,
)
from shipkeeper.nodes.plan import PodAction

# A node's state while a step of it goes on, and once it is done.
_STATES = {
    "cordon": ("Cordoning", "Cordoned"),
    "drain": ("Draining", "Drained"),
    "detach": ("AwaitingDetach", "Detached"),
    "daemons": ("EndingDaemons", "Drained"),
    "update": ("Updating", "Updated"),
    "ready": ("AwaitingReady", "Ready"),
    "attach": ("AwaitingAttach", "Attached"),
    "uncordon": ("Uncordoning", "Done"),
}
_STAYING = frozenset({PodAction.SKIP, PodAction.REFUSE})
PENDING = "Pending"
FAILED = "Failed"
_SETTLED = frozenset({PENDING, "Drained", "Done"})


class NodeStanding(msgspec.Struct, kw_only=True):
    """One node: `pods` maps those that are on their way to what was last heard of them."""

    node: str
    state: str = PENDING
    message: str = ""
    moving: int = 0
    moved: int = 0
    pods: dict[str, ItemChanged] = {}

    def __str__(self) -> str:
        """The node in a few words, such as `node-1 Draining (3 of 12 pods moved)`."""
        progress = f" ({self.moved} of {self.moving} pods moved)" if self.moving else ""
        return f"{self.node} {self.state}{progress}"


class Standing:
    """A sink that keeps the state of each node of a run, in the plan's order."""

    def __init__(self) -> None:
        self.run = ""
        self.nodes: dict[str, NodeStanding] = {}
        self._node_of_step: dict[str, NodeStanding] = {}

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case RunStarted(run, plan):
                self.run = run
                self._take(plan)
            case PlanRevised(plan):
                self._take(plan)
            case StepStarted(step):
                self._set(step, _STATES.get(step.action, ("", ""))[0])
            case StepDone(step):
                self._set(step, _STATES.get(step.action, ("", ""))[1])
            case StepFailed(step, verdict):
                self._set(step, FAILED, verdict.message)
            case ItemChanged():
                self._item(event)
            case _:
                pass

    def __str__(self) -> str:
        """Where every node stands; those in the same state and not half way are only counted."""
        half_way = [str(node) for node in self.nodes.values() if node.state not in _SETTLED]
        counts = Counter(node.state for node in self.nodes.values() if node.state in _SETTLED)
        counted = [f"{number} {state}" for state, number in counts.items()]
        return ", ".join((*half_way, *counted))

    def _take(self, plan: Plan) -> None:
        """Know the nodes of a plan; what is known of those that were begun stays."""
        known, self.nodes = self.nodes, {}
        moving = Counter[str]()
        for step in plan.steps:
            if not step.target.startswith("node/"):
                continue
            name = step.target.removeprefix("node/")
            node = self.nodes.setdefault(name, known.get(name) or NodeStanding(node=name))
            moving[name] += sum(item.action not in _STAYING for item in step.items)
            self._node_of_step[step.id] = node
        for name, node in self.nodes.items():
            if node.state == PENDING:
                node.moving = moving[name]

    def _set(self, step: Step, state: str, message: str = "") -> None:
        node = self._node_of_step.get(step.id)
        if node is not None:
            node.state, node.message = state, message

    def _item(self, event: ItemChanged) -> None:
        node = self._node_of_step[event.step]
        if event.state == "Gone":
            node.pods.pop(event.item, None)
            node.moved += 1
            # Pods that came after the plan was made are moved too.
            node.moving = max(node.moving, node.moved)
        else:
            node.pods[event.item] = event
