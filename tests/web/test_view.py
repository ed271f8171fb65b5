"""Changes of a view make the next view of the last one, whatever the two are."""

from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.web.view import View, changes

KEYS = st.sampled_from([f"row/{name}" for name in "abcdef"])
VIEWS = st.dictionaries(KEYS, st.integers(0, 3)).flatmap(
    lambda items: st.permutations(sorted(items)).map(lambda order: View(items, tuple(order)))
)


@given(VIEWS, VIEWS)
def test_changes_lead_from_one_view_to_the_next(old: View, new: View) -> None:
    found = changes(old, new)
    items = {key: value for key, value in old.items.items() if key not in found.gone} | found.set
    assert items == new.items
    assert tuple(old.order if found.order is None else found.order) == tuple(new.order)
    assert found.is_empty == (old == new)


@given(VIEWS)
def test_the_first_look_tells_everything(view: View) -> None:
    found = changes(None, view)
    assert found.whole
    assert (found.set, found.order) == (view.items, view.order)
