"""What somebody agrees to with the plan of a drain or a maintenance. Pure."""

from collections.abc import Iterator

from shipkeeper.engine.agreement import Gist, gist
from shipkeeper.engine.plan import Plan
from shipkeeper.nodes.plan import nodes_of

_BUDGETS = "budget/"


def gist_of(plan: Plan) -> Gist:
    """Which nodes, in which order, under which limits, and what is refused.

    Pods come and go all the time, and budgets with them; a run looks at both again before it moves
    any.
    """
    steps = [(step.id, step.after, step.claims, step.releases) for step in plan.steps]
    return gist((steps, plan.max_failed), lines_of(plan))


def lines_of(plan: Plan) -> Iterator[str]:
    """The same in words."""
    yield from (f"node/{name}" for name in nodes_of(plan))
    for name, limit in sorted(plan.limits.items()):
        if not name.startswith(_BUDGETS):
            yield f"at most {limit} of {name}"
    yield from sorted(f"{each.target}: {each.reason}" for each in plan.blockers)
    waves: list[list[str]] = plan.outlook.get("waves", [])
    for number, nodes in enumerate(waves, 1):
        yield f"wave {number}: {' '.join(nodes)}"
