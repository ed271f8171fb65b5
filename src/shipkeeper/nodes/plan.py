"""What becomes of each pod of a drained node, and the plan of a drain; pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from shipkeeper.engine.plan import Item, Plan, Step
from shipkeeper.engine.verdict import Effect, Verdict, blocking
from shipkeeper.model.duration import format_duration
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod
from shipkeeper.model.words import counted
from shipkeeper.nodes.disruption import judge_budgets
from shipkeeper.nodes.filters import FilterInput, apply_filters
from shipkeeper.nodes.holds import judge_holds, judge_locks
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import AtDeadline, DrainOptions, as_request
from shipkeeper.nodes.tiers import number_tiers, rank_of


class PodAction(StrEnum):
    """What a drain does with a pod."""

    EVICT = "Evict"
    DELETE = "Delete"
    SKIP = "Skip"
    REFUSE = "Refuse"


MOVING = frozenset({PodAction.EVICT, PodAction.DELETE})
# The reason of the verdict on a pod whose Deployment is scaled for it.
SURGE = "Surge"
_LEFT = {
    AtDeadline.GIVE_UP: "it is given up",
    AtDeadline.DELETE: "what is left is deleted past budgets",
    AtDeadline.KILL: "what is left is killed past budgets",
}


# A node, and what becomes of each pod on it.
Drainable = tuple[Node, tuple[Item, ...]]


def plan_drain(state: ClusterState, options: DrainOptions, now: datetime) -> Plan:
    """Cordon every node that can be drained, then drain them side by side.

    A node of which a pod is refused, or that another tool works on, gets no step, only the
    verdicts that say why.
    """
    drainable, verdicts = split_drainable(state, options, now)
    cordons = [cordon_step(node) for node, _ in drainable]
    ids = tuple(step.id for step in cordons)
    drains = [drain_step(node, items, options, after=ids) for node, items in drainable]
    return Plan(
        procedure="drain",
        request=as_request(options, tuple(node.name for node in state.nodes)),
        steps=(*cordons, *drains),
        verdicts=verdicts,
    )


def nodes_of(plan: Plan) -> tuple[str, ...]:
    """The names of the nodes that a plan works on, in its order."""
    targets = dict.fromkeys(step.target for step in plan.steps)
    return tuple(each.removeprefix("node/") for each in targets if each.startswith("node/"))


def plan_items(
    pods: tuple[Pod, ...], state: ClusterState, options: DrainOptions, now: datetime
) -> tuple[Item, ...]:
    """What a drain does with each pod of one node, with all verdicts on it."""
    given = FilterInput(options=options, daemon_sets=state.daemon_sets, now=now)
    items = [leaving_item(pod, state, options, apply_filters(pod, given)) for pod in pods]
    return tuple(_in_tiers(pods, items, options))


def _in_tiers(pods: Iterable[Pod], items: Iterable[Item], options: DrainOptions) -> Iterable[Item]:
    """The items of one node with the tiers that its pods leave in."""
    ranked = [
        (rank_of(pod, options.pod_order), item) for pod, item in zip(pods, items, strict=True)
    ]
    tiers = number_tiers(rank for rank, item in ranked if item.action in MOVING)
    for rank, item in ranked:
        tier = tiers.get(rank, 0) if item.action in MOVING else 0
        yield msgspec.structs.replace(item, tier=tier) if tier else item


def leaving_item(
    pod: Pod, state: ClusterState, options: DrainOptions, verdicts: tuple[Verdict, ...]
) -> Item:
    """What becomes of a pod that leaves unless a verdict, these or its budgets', forbids it."""
    evicts = bool(state.eviction_version) and not options.disable_eviction
    if evicts and (budgets := judge_budgets(pod, state.budgets_of(pod))) is not None:
        verdicts = (*verdicts, _with_surge(pod, state, budgets))
    wanted = PodAction.EVICT if evicts else PodAction.DELETE
    return Item(key=pod.key, uid=pod.uid, action=_decide(verdicts, wanted), verdicts=verdicts)


def _with_surge(pod: Pod, state: ClusterState, verdict: Verdict) -> Verdict:
    """What a budget's verdict comes to once the pod is no longer the only one."""
    deployment = state.surging.get(pod.uid)
    if deployment is None or verdict.reason != "BudgetNeverMet":
        return verdict
    return Verdict(
        target=verdict.target,
        effect=Effect.ALLOW,
        reason=SURGE,
        message=f"Deployment {deployment} will be scaled to 2 while its pod moves",
    )


def is_surging(item: Item) -> bool:
    """Whether a pod's Deployment is scaled before the pod is evicted."""
    return any(each.reason == SURGE for each in item.verdicts)


def _decide(verdicts: tuple[Verdict, ...], otherwise: PodAction) -> PodAction:
    """The first verdict that keeps the pod where it is decides."""
    for verdict in verdicts:
        if verdict.effect is Effect.SKIP:
            return PodAction.SKIP
        if verdict.effect is Effect.BLOCK:
            return PodAction.REFUSE
    return otherwise


def split_drainable(
    state: ClusterState, options: DrainOptions, now: datetime
) -> tuple[list[Drainable], tuple[Verdict, ...]]:
    """The nodes that can be drained with their pods, and what stands in the way of the others."""
    drainable: list[Drainable] = []
    verdicts: list[Verdict] = list(judge_locks(state.nodes, state.outside, now))
    for node in state.nodes:
        pods = state.pods_on(node.name)
        items = plan_items(pods, state, options, now)
        holds = judge_holds(node, pods, state.outside, now, ignore=options.ignore_holds)
        verdicts += (*holds, *_node_verdicts(node, items))
        is_refused = any(item.action == PodAction.REFUSE for item in items)
        if not is_refused and not blocking(holds):
            drainable.append((node, items))
    return drainable, tuple(verdicts)


def _node_verdicts(node: Node, items: tuple[Item, ...]) -> list[Verdict]:
    verdicts = [unreachable(node)] if not node.is_reachable else []
    refused = [item for item in items if item.action == PodAction.REFUSE]
    if refused:
        verdicts.append(_blocked(node, refused))
    for item in items:
        if item.action != PodAction.SKIP:
            verdicts += item.verdicts
    return verdicts


def unreachable(node: Node) -> Verdict:
    """The verdict on a node whose kubelet does not report."""
    return Verdict(
        target=f"node/{node.name}",
        effect=Effect.WARN,
        reason="NodeUnreachable",
        message="its kubelet does not report: pods that are evicted there stay Terminating",
        remedy="bring the kubelet back; only if the machine is known to be off, delete the node "
        "or taint it node.kubernetes.io/out-of-service (never before: two may run at once)",
        since=node.ready.last_transition_time if node.ready is not None else None,
    )


def _blocked(node: Node, refused: list[Item]) -> Verdict:
    names = ", ".join(item.key for item in refused[:5]) + (" …" if len(refused) > 5 else "")
    return Verdict(
        target=f"node/{node.name}",
        effect=Effect.BLOCK,
        reason="PodsRefused",
        message=f"cannot be drained because of {counted(len(refused), 'pod')}: {names}",
        remedy=f"see each with: shipkeeper drain {node.name} --explain",
    )


def cordon_step(
    node: Node, after: tuple[str, ...] = (), claims: dict[str, int] | None = None
) -> Step:
    """Refuse new pods, and hold what the node claims from now on."""
    is_cordoned = node.spec.unschedulable
    return Step(
        id=f"{node.name}/cordon",
        action="cordon",
        target=f"node/{node.name}",
        effect="stays cordoned" if is_cordoned else "new pods are refused",
        precondition="the node exists",
        undo="" if is_cordoned else "uncordon",
        after=after,
        claims=claims or {},
    )


def drain_step(
    node: Node,
    items: tuple[Item, ...],
    options: DrainOptions,
    after: tuple[str, ...],
    rollback: tuple[str, ...] = (),
) -> Step:
    """Move every pod that must go."""
    moving = sum(item.action in MOVING for item in items)
    tiers = max((item.tier for item in items), default=0)
    order = f" in {tiers} tiers" if tiers else ""
    return Step(
        id=f"{node.name}/drain",
        action="drain",
        target=f"node/{node.name}",
        effect=f"{counted(moving, 'pod')} to move{order}, {len(items) - moving} to leave"
        + in_time(options),
        precondition="the node is cordoned and no pod on it is refused",
        after=after,
        rollback=rollback,
        items=items,
    )


def in_time(options: DrainOptions) -> str:
    """What is to be said of a drain that has a deadline."""
    if not options.deadline:
        return ""
    limit = format_duration(timedelta(seconds=options.deadline))
    return f"; after {limit} {_LEFT[options.at_deadline]}"
