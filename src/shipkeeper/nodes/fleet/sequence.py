"""The steps of a maintenance in their order, around all nodes and for each of them; pure."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from shipkeeper.engine.plan import Item, Step
from shipkeeper.model.duration import format_duration
from shipkeeper.model.node import Node
from shipkeeper.model.words import counted
from shipkeeper.nodes.cordon import is_left_behind
from shipkeeper.nodes.daemons import daemons_step
from shipkeeper.nodes.options import IfWorkFails, MaintenanceOptions
from shipkeeper.nodes.orders import Group
from shipkeeper.nodes.plan import MOVING, cordon_step, drain_step

FLEET = "fleet"
_NAMED = 5


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A node that can be done: what becomes of its pods, and what it claims while it is down."""

    node: Node
    items: tuple[Item, ...]
    daemons: tuple[Item, ...]
    volumes: tuple[str, ...]
    claims: dict[str, int]


def fleet_steps(
    ordered: Sequence[Sequence[Admitted]], groups: Sequence[Group], options: MaintenanceOptions
) -> Iterable[Step]:
    """The steps of all nodes, group after group, with gates between them."""
    everyone = [each for group in ordered for each in group]
    # A node that holds none now may hold one that comes to it from another, by the time it is done.
    with_volumes = any(each.volumes for each in everyone)
    before: tuple[str, ...] = ()
    is_steered = options.steer and len(everyone) > 1
    if is_steered:
        steer = _steer(len(everyone))
        before = (steer.id,)
        yield steer
    for number, (group, members) in enumerate(zip(groups, ordered, strict=True)):
        if number:
            gate = _gate(number, group, [each.node.name for each in ordered[number - 1]], options)
            before = (gate.id,)
            yield gate
        for each in members:
            yield from node_steps(each, options, before, with_volumes=with_volumes)
    if is_steered:
        yield _unsteer([each.node.name for each in everyone])


def _steer(nodes: int) -> Step:
    return Step(
        id=f"{FLEET}/steer",
        action="steer",
        target=FLEET,
        effect=f"pods prefer nodes that are done to the {nodes} that are not",
        undo="unsteer",
    )


def _gate(number: int, group: Group, before: Sequence[str], options: MaintenanceOptions) -> Step:
    """What must hold between two groups; where failures are borne, it is asked all the same."""
    soak = options.health.soak
    held = f" for {format_duration(timedelta(seconds=soak))}" if soak else ""
    return Step(
        id=f"{FLEET}/gate-{number}",
        action="gate",
        target=FLEET,
        effect=f"the cluster is as healthy as before{held}; then {group.name}: {group.reason}",
        after=tuple(f"{name}/uncordon" for name in before),
        always=options.max_failed != 0,
    )


def _unsteer(nodes: Sequence[str]) -> Step:
    return Step(
        id=f"{FLEET}/unsteer",
        action="unsteer",
        target=FLEET,
        effect="no node is avoided any more",
        after=tuple(f"{name}/uncordon" for name in nodes),
        always=True,
    )


def node_steps(
    admitted: Admitted,
    options: MaintenanceOptions,
    after: tuple[str, ...],
    *,
    with_volumes: bool,
) -> Iterable[Step]:
    """All steps of one node; its first follows the steps of `after`."""
    node, target = admitted.node, f"node/{admitted.node.name}"
    cordon = cordon_step(node, after, admitted.claims)
    yield cordon
    last = drain_step(
        node, admitted.items, options.drain, after=(cordon.id,), rollback=(cordon.id,)
    )
    yield last
    if with_volumes:
        # Before DaemonSet pods end: one of them may be what takes volumes off the node.
        last = _detach_step(node, admitted.volumes, after=(last.id,), rollback=(cordon.id,))
        yield last
    if any(item.action in MOVING for item in admitted.daemons):
        last = daemons_step(
            node, admitted.daemons, options.drain, after=(last.id,), rollback=(cordon.id,)
        )
        yield last
    last = Step(
        id=f"{node.name}/update",
        action="update",
        target=target,
        effect=_effect_of(options),
        precondition="no pod that must move is left on the node",
        after=(last.id,),
        rollback=(cordon.id,) if options.if_work_fails is IfWorkFails.RETURNED else (),
    )
    yield last
    last = Step(
        id=f"{node.name}/ready",
        action="ready",
        target=target,
        effect="is Ready" + (" with a new boot ID" if options.expect_reboot else ""),
        after=(last.id,),
    )
    yield last
    if with_volumes:
        last = _attach_step(node, after=(last.id,), rollback=(cordon.id,))
        yield last
    yield Step(
        id=f"{node.name}/uncordon",
        action="uncordon",
        target=target,
        effect="stays cordoned" if _is_foreign(node) else "new pods are accepted",
        precondition="the node is Ready",
        after=(last.id,),
        releases=(cordon.id,),
    )


def _detach_step(
    node: Node, volumes: tuple[str, ...], after: tuple[str, ...], rollback: tuple[str, ...]
) -> Step:
    """Wait for the volumes of pods that left."""
    named = ", ".join(volumes[:_NAMED]) + (" …" if len(volumes) > _NAMED else "")
    told = f"{counted(len(volumes), 'volume')} to leave it with their pods: {named}"
    return Step(
        id=f"{node.name}/detach",
        action="detach",
        target=f"node/{node.name}",
        effect=told if volumes else "volumes that come to it meanwhile leave it with their pods",
        after=after,
        rollback=rollback,
    )


def _attach_step(node: Node, after: tuple[str, ...], rollback: tuple[str, ...]) -> Step:
    """Wait for them where their pods are now."""
    return Step(
        id=f"{node.name}/attach",
        action="attach",
        target=f"node/{node.name}",
        effect="volumes that left it are attached where they are used",
        after=after,
        rollback=rollback,
    )


def _is_foreign(node: Node) -> bool:
    return node.spec.unschedulable and not is_left_behind(node)


def _effect_of(options: MaintenanceOptions) -> str:
    if options.if_work_fails is IfWorkFails.RETURNED:
        return f"{_work_of(options)}; if that fails, new pods are accepted again"
    return _work_of(options)


def _work_of(options: MaintenanceOptions) -> str:
    if options.ssh is not None:
        return f"over SSH: {options.work}"
    if options.pod is not None:
        return f"through a pod: {options.work}"
    if options.wait_for:
        limit = format_duration(timedelta(seconds=options.wait_limit))
        return f"wait up to {limit} for: {', '.join(map(str, options.wait_for))}"
    if options.command:
        return f"run: {options.command}"
    return f"wait {format_duration(timedelta(seconds=options.wait))}"
