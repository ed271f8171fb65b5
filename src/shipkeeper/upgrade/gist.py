"""What somebody agrees to with the plan of an upgrade. Pure."""

from collections.abc import Iterator

from shipkeeper.engine.agreement import Gist, gist
from shipkeeper.engine.plan import Plan
from shipkeeper.nodes.gist import lines_of
from shipkeeper.upgrade.outlook import outlook_of


def gist_of(plan: Plan) -> Gist:
    """Which steps, to which effect and in which order, by which commands, and what is refused.

    Pods come and go all the time; a run looks at them again before it moves any.
    """
    outlook = outlook_of(plan)
    steps = [(step.id, step.after, step.claims, step.releases) for step in plan.steps]
    told = (steps, plan.max_failed, outlook.commands if outlook else {})
    return gist(told, _lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield from (f"{step.target}: {step.effect}" for step in plan.steps if not step.items)
    yield from lines_of(plan)
