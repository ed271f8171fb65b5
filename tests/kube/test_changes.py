"""What a new list means for what was known, whatever happened between."""

from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.kube.changes import Added, Deleted, Modified, difference
from shipkeeper.kube.replica import Replica
from shipkeeper.model.meta import KubeObject, ObjectMeta


def _object(name: str, uid: int, revision: int) -> KubeObject:
    meta = ObjectMeta(name=name, uid=f"{name}-{uid}", resource_version=str(uid * 10 + revision))
    return KubeObject(metadata=meta)


# Few names, identities and revisions, so that all of them meet.
STORES = st.dictionaries(
    st.sampled_from("abcde"), st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=5
).map(lambda drawn: {name: _object(name, *which) for name, which in drawn.items()})


@given(STORES, STORES)
def test_the_difference_leads_from_one_to_the_other(
    old: dict[str, KubeObject], new: dict[str, KubeObject]
) -> None:
    replica: Replica[KubeObject] = Replica()
    replica.apply(Added(each) for each in old.values())
    for change in difference(old, new.values()):
        known = replica.objects.get(change.object.name)
        match change:
            case Added():
                assert known is None
            case Modified(before, after):
                assert before is known
                assert before.uid == after.uid
                assert before != after
            case Deleted(last):
                assert last is known
        replica.apply([change])
    assert replica.objects == new


@given(STORES)
def test_nothing_changed_means_no_change(store: dict[str, KubeObject]) -> None:
    assert difference(store, list(store.values())) == []


@given(STORES, STORES)
def test_what_is_gone_comes_first(old: dict[str, KubeObject], new: dict[str, KubeObject]) -> None:
    gone = old.keys() - new.keys()
    told = difference(old, new.values())[: len(gone)]
    assert {change.object.name for change in told if isinstance(change, Deleted)} == gone
