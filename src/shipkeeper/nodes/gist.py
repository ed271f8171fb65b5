"""What somebody agrees to with the plan of a drain or a maintenance. Pure."""

from collections.abc import Iterator
from typing import Any

from shipkeeper.engine.agreement import Gist, gist
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.nodes.plan import nodes_of

_BUDGETS = "budget/"
OF_PODS = frozenset({"drain", "daemons", "detach", "attach"})
"""The actions whose steps tell of pods, or are there for some alone."""


def gist_of(plan: Plan) -> Gist:
    """Which nodes and groups of them, under which limits, how it is done, and what is refused.

    Pods come and go all the time, and with them budgets, waves, and which node of a group goes
    first; a run looks at pods and budgets again before it moves any.
    """
    return gist((plan.request["options"], steps_of(plan), plan.max_failed), lines_of(plan))


def steps_of(plan: Plan) -> list[Any]:
    """What tells the steps from others, in no order but that in which they follow each other."""
    by_id = {step.id: step for step in plan.steps}
    return sorted(
        (step.id, sorted(_before(step, by_id)), sorted(_claims(step)), step.releases)
        for step in plan.steps
        if step.action not in OF_PODS
    )


def _before(step: Step, by_id: dict[str, Step]) -> Iterator[str]:
    """What a step follows, past the steps of pods; a gate alone names nodes that come before."""
    for each in step.after:
        if by_id[each].action in OF_PODS:
            yield from _before(by_id[each], by_id)
        elif step.action == "gate" or by_id[each].action != "uncordon":
            yield each


def _claims(step: Step) -> Iterator[tuple[str, int]]:
    return (each for each in step.claims.items() if not each[0].startswith(_BUDGETS))


def lines_of(plan: Plan) -> Iterator[str]:
    """The same in words."""
    yield from (f"node/{name}" for name in nodes_of(plan))
    yield from (f"{step.target}: {step.effect}" for step in plan.steps if step.action == "gate")
    for name, limit in sorted(plan.limits.items()):
        if not name.startswith(_BUDGETS):
            yield f"at most {limit} of {name}"
    # What keeps a pod where it is keeps its node, too, and that is told.
    yield from sorted(
        {
            f"{each.target}: {each.reason}"
            for each in plan.blockers
            if each.target == "cluster" or each.target.startswith("node/")
        }
    )
