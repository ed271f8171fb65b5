"""The order of nodes: nobody is lost, nobody comes twice, and it is the order asked for."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.errors import UsageError
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.node import ZONE_LABEL, Node
from shipkeeper.nodes.orders import (
    Canary,
    Group,
    Order,
    OrderKey,
    arrange,
    natural,
    parse_canary,
    parse_order_by,
)

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
BY_ZONE = OrderKey(key=ZONE_LABEL)


def node(name: str, zone: str = "", **labels: str) -> Node:
    zones = {ZONE_LABEL: zone} if zone else {}
    return Node(metadata=ObjectMeta(name=name, labels={**zones, **labels}))


def plane(name: str, zone: str = "") -> Node:
    return Node(metadata=ObjectMeta(name=name, labels={CONTROL_PLANE: "", ZONE_LABEL: zone}))


def workers(count: int) -> list[Node]:
    return [node(f"n{number}") for number in range(1, count + 1)]


def shape(groups: tuple[Group, ...]) -> list[tuple[str, tuple[str, ...], int]]:
    return [(group.name, group.nodes, group.max_at_once) for group in groups]


def sizes(groups: tuple[Group, ...]) -> list[int]:
    return [len(group.nodes) for group in groups]


LABELS = st.fixed_dictionaries(
    {},
    optional={
        ZONE_LABEL: st.sampled_from(["a", "b", "c"]),
        "env": st.sampled_from(["dev", "prod", ""]),
        CONTROL_PLANE: st.just(""),
    },
)
NODES = st.dictionaries(
    st.from_regex(r"[ab]-?(0|[1-9]|10|01)", fullmatch=True), LABELS, max_size=14
).map(
    lambda found: [
        Node(metadata=ObjectMeta(name=name, labels=labels)) for name, labels in found.items()
    ]
)
ORDERS = st.builds(
    Order,
    canary=st.builds(Canary, count=st.integers(0, 4)),
    growth=st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0]),
    at_most=st.integers(0, 6),
    by=st.sampled_from([(), (BY_ZONE,), (OrderKey(key="env", values=("prod",)), BY_ZONE)]),
)


@given(NODES, ORDERS, st.randoms(use_true_random=False))
def test_every_node_comes_exactly_once_whatever_the_order_they_came_in(
    nodes: list[Node], order: Order, random: Random
) -> None:
    groups = arrange(nodes, order)
    offered = [name for group in groups for name in group.nodes]
    assert sorted(offered) == sorted(each.name for each in nodes)
    shuffled = list(nodes)
    random.shuffle(shuffled)
    assert arrange(shuffled, order) == groups
    assert len({group.name for group in groups}) == len(groups)


@given(NODES, ORDERS)
def test_no_group_outgrows_what_went_well_before(nodes: list[Node], order: Order) -> None:
    planes = {each.name for each in nodes if each.is_control_plane}
    largest = 0
    for group in arrange(nodes, order):
        assert group.nodes
        together = min(group.max_at_once or len(group.nodes), len(group.nodes))
        if planes.intersection(group.nodes):
            assert planes.issuperset(group.nodes)
            assert group.max_at_once == 1
            continue
        if order.at_most:
            assert together <= order.at_most
        if order.growth and not group.name.startswith("canary"):
            assert together <= max(largest * order.growth, largest + 1)
        largest = max(largest, together)


@given(NODES, ORDERS)
def test_the_control_plane_comes_last_unless_it_is_the_canary(
    nodes: list[Node], order: Order
) -> None:
    planes = {each.name for each in nodes if each.is_control_plane}
    groups = [each for each in arrange(nodes, order) if not each.name.startswith("canary")]
    is_plane = [bool(planes.intersection(group.nodes)) for group in groups]
    assert is_plane == sorted(is_plane)
    assert sum(is_plane) <= 1


def test_names_are_sorted_as_people_sort_them() -> None:
    names = ["n10", "n9", "n1b", "n1", "n01", "a", "10", "9", "n1-10", "n1-9"]
    expected = ["9", "10", "a", "n01", "n1", "n1-9", "n1-10", "n1b", "n9", "n10"]
    assert sorted(names, key=natural) == expected
    (group,) = arrange([node("n10"), node("n9"), node("n1")], Order())
    assert group == Group(name="the rest", reason="all that is left", nodes=("n1", "n9", "n10"))


def test_waves_grow() -> None:
    assert sizes(arrange(workers(20), Order(growth=2))) == [1, 2, 4, 8, 5]
    assert sizes(arrange(workers(20), Order(growth=1))) == [1, 2, 3, 4, 5, 5]
    capped = arrange(workers(20), Order(growth=2, at_most=5))
    assert shape(capped)[-1] == ("the rest", tuple(f"n{n}" for n in range(8, 21)), 5)
    assert sizes(capped) == [1, 2, 4, 13]
    assert [group.max_at_once for group in capped] == [1, 2, 4, 5]
    assert capped[1].reason == "2 nodes: 1 together went well before"


def test_a_canary_is_where_growth_begins() -> None:
    order = Order(canary=Canary(count=3), growth=2)
    assert shape(arrange(workers(8), order)) == [
        ("canary", ("n1", "n2", "n3"), 3),
        ("step 1", ("n4", "n5", "n6", "n7", "n8"), 5),
    ]


def test_zones_come_one_at_a_time_and_growth_goes_on_over_them() -> None:
    nodes = [node(f"n{n}", "ab"[n % 2]) for n in range(1, 11)] + [node("x")]
    assert shape(arrange(nodes, Order(by=(BY_ZONE,)))) == [
        ("zone a", ("n2", "n4", "n6", "n8", "n10"), 0),
        ("zone b", ("n1", "n3", "n5", "n7", "n9"), 0),
        ("no zone", ("x",), 0),
    ]
    assert shape(arrange(nodes, Order(by=(BY_ZONE,), growth=2, at_most=4))) == [
        ("zone a, step 1", ("n2",), 1),
        ("zone a, step 2", ("n4", "n6"), 2),
        ("zone a", ("n8", "n10"), 4),
        ("zone b", ("n1", "n3", "n5", "n7", "n9"), 4),
        ("no zone", ("x",), 4),
    ]


def test_label_values_come_in_the_order_given() -> None:
    nodes = [node("p", env="prod"), node("d", env="dev"), node("t", env="test"), node("x")]
    by = (parse_order_by("env=prod,dev"),)
    names = [(group.name, *group.nodes) for group in arrange(nodes, Order(by=by))]
    assert names == [("env prod", "p"), ("env dev", "d"), ("env test", "t"), ("no env", "x")]


def test_the_control_plane_goes_last_and_one_at_a_time() -> None:
    nodes = [plane("a2", "z2"), plane("a1", "z1"), node("w", "z3"), plane("a3", "z1")]
    assert shape(arrange(nodes, Order(by=(BY_ZONE,), at_most=3))) == [
        ("zone z3", ("w",), 3),
        ("control plane", ("a1", "a3", "a2"), 1),
    ]


def test_canaries_by_name_label_and_number() -> None:
    nodes = [*workers(4), node("soft", tier="canary"), plane("cp")]
    named = Order(canary=parse_canary(["n3", "tier=canary", "1"]))
    assert arrange(nodes, named)[0].nodes == ("n1", "n3", "soft")
    first, second, *_ = arrange(nodes, Order(canary=Canary(names=("cp", "n4"))))
    assert (first.nodes, second.nodes, second.max_at_once) == (("n4",), ("cp",), 1)


def test_a_canary_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UsageError, match="canary n9 is not among"):
        arrange(workers(2), Order(canary=Canary(names=("n9",))))
    with pytest.raises(UsageError, match="matches none"):
        arrange(workers(2), Order(canary=Canary(selector="tier=canary")))


def test_values_of_the_command_line_are_read() -> None:
    assert parse_canary([]) == Canary()
    assert parse_canary(["2", "a", "tier in (x,y)"]) == Canary(
        count=2, names=("a",), selector="tier in (x,y)"
    )
    assert parse_order_by("zone") == BY_ZONE
    assert parse_order_by("example.com/rack") == OrderKey(key="example.com/rack")


@pytest.mark.parametrize("text", ["", "=a", "env=", "env=a b", "env=,", "bad key"])
def test_a_bad_order_is_an_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_order_by(text)


def test_a_bad_canary_is_an_error() -> None:
    with pytest.raises(UsageError):
        parse_canary(["a=b=c"])
    with pytest.raises(UsageError, match="one canary selector"):
        parse_canary(["a=b", "c=d"])
