"""The lower bound: right where it can be told by hand, and never above a schedule that works."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.nodes.bound import BudgetGroup, lower_bound_seconds


def bound(
    updates: dict[str, float], *groups: BudgetGroup, replacement: float = 1.0, at_once: int = 1
) -> float:
    return lower_bound_seconds(
        updates, groups, replacement_seconds=replacement, max_unavailable=at_once
    )


@pytest.mark.parametrize(
    ("updates", "groups", "at_once", "seconds"),
    [
        ({}, (), 1, 0.0),
        ({"a": 2.0, "b": 3.0}, (), 1, 5.0),
        ({"a": 2.0, "b": 3.0}, (), 2, 3.0),
        # Four pods on one node, one at a time: three replacements are waited for.
        ({"a": 1.0}, (BudgetGroup(pods={"a": 4}, allowed=1),), 1, 4.0),
        # The rounds of the budget, however many nodes may be down.
        ({"a": 0.0, "b": 0.0}, (BudgetGroup(pods={"a": 3, "b": 3}, allowed=2),), 2, 3.0),
        ({"a": 0.0}, (BudgetGroup(pods={"a": 1}, allowed=0),), 1, 1.0),
    ],
)
def test_bounds_that_can_be_told_by_hand(
    updates: dict[str, float], groups: tuple[BudgetGroup, ...], at_once: int, seconds: float
) -> None:
    assert bound(updates, *groups, at_once=at_once) == seconds


GROUPS = st.lists(
    st.builds(
        BudgetGroup,
        pods=st.dictionaries(st.sampled_from("abc"), st.integers(0, 6)),
        allowed=st.integers(1, 3),
    ),
    max_size=3,
)


@given(st.fixed_dictionaries(dict.fromkeys("abc", st.floats(0, 10))), GROUPS)
def test_one_node_after_the_other_is_never_faster(
    updates: dict[str, float], groups: list[BudgetGroup]
) -> None:
    """A schedule that keeps every budget: pods of a node leave in rounds, then it is updated."""
    took = 0.0
    for node, seconds in updates.items():
        rounds = max((group.rounds(group.pods.get(node, 0)) for group in groups), default=0)
        took += rounds * 1.0 + seconds
    assert bound(updates, *groups) <= took + 1e-9
