"""Planning anew what a maintenance has not begun, because the world is no longer as it was; pure.

The order of the groups and the gates between them stay, and so do all steps of nodes that were
begun. Of the others, those that are gone or refused now are left out, those that can be done again
come back, and what each claims, and the limits, are worked out on what is observed now.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime

import msgspec

from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.review import Revision
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.node import Node
from shipkeeper.model.scheduling import SchedulablePod
from shipkeeper.model.words import counted
from shipkeeper.nodes.fleet.capacity import Capacity
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.placement import Misfit, Placement
from shipkeeper.nodes.fleet.plan import Outlook, admit, leeways, moving_uids, waves_of
from shipkeeper.nodes.fleet.sequence import FLEET, Admitted, node_steps
from shipkeeper.nodes.options import MaintenanceOptions
from shipkeeper.nodes.plan import nodes_of, split_drainable

_LIFECYCLE_TAINTS = "node.kubernetes.io/"
_GROUP = "group/"


def revise(
    base: Plan,
    current: Plan,
    begun: Set[str],
    state: FleetState,
    options: MaintenanceOptions,
    now: datetime,
) -> Revision | None:
    """The plan for the world as it is; None if it asks for nothing else than the current one.

    `base` is what the run began with: a node that a revision left out may come back. `begun` holds
    the ids of the steps that have begun; `state` is observed with the nodes of `base` in scope.
    """
    started = {each.target for each in current.steps if each.id in begun}
    open_names = {name for name in nodes_of(base) if f"node/{name}" not in started}
    view = as_if_back(state, {name for name in nodes_of(base) if name not in open_names})
    remaining = tuple(node for node in view.nodes if node.name in open_names)
    view = msgspec.structs.replace(view, nodes=remaining)
    drainable, refused = split_drainable(view, options.drain, now)
    capacity = Capacity(view, moving_uids(drainable))
    admitted, short = admit(drainable, view, capacity, options, now)
    in_groups = [_with_group(each, base) for each in admitted]
    limits = _limits(base, view, in_groups)
    gone = [_gone(name) for name in sorted(open_names - {node.name for node in remaining})]
    left_out = [each for each in (*refused, *short, *gone) if each.blocks]
    order, waves = _order(base, in_groups, limits, capacity)
    plan = msgspec.structs.replace(
        current,
        steps=tuple(_steps(base, current, started, order, options)),
        verdicts=(*_verdicts_to_keep(base, open_names), *left_out),
        limits=limits,
        outlook={**base.outlook, **_outlook(current, started, waves)},
    )
    changes = tuple(_changes(current, plan, left_out))
    return Revision(plan=plan, changes=changes) if changes else None


def as_if_back(state: FleetState, begun: Set[str]) -> FleetState:
    """The cluster with the nodes under way back in service, and waiting pods where they could go.

    Otherwise what is away for a while would look as if it were gone for good.
    """
    cluster = tuple(_back(node) if node.name in begun else node for node in state.cluster)
    placement = Placement(cluster, state.everything, state.volumes, disturbed=())
    settled = {pod.key: placed for pod, placed in _settle(placement, state.everything)}
    everything = tuple(settled.get(pod.key, pod) for pod in state.everything)
    return msgspec.structs.replace(state, cluster=cluster, everything=everything)


def _back(node: Node) -> Node:
    taints = tuple(each for each in node.spec.taints if not each.key.startswith(_LIFECYCLE_TAINTS))
    spec = msgspec.structs.replace(node.spec, unschedulable=False, taints=taints)
    return msgspec.structs.replace(node, spec=spec)


def _settle(
    placement: Placement, pods: Iterable[SchedulablePod]
) -> Iterator[tuple[SchedulablePod, SchedulablePod]]:
    for pod in pods:
        if pod.spec.node_name or pod.is_finished or pod.is_deleting:
            continue
        chosen = placement.choose(pod)
        if not isinstance(chosen, Misfit):
            placement.put(pod, chosen)
            spec = msgspec.structs.replace(pod.spec, node_name=chosen)
            yield pod, msgspec.structs.replace(pod, spec=spec)


def _with_group(admitted: Admitted, base: Plan) -> Admitted:
    """The node with what it claims of its group, which a revision does not change."""
    cordon = base.step(f"{admitted.node.name}/cordon")
    kept = {thing: much for thing, much in cordon.claims.items() if thing.startswith(_GROUP)}
    return msgspec.structs.replace(admitted, claims={**admitted.claims, **kept})


def _limits(base: Plan, view: FleetState, admitted: Sequence[Admitted]) -> dict[str, int]:
    """The limits, budgets shifted by what they bear more or less than when the run began.

    What a budget's status allows just now is no measure: our own evictions are in it.
    """
    before: Mapping[str, int] = base.outlook.get("leeways", {})
    claimed = {thing for each in admitted for thing in each.claims}
    found = dict(base.limits)
    for thing, now in leeways(view.budgets).items():
        if thing in base.limits:
            found[thing] = max(base.limits[thing] + now - before.get(thing, now), 1)
        elif thing in claimed:
            found[thing] = max(now, 1)
    return found


def _order(
    base: Plan, admitted: Sequence[Admitted], limits: dict[str, int], capacity: Capacity
) -> tuple[list[Admitted], list[tuple[str, ...]]]:
    """The nodes in the order of their waves, group after group, and the waves."""
    by_name = {each.node.name: each for each in admitted}
    waves: list[tuple[str, ...]] = []
    for group in _groups(base):
        members = [by_name[name] for name in group if name in by_name]
        if members:
            found, _ = waves_of(members, limits, capacity)
            waves += found
    return [by_name[name] for wave in waves for name in wave], waves


def _groups(base: Plan) -> Iterator[tuple[str, ...]]:
    """The nodes between the gates of a plan."""
    group: dict[str, None] = {}
    for step in base.steps:
        if step.action == "gate":
            yield tuple(group)
            group = {}
        elif step.target != FLEET:
            group[step.target.removeprefix("node/")] = None
    yield tuple(group)


def _steps(
    base: Plan,
    current: Plan,
    started: Set[str],
    order: Sequence[Admitted],
    options: MaintenanceOptions,
) -> Iterator[Step]:
    """The steps of the base, in groups as there: begun nodes first, as they are."""
    present = {each.node.name for each in order} | {
        target.removeprefix("node/") for target in started
    }
    before: tuple[str, ...] = ()
    with_volumes = any(step.action == "detach" for step in base.steps)
    left = [step for step in base.steps if step.target == FLEET]
    for group in _groups(base):
        if left and left[0].action == "steer":
            yield left.pop(0)
        yield from (step for step in current.steps if step.target in started & _targets(group))
        for each in order:
            if each.node.name in group:
                first = base.step(f"{each.node.name}/cordon")
                yield from node_steps(each, options, first.after, with_volumes=with_volumes)
        if left:
            step = _without(left.pop(0), present, before)
            before = (step.id,)
            yield step


def _targets(names: Iterable[str]) -> Set[str]:
    return {f"node/{name}" for name in names}


def _without(step: Step, present: Set[str], before: tuple[str, ...]) -> Step:
    """A step of the whole fleet that no longer waits for nodes which are left out."""
    after = tuple(each for each in step.after if each.rpartition("/")[0] in present)
    return msgspec.structs.replace(step, after=after or before)


def _outlook(
    current: Plan, started: Set[str], waves: Sequence[tuple[str, ...]]
) -> dict[str, object]:
    """The waves: those that were begun, as far as they were, then those to come."""
    known = msgspec.convert(current.outlook, Outlook)
    begun = ([name for name in wave if f"node/{name}" in started] for wave in known.waves)
    return {"waves": [*(wave for wave in begun if wave), *(list(wave) for wave in waves)]}


def _verdicts_to_keep(base: Plan, open_names: Set[str]) -> Iterator[Verdict]:
    """What was said of nodes that were never in the plan, or are begun."""
    return (each for each in base.verdicts if each.target.removeprefix("node/") not in open_names)


def _gone(name: str) -> Verdict:
    return Verdict(
        target=f"node/{name}",
        effect=Effect.BLOCK,
        reason="NodeNotFound",
        message="there is no such node any more",
        remedy="nothing: it was taken out of the cluster",
    )


def _changes(current: Plan, plan: Plan, left_out: Sequence[Verdict]) -> Iterator[str]:
    before, after = set(nodes_of(current)), set(nodes_of(plan))
    why = {each.target: each.message for each in left_out if each.target.startswith("node/")}
    for name in sorted(before - after):
        yield f"node {name} is left out: {why.get(f'node/{name}', 'it cannot be done now')}"
    for name in sorted(after - before):
        yield f"node {name} can be done again"
    yield from _changed_limits(current, plan)
    for name in sorted(before & after):
        yield from _changed_claims(name, current, plan)


def _changed_limits(current: Plan, plan: Plan) -> Iterator[str]:
    for thing in sorted(current.limits.keys() | plan.limits.keys()):
        old, new = current.limits.get(thing), plan.limits.get(thing)
        if old != new and old is not None:
            yield f"{_noun(thing)} bears {new} missing at a time instead of {old}"
        elif old is None:
            yield f"{_noun(thing)} counts now: it bears {new} missing at a time"


def _changed_claims(name: str, current: Plan, plan: Plan) -> Iterator[str]:
    old, new = current.step(f"{name}/cordon").claims, plan.step(f"{name}/cordon").claims
    for thing in sorted(old.keys() | new.keys()):
        if old.get(thing, 0) != new.get(thing, 0) and thing.startswith("budget/"):
            pods = counted(new.get(thing, 0), "pod")
            yield f"node {name} has {pods} of {_noun(thing)} that can run nowhere else"


def _noun(thing: str) -> str:
    kind, _, name = thing.partition("/")
    return f"PodDisruptionBudget {name}" if kind == "budget" else f"{kind} {name}".rstrip()
