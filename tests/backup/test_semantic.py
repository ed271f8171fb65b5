"""What means the same is the same, and a patch brings one object to mean what another does."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.backup.difference import Change, compare_objects
from shipkeeper.backup.json_patch import apply_patch
from shipkeeper.backup.manifest import is_map
from shipkeeper.backup.semantic import are_equal, differences, merge_patch, normalise
from shipkeeper.errors import UsageError

Values = st.recursive(
    st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=3)
    ),
    max_leaves=8,
)
Specs = st.dictionaries(st.sampled_from(["x", "y", "z"]), Values, max_size=3)


def widget(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "e.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": spec}


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386, word for word."""
    if not is_map(patch):
        return patch
    merged = dict(target) if is_map(target) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


@given(Specs, Specs)
def test_a_merge_patch_makes_the_live_object_mean_what_is_wanted(
    live: dict[str, Any], wanted: dict[str, Any]
) -> None:
    patch = merge_patch(widget(live), widget(wanted), "e.com")
    assert merge(widget(live), patch) == widget(wanted)
    assert (not patch) is are_equal(widget(live), widget(wanted), "e.com")


@given(Specs, Specs)
def test_differences_are_there_if_and_only_if_objects_differ(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    found = differences(widget(old), widget(new), "e.com")
    assert bool(found) is (old != new)


def test_defaults_and_what_servers_set_are_no_difference() -> None:
    written = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"spec": {"containers": [{"name": "c", "image": "i:1"}]}},
        },
    }
    served = copy.deepcopy(normalise(written, "apps"))
    served["metadata"] |= {
        "uid": "u",
        "generation": 4,
        "annotations": {"deployment.kubernetes.io/revision": "2"},
    }
    served["status"] = {"replicas": 1}
    assert are_equal(written, served, "apps")
    served["spec"]["replicas"] = 2
    (found,) = differences(written, served, "apps")
    assert (found.field, found.old, found.new) == ("spec.replicas", 1, 2)


def test_owners_are_the_same_under_other_uids() -> None:
    def owned(uid: str) -> dict[str, Any]:
        owner = {"apiVersion": "v1", "kind": "X", "name": "o", "uid": uid, "controller": True}
        metadata = {"name": "a", "ownerReferences": [owner]}
        return {**widget({}), "metadata": metadata}

    assert are_equal(owned("1"), owned("2"), "e.com")


def test_secrets_are_never_shown() -> None:
    def secret(value: str) -> dict[str, Any]:
        key = "kubectl.kubernetes.io/last-applied-configuration"
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "a", "annotations": {key: value}},
            "data": {"pw": value},
        }

    found = compare_objects("secrets", secret("hunter2"), secret("hunter3"))
    assert found is not None
    assert found.change is Change.CHANGED
    assert len(found.fields) == 2
    assert "hunter" not in repr(found)
    bare = {**secret("hunter2"), "metadata": {"name": "a"}, "data": None}
    added = compare_objects("secrets", bare, secret("hunter3"))
    assert "hunter" not in repr(added)


DOCUMENT = {"a": [1, 2], "b/c": {"~d": 3}}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/a/-", "value": 3}, {**DOCUMENT, "a": [1, 2, 3]}),
        ({"op": "add", "path": "/a/0", "value": 0}, {**DOCUMENT, "a": [0, 1, 2]}),
        ({"op": "remove", "path": "/a/0"}, {**DOCUMENT, "a": [2]}),
        ({"op": "replace", "path": "/b~1c/~0d", "value": 4}, {"a": [1, 2], "b/c": {"~d": 4}}),
        ({"op": "move", "from": "/a/0", "path": "/e"}, {**DOCUMENT, "a": [2], "e": 1}),
        ({"op": "copy", "from": "/a", "path": "/e"}, {**DOCUMENT, "e": [1, 2]}),
        ({"op": "test", "path": "/a/1", "value": 2}, DOCUMENT),
    ],
)
def test_json_patch(operation: dict[str, Any], expected: Any) -> None:
    before = copy.deepcopy(DOCUMENT)
    assert apply_patch(DOCUMENT, [operation]) == expected
    assert before == DOCUMENT


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a/1", "value": 9},
        {"op": "remove", "path": "/nothing"},
        {"op": "replace", "path": "/nothing", "value": 1},
        {"op": "swap", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
    ],
)
def test_json_patches_that_do_not_fit(operation: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cannot be applied"):
        apply_patch(DOCUMENT, [operation])
