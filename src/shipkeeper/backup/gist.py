"""What somebody agrees to with the plan of a restore. Pure."""

from collections.abc import Iterator

from shipkeeper.backup.restore_plan import WRITES
from shipkeeper.engine.agreement import Gist, gist
from shipkeeper.engine.plan import Plan


def gist_of(plan: Plan) -> Gist:
    """Which objects are written, with which contents, and which are refused."""
    told = [
        (step.id, item.key, item.uid, item.action)
        for step in plan.steps
        for item in step.items
        if item.action in WRITES
    ]
    return gist(told, _lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"backup {plan.request['backup']}"
    for step in plan.steps:
        yield from (f"{item.action} {item.key}" for item in step.items if item.action in WRITES)
    yield from sorted(f"{each.target}: {each.reason}" for each in plan.blockers)
