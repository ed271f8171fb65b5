"""How a run over nodes stands: what the statuses of maintenances and upgrades share. Pure."""

from collections.abc import Sequence

from shipkeeper.engine.history import StepState
from shipkeeper.nodes.summary import REFUSED, NodeSummary
from shipkeeper.operator.api.conditions import StatusCondition
from shipkeeper.operator.api.fleet import NodeCount, NodeTrouble
from shipkeeper.operator.situation import ENDS, Phase, Situation
from shipkeeper.operator.told import condition

LONGEST = 1024
"""Characters of a message."""
_NAMED = 20


def counted_nodes(nodes: Sequence[NodeSummary]) -> NodeCount:
    """How many nodes there are, and how they stand."""
    return NodeCount(
        total=len(nodes),
        done=sum(each.is_done for each in nodes),
        failed=sum(each.state == StepState.FAILED for each in nodes),
        refused=sum(each.state == REFUSED for each in nodes),
    )


def under_way(nodes: Sequence[NodeSummary]) -> tuple[str, ...]:
    """The nodes that were begun and are not done, the first of them."""
    return tuple(each.node for each in nodes if each.state == StepState.BEGUN)[:_NAMED]


def troubles_of(nodes: Sequence[NodeSummary]) -> tuple[NodeTrouble, ...]:
    """The nodes that failed or were refused, the first of them, and why."""
    troubled = [each for each in nodes if each.message and not each.is_done]
    return tuple(
        NodeTrouble(node=each.node, message=each.message[:LONGEST]) for each in troubled[:_NAMED]
    )


def progress(
    phase: Phase, situation: Situation, message: str
) -> tuple[StatusCondition, StatusCondition]:
    """Whether a run goes on, and whether it succeeded."""
    ended = phase in ENDS.values()
    is_going = not ended and situation.phase in (Phase.RUNNING, Phase.STOPPING)
    succeeded = phase is Phase.SUCCEEDED if ended else "Unknown"
    return (
        condition("Progressing", is_going, "Ended" if ended else situation.reason, message),
        condition(
            "Succeeded", succeeded, str(phase) if ended else "NotEnded", message if ended else ""
        ),
    )
