"""Explanations of drains: obstacles in short, and refusals in kubectl's words."""

from datetime import timedelta

import msgspec
import pytest

from shipkeeper.model.node import Node
from shipkeeper.nodes.explain import explain_drain, refusal_of, refusals, warnings
from shipkeeper.nodes.inventory import node_status, take_inventory
from shipkeeper.nodes.inventory_report import obstacles_in_short
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.permission import permissions_of
from shipkeeper.nodes.plan import plan_drain
from tests.cli.sample import CLUSTER, NOW, READY, SILENT, make_node

GIVE_UP = DrainOptions(ignore_daemonsets=True, delete_emptydir_data=True, force=True)


def test_refusals_are_grouped_and_sorted_as_kubectl_does() -> None:
    assert refusals(explain_drain(CLUSTER, DrainOptions(), NOW)) == (
        "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): shop/agent-1",
        "cannot delete Pods that declare no controller (use --force to override): shop/lonely",
        "cannot delete Pods with local storage (use --delete-emptydir-data to override): "
        "shop/cache-1",
        "cannot evict shop/db-0: PodDisruptionBudget db allows no disruption: it wants 1 of 1 "
        "pods healthy, and 1 are",
    )


def test_warnings_name_what_is_left_and_what_is_lost() -> None:
    first = explain_drain(CLUSTER, GIVE_UP, NOW)[0]
    assert warnings(first) == (
        "ignoring DaemonSet-managed Pods: shop/agent-1; "
        "deleting Pods with local storage: shop/cache-1; "
        "deleting Pods that declare no controller: shop/lonely"
    )


def test_the_exit_code_tells_some_from_all() -> None:
    some = refusal_of(explain_drain(CLUSTER, GIVE_UP, NOW))
    alone = msgspec.structs.replace(CLUSTER, nodes=(CLUSTER.nodes[1],))
    every = refusal_of(explain_drain(alone, GIVE_UP, NOW))
    none = refusal_of(explain_drain(CLUSTER, DrainOptions(disable_eviction=True), NOW)[2:])
    assert some is not None
    assert every is not None
    assert (some.exit_code, every.exit_code, none) == (3, 5, None)


def test_obstacles_in_a_cell() -> None:
    rows = take_inventory(CLUSTER, NOW)
    assert [obstacles_in_short(row.obstacles) for row in rows] == [
        "2 pods: LocalStorage,Unreplicated",
        "1 pod: BudgetNeverMet; 1 waiting: BudgetExhausted",
        "NodeUnreachable",
        "NodeUnreachable",
    ]


@pytest.mark.parametrize(
    ("node", "status"),
    [
        (make_node("a"), "Ready"),
        (make_node("a", ready=SILENT), "NotReady"),
        (make_node("a", ready=None), "Unknown"),
        (make_node("a", ready=msgspec.structs.replace(READY, status="False")), "NotReady"),
        (make_node("a", cordoned_by=""), "Ready,SchedulingDisabled"),
    ],
)
def test_a_nodes_status_is_kubectls(node: Node, status: str) -> None:
    assert node_status(node) == status


def test_finished_pods_are_not_counted() -> None:
    assert [row.pods for row in take_inventory(CLUSTER, NOW + timedelta(days=1))] == [4, 2, 1, 0]


def test_what_a_plan_needs_to_be_allowed() -> None:
    needed = [str(each.request) for each in permissions_of(plan_drain(CLUSTER, GIVE_UP, NOW))]
    assert needed == [
        "patch nodes",
        'patch leases in namespace "kube-system"',
        'create pods/eviction in namespace "shop"',
    ]
    deleting = msgspec.structs.replace(GIVE_UP, disable_eviction=True)
    last = permissions_of(plan_drain(CLUSTER, deleting, NOW))[-1]
    assert str(last.request) == 'delete pods in namespace "shop"'
