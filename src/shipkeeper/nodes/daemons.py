"""DaemonSet pods that leave a node after all others; pure.

A taint keeps their controllers from starting them again. Pods that tolerate it stay: what bears
every taint, such as a network or storage plugin, the node cannot do without.
"""

from datetime import datetime

from shipkeeper.engine.plan import Item, Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod
from shipkeeper.model.words import counted
from shipkeeper.nodes.filters import FilterInput, daemon_set, local_storage, long_deleted
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.plan import MOVING, PodAction, in_time, leaving_item

_LAST = "DaemonSetLast"


def plan_daemons(
    pods: tuple[Pod, ...], state: ClusterState, options: DrainOptions, now: datetime
) -> tuple[Item, ...]:
    """What becomes of each pod once only those of DaemonSets are to be left."""
    given = FilterInput(options=options, daemon_sets=state.daemon_sets, now=now)
    return tuple(_item(pod, state, given) for pod in pods)


def _item(pod: Pod, state: ClusterState, given: FilterInput) -> Item:
    owned = daemon_set(pod, given)
    if owned is None or owned.reason != _LAST:
        verdicts = (owned,) if owned is not None else ()
        return Item(key=pod.key, uid=pod.uid, action=PodAction.SKIP, verdicts=verdicts)
    found = (long_deleted(pod, given), local_storage(pod, given))
    verdicts = tuple(each for each in found if each is not None)
    return leaving_item(pod, state, given.options, verdicts)


def refused_daemons(node: Node, items: tuple[Item, ...]) -> tuple[Verdict, ...]:
    """Why a node's DaemonSet pods cannot leave it; empty if they can."""
    refused = [item for item in items if item.action == PodAction.REFUSE]
    if not refused:
        return ()
    names = ", ".join(item.key for item in refused)
    whole = Verdict(
        target=f"node/{node.name}",
        effect=Effect.BLOCK,
        reason="PodsRefused",
        message=f"cannot be left by {counted(len(refused), 'DaemonSet pod')}: {names}",
        remedy="leave such pods where they are with --daemonset-pods=ignore",
    )
    return (whole, *(each for item in refused for each in item.verdicts if each.blocks))


def daemons_step(
    node: Node,
    items: tuple[Item, ...],
    options: DrainOptions,
    after: tuple[str, ...],
    rollback: tuple[str, ...],
) -> Step:
    """End the DaemonSet pods of a node that everybody else has left."""
    ending = tuple(item for item in items if item.action in MOVING)
    return Step(
        id=f"{node.name}/daemons",
        action="daemons",
        target=f"node/{node.name}",
        effect=f"{counted(len(ending), 'DaemonSet pod')} to end{in_time(options)}",
        precondition="the node is cordoned and no other pod that must go is left",
        undo="untaint",
        after=after,
        rollback=rollback,
        items=ending,
    )
