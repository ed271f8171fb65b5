"""Every planned order is proven and has the fewest drains; known bad orders are refuted."""

import random

import pytest

from shipkeeper.upgrade.hops import Stage, drains, hops_between, kubelet_chain, order_upgrade
from shipkeeper.upgrade.proof import explore, prove
from shipkeeper.upgrade.shape import Change, Member, Move, Shape, Worker, through
from tests.upgrade.search import fewest_drains, random_shape

CLUSTERS = 150


def test_no_state_of_a_planned_order_breaks_a_rule_and_none_has_fewer_drains() -> None:
    chance = random.Random(7)
    for _ in range(CLUSTERS):
        shape, target = random_shape(chance)
        stages = order_upgrade(shape, hops_between(shape, target))
        proof = prove(shape, stages, target)
        assert proof.holds, (shape, target, proof.refutations)
        assert drains(stages) == fewest_drains(shape, target), (shape, target)


def test_nodes_side_by_side_need_no_more_than_each_alone() -> None:
    """What the proof leaves out, the states of several nodes at once, holds no surprise."""
    chance = random.Random(11)
    for _ in range(40):
        shape, target = random_shape(chance)
        for stage in order_upgrade(shape, hops_between(shape, target)):
            small = stage.chains[:3]
            _, found = explore(shape, small)
            assert not found
            shape = through(shape, stage.moves)


def highly_available(minor: int, *, shared: bool = True) -> Shape:
    names = ("cp1", "cp2", "cp3")
    nodes = (*names, "w1", "w2")
    return Shape(
        tuple(Member(name, minor, minor) for name in names),
        tuple(Worker.of(name, minor, minor) for name in nodes),
        shared,
    )


def test_three_hops_cost_one_drain_a_node() -> None:
    shape = highly_available(34)
    stages = order_upgrade(shape, (35, 36, 37))
    assert [(stage.kind, stage.minor) for stage in stages] == [
        ("control-plane", 35),
        ("control-plane", 36),
        ("control-plane", 37),
        ("kubelets", 37),
    ]
    assert drains(stages) == 5


def test_kubelets_before_125_go_first() -> None:
    shape = highly_available(24)
    stages = order_upgrade(shape, (25, 26, 27))
    assert [(stage.kind, stage.minor) for stage in stages] == [
        ("control-plane", 25),
        ("control-plane", 26),
        ("kubelets", 26),
        ("control-plane", 27),
        ("kubelets", 27),
    ]
    assert drains(stages) == 10


def _faults() -> list[tuple[str, str, list[list[Move]]]]:
    """Orders with the faults of real tools: the rule that they break, and their stages."""
    server, controllers = Change.API_SERVER, Change.CONTROLLERS
    names = ("cp1", "cp2", "cp3")
    pin = [Move(Change.PIN)]
    members = [[Move(server, name, 37), Move(controllers, name, 37)] for name in names]
    whole = [move for pair in members for move in pair]
    kubelet = list(kubelet_chain("w1", 37))
    return [
        ("the kubelet is upgraded before the API servers", "KubeletNotNewer", [kubelet]),
        (
            "the package of the kubelet is installed first, and the machine boots",
            "KubeletNotNewer",
            [[Move(Change.DRAIN, "cp1"), Move(Change.INSTALL, "cp1", 37)]],
        ),
        (
            "a node wave before the last API server",
            "KubeletNotNewer",
            [[*pin, *members[0], *members[1]], kubelet],
        ),
        (
            "controllers behind a load balancer go with the first API server",
            "ControllerNotNewer",
            [whole],
        ),
        (
            "a kubelet changes its minor on a node that is not drained",
            "KubeletDrainedFirst",
            [[*pin, *whole], [Move(Change.INSTALL, "w1", 37)]],
        ),
        (
            "kube-proxy goes with the first API server",
            "ProxyNotNewer",
            [[*pin, *members[0], Move(Change.PROXY, "w1", 37)]],
        ),
        (
            "a minor is skipped",
            "NoMinorSkipped",
            [[*pin, Move(server, "cp1", 38)]],
        ),
        ("a control plane goes back", "NoWayDown", [[*pin, Move(server, "cp1", 35)]]),
        ("a control plane is forgotten", "TargetNotReached", [[*pin, *members[0], *members[1]]]),
    ]


@pytest.mark.parametrize(("fault", "rule", "orders"), _faults())
def test_known_bad_orders_are_refuted(fault: str, rule: str, orders: list[list[Move]]) -> None:
    stages = tuple(Stage(kind="x", minor=37, chains=(tuple(each),)) for each in orders)
    proof = prove(highly_available(36), stages, 37)
    assert rule in {each.breach.rule.name for each in proof.refutations}, fault


def test_five_thousand_nodes_are_proven_as_their_kinds_are() -> None:
    shape = highly_available(34)
    many = tuple(Worker.of(f"n{number}", 33 + number % 2, 34) for number in range(5000))
    large = Shape(shape.members, (*shape.workers, *many), shared=True)
    stages = order_upgrade(large, (35, 36, 37))
    proof = prove(large, stages, 37)
    assert proof.holds
    assert proof.states < 1000
