"""The plan of a maintenance: waves of nodes, each cordoned, drained, worked on and put back; pure.

Waves say who may be down together. A run need not wait for a whole wave: each node claims what it
takes of the limits (the caps, the budgets of pods that can run nowhere else) from its cordon to its
uncordon, and the next begins as soon as its own claims fit.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from shipkeeper.engine.plan import Item, Plan
from shipkeeper.engine.verdict import Verdict
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.node import Node
from shipkeeper.nodes.awaited import already_so
from shipkeeper.nodes.daemons import plan_daemons, refused_daemons
from shipkeeper.nodes.fleet.apart import keep_apart
from shipkeeper.nodes.fleet.capacity import Capacity, bound_by_budget, stay_verdicts
from shipkeeper.nodes.fleet.caps import cap_claims, cap_limits, parse_cap
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.sequence import Admitted, fleet_steps
from shipkeeper.nodes.fleet.waves import Candidate, least_waves, make_waves
from shipkeeper.nodes.options import (
    DrainOptions,
    MaintenanceOptions,
    as_request,
)
from shipkeeper.nodes.orders import Group, Order, arrange
from shipkeeper.nodes.plan import MOVING, Drainable, split_drainable

_NAMED = 5


class Outlook(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a plan foretells: its waves, and how few any plan could have.

    `leeways` is what the limits of budgets went by; see `leeway`.
    """

    waves: tuple[tuple[str, ...], ...]
    least_waves: int
    leeways: dict[str, int] = {}

    def as_json(self) -> dict[str, Any]:
        """As a plan keeps it: what is read back from the journal is the same."""
        return msgspec.json.decode(msgspec.json.encode(self))


def plan_fleet(state: FleetState, options: MaintenanceOptions, now: datetime) -> Plan:
    """All nodes of the state, group after group, in as few waves as the limits allow.

    A node of which a pod is refused, or has no room elsewhere, gets no step, only the verdicts that
    say why.
    """
    found = [each for node in state.nodes if (each := already_so(node, options.wait_for))]
    left_alone = {verdict.target for verdict in found}
    to_do = tuple(node for node in state.nodes if f"node/{node.name}" not in left_alone)
    drainable, verdicts = split_drainable(
        msgspec.structs.replace(state, nodes=to_do), options.drain, now
    )
    capacity = Capacity(state, moving_uids(drainable))
    admitted, more = admit(drainable, state, capacity, options, now)
    groups = arrange((each.node for each in admitted), _order(len(admitted), options))
    admitted = [_claim_group(each, groups) for each in admitted]
    limits = _limits(state, admitted, options) | _group_limits(groups)
    by_name = {each.node.name: each for each in admitted}
    members = _members(groups, admitted, state, options)
    waved = [waves_of([by_name[name] for name in names], limits, capacity) for names in members]
    ordered = [[by_name[name] for wave in waves for name in wave] for waves, _ in waved]
    return Plan(
        procedure="maintain",
        request=as_request(options, tuple(node.name for node in state.nodes)),
        steps=tuple(fleet_steps(ordered, groups, options)),
        verdicts=(*found, *verdicts, *more),
        limits=limits,
        max_failed=options.max_failed,
        outlook=Outlook(
            waves=tuple(wave for waves, _ in waved for wave in waves),
            least_waves=sum(least for _, least in waved),
            leeways={
                thing: found for thing, found in leeways(state.budgets).items() if thing in limits
            },
        ).as_json(),
    )


def _order(nodes: int, options: MaintenanceOptions) -> Order:
    """The order that was asked for, growing up to the cap."""
    most = parse_cap(options.max_unavailable, nodes)
    return msgspec.structs.replace(options.order, at_most=most)


def _members(
    groups: Sequence[Group],
    admitted: Sequence[Admitted],
    state: FleetState,
    options: MaintenanceOptions,
) -> list[tuple[str, ...]]:
    """The nodes of each group in an order that keeps those apart which share budgets."""
    leaving = {each.node.name: _leaving_of_budgets(each, state) for each in admitted}
    allowed = {each.key: each.status.disruptions_allowed for each in state.budgets}
    at_once = parse_cap(options.max_unavailable, max(len(admitted), 1))
    return [
        keep_apart(group.nodes, leaving, allowed, min(at_once, group.max_at_once or at_once))
        for group in groups
    ]


def _leaving_of_budgets(admitted: Admitted, state: FleetState) -> Counter[str]:
    """How many pods of each budget leave a node, by the budget's key."""
    leaving = {item.uid for item in admitted.items if item.action in MOVING}
    return Counter(
        budget.key
        for pod in state.pods_on(admitted.node.name)
        if pod.uid in leaving
        for budget in state.budgets_of(pod)
    )


def moving_uids(drainable: Iterable[Drainable]) -> list[str]:
    """The uids of the pods that leave these nodes."""
    return [item.uid for _, items in drainable for item in items if item.action in MOVING]


def admit(
    drainable: Sequence[Drainable],
    state: FleetState,
    capacity: Capacity,
    options: MaintenanceOptions,
    now: datetime,
) -> tuple[list[Admitted], list[Verdict]]:
    """The nodes whose pods have a place while they are away, and what is to be said of others."""
    admitted: list[Admitted] = []
    verdicts: list[Verdict] = []
    for node, items in drainable:
        stay = capacity.stay(node.name)
        daemons = _daemons(node, state, options.drain, now)
        found = (
            *stay_verdicts(node.name, stay, allow_pending=options.allow_pending),
            *refused_daemons(node, daemons),
        )
        verdicts += found
        if any(each.blocks for each in found):
            continue
        missing = bound_by_budget(stay, state)
        claims = {
            **cap_claims(node, options.pool_label),
            **{_budget(key): count for key, count in sorted(missing.items())},
        }
        admitted.append(
            Admitted(
                node=node,
                items=items,
                daemons=daemons,
                volumes=_volumes(state, (*items, *daemons)),
                claims=claims,
            )
        )
    return admitted, verdicts


def _daemons(
    node: Node, state: FleetState, options: DrainOptions, now: datetime
) -> tuple[Item, ...]:
    if not options.daemon_sets_last:
        return ()
    return plan_daemons(state.pods_on(node.name), state, options, now)


def _volumes(state: FleetState, items: Iterable[Item]) -> tuple[str, ...]:
    """The volumes that a node holds for pods which leave it."""
    leaving = (item.key for item in items if item.action in MOVING)
    return tuple(dict.fromkeys(name for key in leaving for name in state.attached.get(key, ())))


def _limits(
    state: FleetState, admitted: Sequence[Admitted], options: MaintenanceOptions
) -> dict[str, int]:
    """The caps, and for each budget how many of its pods may be missing."""
    caps = cap_limits(
        (each.node for each in admitted),
        options.max_unavailable,
        options.max_unavailable_per_zone,
        options.max_unavailable_per_pool,
        options.pool_label,
    )
    claimed = {thing for each in admitted for thing in each.claims}
    budgets = {
        _budget(budget.key): max(budget.status.disruptions_allowed, 1) for budget in state.budgets
    }
    return {thing: limit for thing, limit in {**caps, **budgets}.items() if thing in claimed}


def leeway(budget: PodDisruptionBudget) -> int:
    """How many pods of a budget may be missing when all of them are well.

    One that wants a fixed number of healthy pods is measured by that number alone: its status
    counts pods that are leaving, too, so that a maintenance itself would seem to change it.
    """
    if isinstance(budget.spec.min_available, int):
        return -budget.spec.min_available
    return budget.status.expected_pods - budget.status.desired_healthy


def leeways(budgets: Iterable[PodDisruptionBudget]) -> dict[str, int]:
    """The leeway of each budget, by what nodes claim of it."""
    return {_budget(each.key): leeway(each) for each in budgets}


def _claim_group(admitted: Admitted, groups: Sequence[Group]) -> Admitted:
    """The node with what it claims of its group, if that is limited."""
    group = next(each for each in groups if admitted.node.name in each.nodes)
    if not group.max_at_once:
        return admitted
    claims = {**admitted.claims, _group(group): 1}
    return msgspec.structs.replace(admitted, claims=claims)


def _group_limits(groups: Iterable[Group]) -> dict[str, int]:
    return {_group(each): each.max_at_once for each in groups if each.max_at_once}


def waves_of(
    admitted: Sequence[Admitted], limits: dict[str, int], capacity: Capacity
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """The waves of some nodes, and a bound on their number."""
    candidates = [Candidate(node=each.node.name, claims=each.claims) for each in admitted]
    # What has no room while one node is away is known, and borne; together it must be no more.
    alone = {each.node: len(capacity.without([each.node])) for each in candidates}

    def has_room(nodes: Sequence[str]) -> bool:
        return len(capacity.without(nodes)) <= sum(alone[name] for name in nodes)

    return make_waves(candidates, limits, has_room), least_waves(candidates, limits)


def _budget(key: str) -> str:
    return f"budget/{key}"


def _group(group: Group) -> str:
    return f"group/{group.name}"
