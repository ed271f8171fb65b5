"""Where a run stands, folded from what it tells."""

from shipkeeper.engine.plan import Item, Plan, Step
from shipkeeper.engine.progress import (
    ItemChanged,
    RunStarted,
    StepDone,
    StepFailed,
    StepStarted,
)
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.nodes.plan import PodAction
from shipkeeper.nodes.standing import Standing

POD = Item(key="n/a", uid="a", action=PodAction.EVICT)
STAYS = Item(key="n/b", uid="b", action=PodAction.SKIP)


def step(node: str, action: str, *items: Item) -> Step:
    return Step(id=f"{node}/{action}", action=action, target=f"node/{node}", effect="", items=items)


CORDON, DRAIN = step("x", "cordon"), step("x", "drain", POD, STAYS)
OTHER = step("y", "drain", POD)
PLAN = Plan(procedure="drain", request={}, steps=(CORDON, DRAIN, OTHER))


def begun() -> Standing:
    standing = Standing()
    standing(RunStarted("r", PLAN, resumed=False))
    return standing


def test_a_run_that_only_began() -> None:
    assert str(begun()) == "2 Pending"


def test_pods_are_counted_until_the_node_is_drained() -> None:
    standing = begun()
    standing(StepDone(CORDON))
    standing(StepStarted(DRAIN))
    assert str(standing) == "x Draining (0 of 1 pods moved), 1 Pending"
    standing(ItemChanged(DRAIN.id, "n/a", "Waiting", "why"))
    assert standing.nodes["x"].pods["n/a"].message == "why"
    standing(ItemChanged(DRAIN.id, "n/a", "Gone"))
    standing(ItemChanged(DRAIN.id, "n/late", "Gone"))
    assert standing.nodes["x"].pods == {}
    assert str(standing) == "x Draining (2 of 2 pods moved), 1 Pending"
    standing(StepDone(DRAIN))
    assert str(standing) == "1 Drained, 1 Pending"


def test_a_failure_is_kept_with_its_reason() -> None:
    standing = begun()
    verdict = Verdict(target="node/x", effect=Effect.WARN, reason="Why", message="because")
    standing(StepFailed(DRAIN, verdict))
    assert standing.nodes["x"].message == "because"
    assert str(standing) == "x Failed (0 of 1 pods moved), 1 Pending"
