"""What is agreed to with a plan: what was asked for and is seen, and no pod that comes or goes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shipkeeper.backup.gist import gist_of as restore_gist
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.restore_plan import Action, Candidate, Muted, plan_restore, request_of
from shipkeeper.engine.plan import Plan
from shipkeeper.model.node import Node
from shipkeeper.model.scheduling import SchedulablePod
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.plan import plan_fleet
from shipkeeper.nodes.gist import gist_of, lines_of
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.orders import Order, parse_canary
from shipkeeper.nodes.windows import parse_windows
from shipkeeper.upgrade import gist as upgrade_gist
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.component import Component, Name
from shipkeeper.upgrade.options import UpgradeOptions
from shipkeeper.upgrade.plan import plan_upgrade
from shipkeeper.upgrade.versions import ClusterVersions
from tests.nodes.fleet.sample import apart, budget, fleet, node, pod

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NODES = tuple(node(f"n{i}") for i in range(4))
PODS = (
    *(pod(f"db-{i}", f"n{i}", affinity=apart("db")) for i in range(4)),
    *(pod(f"web-{i}", f"n{i // 2}") for i in range(4)),
)
BUDGETS = (budget("db", 2), budget("web", 1))
Planner = Callable[[FleetState], Plan]


def options(**wishes: Any) -> MaintenanceOptions:
    usual: dict[str, Any] = {
        "drain": DrainOptions(),
        "wait": 1.0,
        "max_unavailable": "2",
        "order": Order(canary=parse_canary(("1",))),
    }
    return MaintenanceOptions(**{**usual, **wishes})


def maintained(state: FleetState, **wishes: Any) -> Plan:
    return plan_fleet(state, options(**wishes), NOW)


def upgraded(state: FleetState, **wishes: Any) -> Plan:
    """Two minors for kubelets that are three behind: nodes are done twice, in two stages."""
    found = [Component(name=Name.KUBELET, text="v1.33.0", node=each.name) for each in state.cluster]
    versions = ClusterVersions(
        server="v1.36.3", components=(*found, Component(name=Name.API_SERVER, text="v1.36.3"))
    )
    asked = UpgradeOptions(
        target="v1.37.2", snapshot=False, goes_without_backup=True, nodes=options(**wishes)
    )
    return plan_upgrade(versions, state, asked, catalog(), NOW)


def digest(plan: Plan) -> str:
    told = upgrade_gist.gist_of if plan.procedure == "upgrade" else gist_of
    assert plan.steps or plan.blockers
    return told(plan).digest


def with_volume(state: FleetState) -> FleetState:
    return msgspec.structs.replace(state, attached={"n/db-3": ("pvc-1",)})


def refused(name: str) -> SchedulablePod:
    """A pod that nothing would make anew."""
    found = pod(name, "n3")
    alone = msgspec.structs.replace(found.metadata, owner_references=())
    return msgspec.structs.replace(found, metadata=alone)


@pytest.mark.parametrize("planned", [maintained, upgraded])
@pytest.mark.parametrize(
    "later",
    [
        pytest.param(fleet(NODES, PODS[:2], BUDGETS), id="pods went"),
        pytest.param(fleet(NODES, (), ()), id="all went"),
        pytest.param(fleet(NODES, PODS, (budget("db", 0), budget("web", 0))), id="a rollout"),
        pytest.param(fleet(NODES, PODS[::-1], BUDGETS[::-1]), id="in another order"),
        pytest.param(
            fleet(NODES, (*PODS, *(pod(f"ci-{i}", "n2") for i in range(2))), BUDGETS), id="came"
        ),
        pytest.param(with_volume(fleet(NODES, PODS, BUDGETS)), id="a volume came"),
        pytest.param(fleet(NODES, PODS, ()), id="budgets went"),
    ],
)
def test_pods_that_come_and_go_change_no_plan(planned: Planner, later: FleetState) -> None:
    assert digest(planned(fleet(NODES, PODS, BUDGETS))) == digest(planned(later))


def test_the_order_of_nodes_is_up_to_their_pods() -> None:
    before, now = (
        maintained(fleet(NODES, pods, BUDGETS), order=Order()) for pods in (PODS, PODS[:4])
    )
    assert before.outlook["waves"] != now.outlook["waves"]
    assert digest(before) == digest(now)


def test_which_pods_keep_a_node_where_it_is_tells_nothing() -> None:
    plans = [
        maintained(fleet(NODES, (*PODS, refused(name)), BUDGETS)) for name in ("job-a", "job-b")
    ]
    assert digest(plans[0]) == digest(plans[1])
    assert digest(plans[0]) != digest(maintained(fleet(NODES, PODS, BUDGETS)))
    assert "node/n3: PodsRefused" in lines_of(plans[0])


@pytest.mark.parametrize("planned", [maintained, upgraded])
@pytest.mark.parametrize(
    "wishes",
    [
        {"wait": 2.0},
        {"wait": 0.0, "command": "true"},
        {"expect_reboot": True},
        {"windows": parse_windows(("0 22 * * sat 4h Europe/Berlin",), ())},
        {"max_unavailable": "1"},
        {"order": Order()},
        {"drain": DrainOptions(force=True)},
    ],
)
def test_how_it_is_done_is_agreed_to(planned: Any, wishes: dict[str, Any]) -> None:
    state = fleet(NODES, PODS, BUDGETS)
    assert digest(planned(state)) != digest(planned(state, **wishes))


@pytest.mark.parametrize("planned", [maintained, upgraded])
def test_which_nodes_is_agreed_to(planned: Planner) -> None:
    more: tuple[Node, ...] = (*NODES, node("n9"))
    assert digest(planned(fleet(NODES, PODS, BUDGETS))) != digest(
        planned(fleet(more, PODS, BUDGETS))
    )


def restored(*webhooks: str, **wishes: Any) -> Plan:
    muted = [
        Muted(
            resource="validatingwebhookconfigurations",
            name="guard",
            webhooks=webhooks,
            message="nobody answers for it",
        )
    ]
    candidate = Candidate(key="configmaps/n/a", content="x", rank=0, action=Action.CREATE)
    request = request_of("repository", "backup", RestoreOptions(**wishes))
    return plan_restore(request, [candidate], (), muted if webhooks else ())


def test_webhooks_are_quieted_that_were_agreed_to() -> None:
    plans = (restored(), restored("one.example"), restored("one.example", "two.example"))
    assert len({restore_gist(each).digest for each in plans}) == len(plans)
    told = restore_gist(plans[1]).lines
    assert "quiet validatingwebhookconfigurations/guard: one.example: nobody answers for it" in told


def test_how_objects_come_back_is_agreed_to() -> None:
    assert restore_gist(restored()) != restore_gist(restored(scaled_to_zero=True))
    assert restore_gist(restored()) == restore_gist(restored())
