"""Plans of small fleets, each for one rule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.plan import Plan
from shipkeeper.errors import UsageError
from shipkeeper.model.meta import Condition
from shipkeeper.model.node import Taint
from shipkeeper.model.pod import PodStatus
from shipkeeper.model.scheduling import SchedulablePod
from shipkeeper.nodes.fleet.caps import parse_cap
from shipkeeper.nodes.fleet.forecast import forecast, forecast_moves
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.pace import Pace, observed_pace
from shipkeeper.nodes.fleet.plan import plan_fleet
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.orders import Order, parse_canary
from shipkeeper.nodes.windows import parse_windows
from tests.nodes.fleet.sample import apart, budget, fleet, near, node, pod, spread

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def plan(state: FleetState, **wishes: Any) -> Plan:
    return plan_fleet(state, MaintenanceOptions(drain=DrainOptions(), wait=1.0, **wishes), NOW)


def waves(state: FleetState, **wishes: Any) -> list[list[str]]:
    return plan(state, **{"max_unavailable": "100%", **wishes}).outlook["waves"]


def test_as_many_at_once_as_the_cap_says() -> None:
    state = fleet(tuple(node(f"n{i}") for i in range(4)), ())
    assert waves(state) == [["n0", "n1", "n2", "n3"]]
    assert [len(wave) for wave in waves(state, max_unavailable="3")] == [3, 1]
    assert [len(wave) for wave in waves(state, max_unavailable="50%")] == [2, 2]
    assert [len(wave) for wave in waves(state, max_unavailable="1")] == [1, 1, 1, 1]


def test_caps_of_zones_and_pools() -> None:
    nodes = tuple(node(f"n{i}", zone=f"z{i % 2}") for i in range(4))
    assert waves(fleet(nodes, ()), max_unavailable_per_zone="1") == [["n0", "n1"], ["n2", "n3"]]
    by_zone = {"pool_label": "topology.kubernetes.io/zone", "max_unavailable_per_pool": "1"}
    assert len(waves(fleet(nodes, ()), **by_zone)) == 2


def test_control_plane_nodes_come_last_and_one_by_one() -> None:
    nodes = (
        node("m1", roles=("control-plane",)),
        node("m2", roles=("control-plane",)),
        node("w1"),
        node("w2"),
    )
    assert waves(fleet(nodes, ())) == [["w1", "w2"], ["m1"], ["m2"]]


def test_pods_that_can_run_nowhere_else_share_their_budget() -> None:
    nodes = tuple(node(f"n{i}") for i in range(4))
    pods = tuple(pod(f"db-{i}", f"n{i}", affinity=apart("db")) for i in range(4))
    assert len(waves(fleet(nodes, pods, (budget("db", 1),)))) == 4
    assert len(waves(fleet(nodes, pods, (budget("db", 2),)))) == 2
    # With places to go to they need not wait for each other.
    more = (*nodes, *(node(f"spare{i}") for i in range(4)))
    assert len(waves(fleet(more, pods, (budget("db", 1),), scope=4))) == 1


def test_nodes_whose_pods_fit_only_one_at_a_time_are_apart() -> None:
    nodes = tuple(node(f"n{i}", cpu="2") for i in range(3))
    pods = tuple(pod(f"web-{i}", f"n{i}") for i in range(3))
    # Two nodes hold four pods of one CPU, one node holds two.
    assert [len(wave) for wave in waves(fleet(nodes, pods))] == [1, 1, 1]
    roomy = tuple(node(f"n{i}", cpu="4") for i in range(3))
    assert [len(wave) for wave in waves(fleet(roomy, pods))] == [2, 1]


@pytest.mark.parametrize(("cpu", "fits"), [("3", True), ("2", False)])
def test_what_is_short_is_named_and_left_alone(cpu: str, *, fits: bool) -> None:
    nodes = (node("full"), node("other", cpu=cpu))
    pods = (pod("web-1", "full"), pod("web-2", "full"), pod("rest-1", "other"))
    found = plan(fleet(nodes, pods, scope=1))
    assert bool(found.steps) is fits
    if not fits:
        (blocker,) = found.blockers
        assert blocker.reason == "NoRoomElsewhere"
        assert "1 pod of it fit nowhere else: n/web-2 (short of 1 cpu)" in blocker.message
        assert plan(fleet(nodes, pods, scope=1), allow_pending=True).steps


def test_the_rules_of_pods_are_kept() -> None:
    taint = Taint(key="dedicated", value="gpu", effect="NoSchedule")
    both = (node("a"), node("b", taints=(taint,)))
    assert plan(fleet(both, (pod("web-1", "a"),), scope=1)).verdicts[0].reason == "BoundToNode"
    one = (node("a", zone="z1"), node("b", zone="z2"), node("c", zone="z2"))
    by_zone = "topology.kubernetes.io/zone"
    bound = (
        (pod("db-1", "a", affinity=apart("db", by_zone)), pod("db-2", "b")),
        (pod("side-1", "a", affinity=near("web", by_zone)), pod("web-1", "a", cpu="4")),
        (
            pod("even-1", "a", topology_spread_constraints=spread("even", by_zone)),
            pod("even-2", "b"),
            pod("even-3", "c"),
        ),
        (pod("here-1", "a", node_selector={"kubernetes.io/hostname": "a"}),),
    )
    for pods in bound:
        reasons = [each.reason for each in plan(fleet(one, pods, scope=1)).verdicts]
        assert "BoundToNode" in reasons, pods[0].name


def test_the_same_state_gives_the_same_plan() -> None:
    nodes = tuple(node(f"n{i}", cpu="8") for i in range(20))
    pods = tuple(pod(f"web{i % 3}-{i}", f"n{i % 20}") for i in range(60))
    budgets = tuple(budget(f"web{i}", 2) for i in range(3))
    state = fleet(nodes, pods, budgets)
    assert plan(state, max_unavailable="4") == plan(state, max_unavailable="4")


def test_pods_are_steered_only_where_that_helps() -> None:
    nodes = (node("a"), node("b"))
    actions = [step.action for step in plan(fleet(nodes, ())).steps]
    assert actions[0] == "steer"
    assert actions[-1] == "unsteer"
    assert plan(fleet(nodes, ())).steps[-1].always
    for state, wishes in ((fleet(nodes, (), scope=1), {}), (fleet(nodes, ()), {"steer": False})):
        assert "steer" not in {step.action for step in plan(state, **wishes).steps}


@pytest.mark.parametrize(("text", "total", "cap"), [("3", 9, 3), ("50%", 9, 4), ("1%", 9, 1)])
def test_caps_are_read(text: str, total: int, cap: int) -> None:
    assert parse_cap(text, total) == cap


@pytest.mark.parametrize("text", ["0", "-1", "x", "101%", "0%", "1.5", ""])
def test_other_caps_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no number of nodes"):
        parse_cap(text, 5)


def test_a_rehearsal_waits_for_caps_and_budgets() -> None:
    nodes = tuple(node(f"n{i}", cpu="8") for i in range(4))
    pace = Pace(leave=0.0, replace=1.0, update=10.0, step=0.0)
    alone = forecast(fleet(nodes, ()), plan(fleet(nodes, ())), pace)
    assert alone.makespan == 40.0
    two = plan(fleet(nodes, ()), max_unavailable="2")
    assert forecast(fleet(nodes, ()), two, pace).makespan == 20.0
    # Five pods of one node, one at a time: four replacements are waited for.
    pods = tuple(pod(f"web-{i}", "n0") for i in range(5))
    state = fleet(nodes, pods, (budget("web", 1, 5),), scope=1)
    told = forecast(state, plan(state), pace)
    assert told.makespan == 14.0
    assert told.moves == 5
    assert told.nodes[0].drained == 4.0


def test_a_rehearsal_names_what_never_ends() -> None:
    nodes = (node("a"), node("b"))
    state = fleet(nodes, (pod("web-1", "a"),), (budget("web", 0, 5),), scope=1)
    told = forecast(state, plan(state), Pace())
    assert told.stuck == ("a",)
    assert told.nodes == ()


def test_a_rehearsal_tells_of_pods_that_find_no_new_place() -> None:
    nodes = (node("a"), node("b"))
    made, bare = pod("web-1", "a"), pod("alone", "a")
    bare = msgspec.structs.replace(
        bare, metadata=msgspec.structs.replace(bare.metadata, owner_references=())
    )
    state = fleet(nodes, (made, bare), scope=1)
    found = plan_fleet(state, MaintenanceOptions(drain=DrainOptions(force=True), wait=1.0), NOW)
    told, moves = forecast_moves(state, found, Pace())
    assert told.moves == 2
    assert [(each.pod, each.from_, each.to) for each in moves] == [
        ("n/alone", "a", ""),
        ("n/web-1", "a", "b"),
    ]
    assert moves[0].ready is None


def test_a_pod_that_fits_nowhere_comes_back_when_its_node_does() -> None:
    nodes = (node("a"), node("b", cpu="1"))
    state = fleet(nodes, (pod("web-1", "a", cpu="2"),), scope=1)
    told, (move,) = forecast_moves(state, plan(state, allow_pending=True), Pace(replace=5.0))
    assert (move.from_, move.to) == ("a", "a")
    assert move.ready == pytest.approx(told.nodes[0].ends + 5.0)


def test_groups_wait_for_each_other_at_gates() -> None:
    nodes = (*(node(f"n{i}") for i in range(6)), node("m1", roles=("control-plane",)))
    order = Order(canary=parse_canary(["n3"]), growth=2.0)
    found = plan(fleet(nodes, ()), max_unavailable="3", order=order)
    assert found.outlook["waves"] == [["n3"], ["n0", "n1"], ["n2", "n4", "n5"], ["m1"]]
    gates = [step for step in found.steps if step.action == "gate"]
    assert [gate.after for gate in gates] == [
        ("n3/uncordon",),
        ("n0/uncordon", "n1/uncordon"),
        ("n2/uncordon", "n4/uncordon", "n5/uncordon"),
    ]
    assert found.step("n0/cordon").after == (gates[0].id,)
    assert not gates[0].always
    borne = plan(fleet(nodes, ()), max_failed=None)
    assert all(step.always for step in borne.steps if step.action == "gate")


def test_a_rehearsal_waits_at_gates_until_workloads_are_whole() -> None:
    nodes = tuple(node(f"n{i}", cpu="8") for i in range(3))
    state = fleet(nodes, (pod("web-1", "n0"),), scope=2)
    order = Order(canary=parse_canary(["n0"]))
    pace = Pace(leave=1.0, replace=5.0, update=2.0, soak=3.0, step=0.0)
    told = forecast(state, plan(state, order=order), pace)
    # Gone at 1, back at 3; the gate opens three seconds after the replacement is there.
    assert [(each.begins, each.ends) for each in told.nodes] == [(0.0, 3.0), (8.0, 10.0)]
    assert told.makespan == 10.0


def test_a_rehearsal_begins_nodes_in_windows_only() -> None:
    nodes = (node("a"), node("b"), node("c"))
    state = fleet(nodes, (pod("web-1", "a"),))
    pace = Pace(leave=0.0, replace=1.0, update=90.0, step=0.0)
    windows = parse_windows(("0 22 * * * 2m UTC",))
    evening = datetime(2026, 11, 26, 21, 59, tzinfo=UTC)
    told = forecast(state, plan(state), pace, windows, evening)
    # The second begins half a minute before the window closes and is finished all the same.
    day = 24 * 3600.0
    assert [each.begins for each in told.nodes] == [60.0, 150.0, day + 60.0]
    assert told.makespan == day + 150.0
    never = parse_windows(("0 22 * * * 2m UTC",), ("2026-01-01..2046-01-01",))
    assert forecast(state, plan(state), pace, never, evening).stuck == ("a", "b", "c")


def test_a_rehearsal_ends_with_its_last_step() -> None:
    nodes = (node("a"), node("b"))
    state = fleet(nodes, (pod("web-1", "a"),), scope=1)
    pace = Pace(leave=0.5, replace=60.0, update=1.0, step=0.0)
    assert forecast(state, plan(state), pace).makespan == 1.5
    assert forecast(state, plan(state), msgspec.structs.replace(pace, grace=0)).makespan == 1.0


def test_the_pace_of_each_workload_is_its_own() -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)

    def ready(name: str, seconds: int) -> SchedulablePod:
        conditions = tuple(
            Condition(type=kind, status="True", last_transition_time=at)
            for kind, at in (
                ("PodScheduled", began),
                ("Ready", began + timedelta(seconds=seconds)),
            )
        )
        status = PodStatus(phase="Running", conditions=conditions)
        return msgspec.structs.replace(pod(name, "a"), status=status)

    # Whole seconds: half of them one, half of them two; one got unready long after its start.
    slow = [ready(f"db-{number}", 60) for number in range(4)]
    fast = [ready(f"web-{number}", 1 + number % 2) for number in range(8)]
    state = fleet((node("a"),), (*slow, *fast, ready("web-9", 9000)))
    pace = observed_pace(state, MaintenanceOptions(drain=DrainOptions(), wait=7.0), None, 0.0)
    assert pace.replacement_of(slow[0]) == 60.0
    assert pace.replacement_of(fast[0]) == 1.5
    assert (pace.update, pace.step) == (7.0, 0.0)


def test_a_rehearsal_is_told_how_long_pods_take_to_end() -> None:
    options = MaintenanceOptions(drain=DrainOptions())
    pace = observed_pace(fleet((node("a"),), ()), options, None, 0.0, 8.0)
    assert pace.leave_of(pod("web", "a")) == 8.0
    hurried = msgspec.structs.replace(pace, grace=2)
    assert hurried.leave_of(pod("web", "a")) == 2
