"""Owners are made before what they own, and ranks are kept besides."""

from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.backup.order import phases, rank

Graph = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        st.lists(st.integers(0, 4), min_size=size, max_size=size),
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=2 * size),
    )
)


@given(Graph)
def test_phases(graph: tuple[list[int], list[tuple[int, int]]]) -> None:
    ranks, edges = graph
    keys = list(range(len(ranks)))
    # Owners have smaller numbers: no circles.
    owners = {key: {a for a, b in edges if b == key and a < key} for key in keys}
    found = phases(keys, dict(enumerate(ranks)), owners)
    place = {key: number for number, (_, group) in enumerate(found) for key in group}
    assert sorted(place) == keys
    for key in keys:
        assert all(place[owner] < place[key] for owner in owners[key])
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    for key in keys:
        if not owners[key]:
            assert found[place[key]][0] == ranks[key]


def test_a_circle_is_made_in_the_order_of_its_ranks() -> None:
    found = phases(["a", "b"], {"a": 1, "b": 0}, {"a": ["b"], "b": ["a"]})
    assert found == [(0, ["b"]), (1, ["a"])]


def test_what_judges_others_comes_last() -> None:
    webhooks = ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration")
    order = [("", "Namespace"), ("", "Secret"), ("", "Pod"), ("", "ResourceQuota"), webhooks]
    assert sorted(order, key=rank) == order
