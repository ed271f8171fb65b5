"""What is planned anew when the world changes in the middle of a maintenance."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.review import Revision
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.scheduling import SchedulablePod
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.plan import plan_fleet
from shipkeeper.nodes.fleet.revision import revise
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.orders import Canary, Order
from shipkeeper.nodes.plan import nodes_of
from tests.nodes.fleet.sample import apart, budget, fleet, node, pod

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NODES = tuple(node(f"n{number}") for number in range(1, 5))
SPARE = node("spare", "16")
PODS = tuple(pod(f"web-{number}", f"n{number}") for number in range(1, 5))
OPTIONS = MaintenanceOptions(drain=DrainOptions(), wait=1.0)


def cluster(
    *pods: SchedulablePod, budgets: tuple[PodDisruptionBudget, ...] = (), without: str = ""
) -> FleetState:
    nodes = tuple(each for each in NODES if each.name != without)
    return fleet((*nodes, SPARE), (*PODS, *pods), budgets, scope=len(nodes))


def revised(
    before: FleetState, now: FleetState, *begun: str, options: MaintenanceOptions = OPTIONS
) -> tuple[Plan, Revision | None]:
    base = plan_fleet(before, options, NOW)
    steps = {step.id for step in base.steps if step.target.removeprefix("node/") in begun}
    return base, revise(base, base, steps, now, options, NOW)


def bare(name: str, on: str) -> SchedulablePod:
    found = pod(name, on)
    return msgspec.structs.replace(
        found, metadata=msgspec.structs.replace(found.metadata, owner_references=())
    )


def test_a_world_that_is_the_same_changes_nothing() -> None:
    _, found = revised(cluster(), cluster(), "n1")
    assert found is None


def test_a_node_that_is_gone_is_left_out() -> None:
    base, found = revised(cluster(), cluster(without="n3"), "n1")
    assert found is not None
    assert found.changes == ("node n3 is left out: there is no such node any more",)
    assert nodes_of(found.plan) == ("n1", "n2", "n4")
    assert found.plan.steps[0] == base.steps[0]
    assert [step for step in found.plan.steps if step.target == "node/n1"] == [
        step for step in base.steps if step.target == "node/n1"
    ]
    (unsteer,) = [step for step in found.plan.steps if step.action == "unsteer"]
    assert unsteer.after == ("n1/uncordon", "n2/uncordon", "n4/uncordon")
    (blocker,) = found.plan.blockers
    assert (blocker.target, blocker.reason) == ("node/n3", "NodeNotFound")


def test_a_node_whose_pod_is_refused_now_is_left_out_and_may_come_back() -> None:
    base, found = revised(cluster(), cluster(bare("lone", "n2")), "n1")
    assert found is not None
    assert nodes_of(found.plan) == ("n1", "n3", "n4")
    assert "n2 is left out" in found.changes[0]
    assert "lone" in found.changes[0]
    begun = {step.id for step in base.steps if step.target == "node/n1"}
    again = revise(base, found.plan, begun, cluster(), OPTIONS, NOW)
    assert again is not None
    assert again.changes == ("node n2 can be done again",)
    assert [step.id for step in again.plan.steps] == [step.id for step in base.steps]


def test_begun_nodes_stay_whatever_becomes_of_them() -> None:
    base, found = revised(cluster(), cluster(bare("lone", "n2")), "n1", "n2")
    assert found is None
    _, found = revised(cluster(), cluster(without="n2"), "n1", "n2")
    assert found is None
    assert "n2" in nodes_of(base)


def saturated(allowed: int, *, missing: str = "") -> FleetState:
    """Every node, the spare one too, has a pod that no other node may have."""
    pods = tuple(
        pod(f"db-{each.name}", "" if each.name == missing else each.name, affinity=apart("db"))
        for each in (*NODES, SPARE)
    )
    return fleet((*NODES, SPARE), pods, (budget("db", allowed, pods=5),), scope=4)


def test_what_a_budget_bears_now_is_the_new_limit() -> None:
    options = msgspec.structs.replace(OPTIONS, max_unavailable="4")
    base, found = revised(saturated(1), saturated(2), "n1", options=options)
    assert base.limits["budget/n/db"] == 1
    assert found is not None
    assert found.changes == ("PodDisruptionBudget n/db bears 2 missing at a time instead of 1",)
    assert found.plan.limits["budget/n/db"] == 2


def test_what_our_own_run_takes_away_is_no_change() -> None:
    """A pod that waits for its node to come back neither frees a place nor narrows a budget."""
    options = msgspec.structs.replace(OPTIONS, max_unavailable="4")
    now = saturated(1, missing="n1")
    cordoned = msgspec.structs.replace(
        now.cluster[0], spec=msgspec.structs.replace(now.cluster[0].spec, unschedulable=True)
    )
    now = msgspec.structs.replace(now, cluster=(cordoned, *now.cluster[1:]))
    _, found = revised(saturated(1), now, "n1", options=options)
    assert found is None


def test_groups_and_gates_stay() -> None:
    options = msgspec.structs.replace(OPTIONS, order=Order(canary=Canary(names=("n3",))))
    base, found = revised(cluster(), cluster(without="n3"), options=options)
    (gate,) = [step for step in base.steps if step.action == "gate"]
    assert gate.after == ("n3/uncordon",)
    assert found is not None
    assert nodes_of(found.plan) == ("n1", "n2", "n4")
    (gate,) = [step for step in found.plan.steps if step.action == "gate"]
    assert gate.after == ()
    first: Any = next(step for step in found.plan.steps if step.id == "n1/cordon")
    assert first.after == (gate.id,)
