"""Nodes that share budgets do not follow each other where that can be helped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.nodes.fleet.apart import keep_apart

FLEETS = st.integers(0, 30).flatmap(
    lambda count: st.fixed_dictionaries(
        {
            f"n{number}": st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3), max_size=3)
            for number in range(count)
        }
    )
)


def shared(order: Sequence[str], pods: Mapping[str, Mapping[str, int]]) -> int:
    """How many budgets two nodes share that follow each other."""
    return sum(len(pods[one].keys() & pods[other].keys()) for one, other in pairwise(order))


def test_nodes_of_two_services_alternate() -> None:
    pods = {f"n{number}": {"a" if number < 3 else "b": 1} for number in range(6)}
    order = keep_apart(tuple(pods), pods, {"a": 1, "b": 1}, 2)
    assert order == ("n0", "n3", "n1", "n4", "n2", "n5")


def test_a_budget_that_allows_more_weighs_less() -> None:
    pods = {"n0": {"tight": 1, "wide": 1}, "n1": {"tight": 1}, "n2": {"wide": 1}}
    assert keep_apart(tuple(pods), pods, {"tight": 1, "wide": 9}, 2) == ("n0", "n2", "n1")


def test_what_is_done_weighs_no_more() -> None:
    pods = {"n0": {"a": 1}, "n1": {"b": 1}, "n2": {"a": 1}, "n3": {"c": 1}}
    assert keep_apart(tuple(pods), pods, {}, 2) == ("n0", "n1", "n2", "n3")


@given(FLEETS, st.integers(1, 8))
def test_every_node_once_and_the_same_each_time(
    pods: dict[str, dict[str, int]], neighbours: int
) -> None:
    names = tuple(pods)
    order = keep_apart(names, pods, {}, neighbours)
    assert Counter(order) == Counter(names)
    assert order == keep_apart(names, dict(pods), {}, neighbours)


@given(st.integers(0, 40), st.integers(1, 8))
def test_the_order_stays_where_nothing_is_shared(count: int, neighbours: int) -> None:
    names = tuple(f"n{number}" for number in range(count))
    pods = {name: {name: 1} for name in names}
    assert keep_apart(names, pods, {}, neighbours) == names


def test_fewer_neighbours_share_than_by_name() -> None:
    # As a scheduler places them: five services fill the fleet, then the next five, and so on.
    chance = Random(1)
    pods: dict[str, dict[str, int]] = {f"n{number}": {} for number in range(100)}
    for tier in range(10):
        for place, name in enumerate(chance.sample(list(pods), len(pods))):
            pods[name][f"app-{place % 5 + 5 * tier}"] = 1
    order = keep_apart(tuple(pods), pods, {}, 2)
    assert shared(order, pods) * 4 < shared(tuple(pods), pods)
