"""How many objects a page is asked to hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.backup.pages import next_limit

MIB = 2**20


@pytest.mark.parametrize(
    ("objects", "size", "following"),
    [
        (500, 500 * 800, 2000),  # Small ones: four times as many.
        (500, 500 * 8 * 1024, 512),  # As many as make four MiB.
        (500, 500 * MIB, 4),  # Large ones: few at a time.
        (1, 64 * MIB, 1),
        (0, 300, 500),  # A selector passed over all of them.
    ],
)
def test_a_page_is_as_large_as_its_objects_let_it_be(
    objects: int, size: int, following: int
) -> None:
    assert next_limit(500, objects, size) == following


def test_what_is_asked_for_in_one_piece_stays_one() -> None:
    assert next_limit(0, 70_000, 90 * MIB) == 0


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 64 * MIB))
def test_pages_grow_by_degrees_and_keep_within_bounds(limit: int, objects: int, each: int) -> None:
    following = next_limit(limit, objects, objects * each)
    assert 1 <= following <= min(limit * 4, 4000)
    assert following == 1 or following * each <= 4 * MIB
