"""Caps: how many nodes may be down at once, in all, in each zone and in each pool; pure."""

from collections import Counter
from collections.abc import Iterable

from shipkeeper.errors import UsageError
from shipkeeper.model.node import Node

NODES = "nodes"
CONTROL_PLANE = "control-plane"


def parse_cap(text: str, total: int) -> int:
    """Read `N` or `N%` of a total, rounded down but at least 1. UsageError if it is neither."""
    number = text.removesuffix("%")
    if not number.isdecimal() or int(number) == 0 or (text.endswith("%") and int(number) > 100):
        raise UsageError(
            f"{text!r} is no number of nodes",
            reason="InvalidCap",
            hint="give a number above 0, or a percentage such as 10%",
        )
    return max(int(number) * total // 100, 1) if text.endswith("%") else int(number)


def cap_claims(node: Node, pool_label: str) -> dict[str, int]:
    """What a node that is down takes of the caps; control-plane nodes share a quorum, too."""
    claims = {NODES: 1, _zone(node): 1}
    if pool_label:
        claims[_pool(node, pool_label)] = 1
    if node.is_control_plane:
        claims[CONTROL_PLANE] = 1
    return claims


def cap_limits(
    nodes: Iterable[Node], total: str, per_zone: str, per_pool: str, pool_label: str
) -> dict[str, int]:
    """The caps over these nodes; percentages are of the nodes in each zone or pool."""
    members = tuple(nodes)
    limits = {NODES: parse_cap(total, len(members)), CONTROL_PLANE: 1}
    if per_zone:
        counts = Counter(_zone(node) for node in members)
        limits |= {zone: parse_cap(per_zone, count) for zone, count in counts.items()}
    if per_pool and pool_label:
        counts = Counter(_pool(node, pool_label) for node in members)
        limits |= {pool: parse_cap(per_pool, count) for pool, count in counts.items()}
    return limits


def _zone(node: Node) -> str:
    return f"zone/{node.zone}"


def _pool(node: Node, label: str) -> str:
    return f"pool/{node.metadata.labels.get(label, '')}"
