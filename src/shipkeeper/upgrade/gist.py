"""What somebody agrees to with the plan of an upgrade. Pure."""

from collections.abc import Iterator

from shipkeeper.engine.agreement import Gist, gist
from shipkeeper.engine.plan import Plan
from shipkeeper.nodes.gist import OF_PODS, lines_of, steps_of
from shipkeeper.upgrade.outlook import outlook_of


def gist_of(plan: Plan) -> Gist:
    """Which steps, to which effect, how and by which commands, and what is refused.

    Pods come and go all the time, and with them the order of nodes; a run looks at pods again
    before it moves any.
    """
    outlook = outlook_of(plan)
    commands = outlook.commands if outlook else {}
    told = (plan.request, steps_of(plan), plan.max_failed, commands)
    return gist(told, _lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    own = (step for step in plan.steps if step.action not in OF_PODS)
    yield from (f"{step.target}: {step.effect}" for step in own)
    yield from lines_of(plan)
