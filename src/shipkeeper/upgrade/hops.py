"""The order of an upgrade: minor after minor, with as few drains as the policy allows; pure.

Control planes go first, hop by hop. A kubelet is left where it is for as long as it may lag, and
then goes straight to the version that all API servers have: each drain buys as many hops as it can,
so that no order has fewer.
"""

from collections.abc import Iterator, Sequence, Set

import msgspec

from shipkeeper.upgrade.policy import lag
from shipkeeper.upgrade.shape import Change, Move, Shape, Worker, through

Chain = tuple[Move, ...]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Chains of moves that may run side by side; the next stage waits for all of them.

    `minor` is what the stage brings its targets to; `forced` says why kubelets cannot wait.
    """

    kind: str
    minor: int
    chains: tuple[Chain, ...]
    forced: str = ""

    @property
    def moves(self) -> Iterator[Move]:
        """All moves, chain after chain."""
        return (move for chain in self.chains for move in chain)


CONTROL_PLANE = "control-plane"
KUBELETS = "kubelets"


def order_upgrade(
    shape: Shape,
    hops: Sequence[int],
    *,
    kubelet_lag: int | None = None,
    outdated: Set[str] = frozenset(),
) -> tuple[Stage, ...]:
    """The stages that take the control plane hop by hop, and every kubelet to the last hop.

    The first hop may be to the minor that is there already, for the sake of its patch, or because
    an earlier upgrade stopped half way; `outdated` are nodes whose kubelets lack but a patch.
    kubelet_lag, if given, is how far kubelets may fall behind where that is less than the policy's.
    """
    return tuple(_stages(shape, hops, kubelet_lag, outdated))


def hops_between(shape: Shape, target: int) -> tuple[int, ...]:
    """The minors that a control plane has to go through, the first one being the next it can."""
    first = shape.newest if _is_half_way(shape) else shape.newest + 1
    return tuple(range(first, target + 1))


def drains(stages: Sequence[Stage]) -> int:
    """How many times a node is drained in all."""
    return sum(move.change is Change.DRAIN for stage in stages for move in stage.moves)


def _stages(
    shape: Shape, hops: Sequence[int], limit: int | None, outdated: Set[str]
) -> Iterator[Stage]:
    for minor in hops:
        if late := [each for each in shape.workers if _is_too_old(each, minor, limit)]:
            stage = _kubelets(late, shape.oldest, f"they would be too old for 1.{minor}")
            shape = through(shape, stage.moves)
            yield stage
        stage = _control_plane(shape, minor)
        shape = through(shape, stage.moves)
        yield stage
    target = hops[-1] if hops else shape.oldest
    left = [each for each in shape.workers if each.kubelet != target or each.name in outdated]
    if left:
        yield _kubelets(left, target, "")


def _is_half_way(shape: Shape) -> bool:
    """Whether something of the control plane still has to come to the newest API server's minor."""
    newest = shape.newest
    is_behind = any(each.api_server < newest or each.controllers < newest for each in shape.members)
    return is_behind or any(each.proxy not in (None, newest) for each in shape.workers)


def _is_too_old(node: Worker, minor: int, limit: int | None) -> bool:
    allowed = lag(node.kubelet) if limit is None else min(lag(node.kubelet), limit)
    return minor - node.kubelet > allowed


def _control_plane(shape: Shape, minor: int) -> Stage:
    """Member after member, as kubeadm does it: API server, then its controllers; last the proxies.

    Where controllers may reach any API server they are pinned to their own before that, or else
    the first of them would be newer than the last API server.
    """
    moves = [Move(Change.PIN)] if shape.shared and len(shape.members) > 1 else []
    is_patch = not _is_half_way(shape) and shape.newest == minor
    for each in sorted(shape.members, key=lambda each: -each.api_server):
        if is_patch or each.api_server != minor:
            moves.append(Move(Change.API_SERVER, each.name, minor))
        if is_patch or each.controllers != minor:
            moves.append(Move(Change.CONTROLLERS, each.name, minor))
    moves += [
        Move(Change.PROXY, each.name, minor)
        for each in shape.workers
        if each.proxy not in (None, minor)
    ]
    return Stage(kind=CONTROL_PLANE, minor=minor, chains=(tuple(moves),))


def _kubelets(nodes: Sequence[Worker], minor: int, forced: str) -> Stage:
    return Stage(
        kind=KUBELETS,
        minor=minor,
        chains=tuple(kubelet_chain(each.name, minor) for each in nodes),
        forced=forced,
    )


def kubelet_chain(node: str, minor: int) -> Chain:
    """What happens to one node."""
    return (
        Move(Change.DRAIN, node),
        Move(Change.INSTALL, node, minor),
        Move(Change.RESTART, node),
        Move(Change.UNCORDON, node),
    )
