"""Why a drain of a node is, or would be, blocked: every pod with every verdict on it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from shipkeeper.engine.plan import Item
from shipkeeper.engine.verdict import Effect, Verdict, blocking
from shipkeeper.errors import BlockedError, IncompleteError, ShipkeeperError
from shipkeeper.model.node import Node
from shipkeeper.nodes.filters import REFUSALS
from shipkeeper.nodes.holds import judge_holds
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.plan import PodAction, plan_items, unreachable

# What kubectl says of pods that it leaves alone or deletes for good, by reason and effect.
_WARNINGS = {
    ("DaemonSetManaged", Effect.SKIP): "ignoring DaemonSet-managed Pods",
    ("LocalStorage", Effect.WARN): "deleting Pods with local storage",
    ("Unreplicated", Effect.WARN): "deleting Pods that declare no controller",
    ("DaemonSetMissing", Effect.WARN): "deleting Pods whose DaemonSet is gone",
}


class NodeExplanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a drain does with each pod of a node; `verdicts` are those on the node itself."""

    node: str
    drainable: bool
    verdicts: tuple[Verdict, ...]
    pods: tuple[Item, ...]

    @property
    def refused(self) -> tuple[Item, ...]:
        """The pods because of which the node cannot be drained."""
        return tuple(item for item in self.pods if item.action == PodAction.REFUSE)

    @property
    def obstacles(self) -> tuple[Verdict, ...]:
        """Everything that forbids the drain, or would make it wait."""
        hindering = (Effect.BLOCK, Effect.WAIT)
        here = (v for v in self.verdicts if v.effect in hindering or v.reason == "NodeUnreachable")
        moving = (item for item in self.pods if item.action != PodAction.SKIP)
        found = (each for item in moving for each in item.verdicts if each.effect in hindering)
        return (*here, *found)


def explain_drain(
    state: ClusterState, options: DrainOptions, now: datetime
) -> tuple[NodeExplanation, ...]:
    """Every node of the state, in its order."""
    return tuple(_explain(node, state, options, now) for node in state.nodes)


def _explain(
    node: Node, state: ClusterState, options: DrainOptions, now: datetime
) -> NodeExplanation:
    found = state.pods_on(node.name)
    pods = plan_items(found, state, options, now)
    holds = judge_holds(node, found, state.outside, now, ignore=options.ignore_holds)
    is_refused = any(item.action == PodAction.REFUSE for item in pods)
    return NodeExplanation(
        node=node.name,
        drainable=not is_refused and not blocking(holds),
        verdicts=holds if node.is_reachable else (unreachable(node), *holds),
        pods=pods,
    )


def refusal_of(explanations: Sequence[NodeExplanation]) -> ShipkeeperError | None:
    """The error of a drain that has to leave nodes out: Blocked if it leaves out all of them."""
    refused = [each for each in explanations if not each.drainable]
    if not refused:
        return None
    kind = BlockedError if len(refused) == len(explanations) else IncompleteError
    held = [verdict for each in refused for verdict in blocking(each.verdicts)]
    if held and not any(each.refused for each in refused):
        return kind("; ".join(refusals(refused)), reason=held[0].reason, hint=held[0].remedy)
    return kind(
        "; ".join(refusals(refused)),
        reason="PodsRefused",
        hint=f"see each pod with: shipkeeper drain {' '.join(e.node for e in refused)} --explain",
    )


def refusals(explanations: Sequence[NodeExplanation]) -> tuple[str, ...]:
    """The refused pods as kubectl groups them (`cannot delete <why>: ns/a, ns/b`), sorted.

    What kubectl does not look at beforehand is `cannot evict ns/a: <why>`, and before all of that
    what other tools do with a node.
    """
    held = (f"{v.target}: {v.message}" for each in explanations for v in blocking(each.verdicts))
    refused = [item for each in explanations for item in each.refused]
    grouped = _grouped((_refusal(blocking(item.verdicts)[0]), item) for item in refused)
    pods = sorted(why.format(pods=", ".join(keys)) for why, keys in grouped.items())
    return (*held, *pods)


def _refusal(verdict: Verdict) -> str:
    if verdict.reason in REFUSALS:
        return f"cannot delete {REFUSALS[verdict.reason]}: {{pods}}"
    if verdict.reason == "DaemonSetMissing":
        return f"cannot delete {verdict.message}: {{pods}}"
    return f"cannot evict {{pods}}: {verdict.message}"


def warnings(explanation: NodeExplanation) -> str:
    """kubectl's warning about the pods of a drainable node; empty if there is none to give."""
    found = (
        (phrase, item)
        for item in explanation.pods
        for verdict in item.verdicts
        if (phrase := _WARNINGS.get((verdict.reason, verdict.effect)))
    )
    grouped = _grouped(found)
    return "; ".join(f"{phrase}: {', '.join(keys)}" for phrase, keys in grouped.items())


def _grouped(found: Iterable[tuple[str, Item]]) -> dict[str, list[str]]:
    grouped: defaultdict[str, set[str]] = defaultdict(set)
    for phrase, item in found:
        grouped[phrase].add(item.key)
    return {phrase: sorted(keys) for phrase, keys in grouped.items()}
