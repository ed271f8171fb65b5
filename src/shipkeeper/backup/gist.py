"""What somebody agrees to with the plan of a restore. Pure."""

from collections.abc import Iterator

from shipkeeper.backup.restore_plan import QUIET, WRITES
from shipkeeper.engine.agreement import Gist, gist
from shipkeeper.engine.plan import Item, Plan


def gist_of(plan: Plan) -> Gist:
    """Which objects are written, how and with which contents, what is quieted, what is refused."""
    told = [
        (step.id, item.key, item.uid, item.action)
        for step in plan.steps
        for item in step.items
        if item.action in WRITES
    ]
    return gist((plan.request["options"], told), _lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"backup {plan.request['backup']}"
    for step in plan.steps:
        yield from (_quieted(item) for item in step.items if item.action == QUIET)
        yield from (f"{item.action} {item.key}" for item in step.items if item.action in WRITES)
    yield from sorted(f"{each.target}: {each.reason}" for each in plan.blockers)


def _quieted(item: Item) -> str:
    """A configuration of webhooks with the names of those that let everything pass."""
    return f"{item.action} {item.key}: {'; '.join(each.message for each in item.verdicts)}"
