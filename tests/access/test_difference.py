"""What a change gives and takes: what it says is what the evaluator answers."""

from typing import Any

import msgspec
import pytest

from shipkeeper.access.assembly import from_manifests
from shipkeeper.access.attributes import User
from shipkeeper.access.difference import Difference, compare
from shipkeeper.access.matrix import bound_subjects
from shipkeeper.access.rbac import Rbac
from shipkeeper.access.review import InvalidReviewError, read_review
from tests.access.fuzz import Fuzz
from tests.access.ways import bound, policy_with, rule


def difference(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Difference:
    return compare(policy_with(*old), policy_with(*new))


def test_what_was_covered_gives_nothing() -> None:
    wide = bound("x", "", (rule("get list", "pods secrets"),))
    narrow = bound("x", "ways", (rule("get", "pods"),))
    assert difference(wide, [*wide, *narrow]).is_empty
    assert difference([*wide, *narrow], wide).is_empty
    split = bound("x", "", (rule("get", "pods secrets"), rule("list", "secrets pods")))
    assert difference(wide, split).is_empty


def test_what_is_gained_and_lost() -> None:
    old = bound("x", "ways", (rule("get list", "pods"),))
    new = bound("x", "ways", (rule("get", "pods"), rule("get", "secrets", names="one")))
    (change,) = difference(old, new).changes
    assert (change.name, change.namespace) == ("way-x", "ways")
    assert change.gained == ("get secrets [one]",)
    assert change.lost == ("list pods",)


def test_urls_count_for_nothing_in_a_namespace() -> None:
    urls = bound("x", "ways", ({"verbs": ["get"], "nonResourceURLs": ["/metrics"]},))
    assert difference([], urls).is_empty


@pytest.mark.parametrize("seed", range(6))
def test_who_is_not_told_may_do_what_they_could(seed: int) -> None:
    fuzz = Fuzz(seed)
    old = from_manifests(fuzz.rbac(), source="old")
    new = from_manifests(fuzz.rbac(), source="new")
    found = compare(old, new)
    gained = {(each.kind, each.name) for each in found.changes if each.gained}
    lost = {(each.kind, each.name) for each in found.changes if each.lost}
    before, after = Rbac(old.roles, old.bindings), Rbac(new.roles, new.bindings)
    subjects = {*bound_subjects(old), *bound_subjects(new)}
    flips = 0
    for _ in range(200):
        try:
            asked = read_review(fuzz.question(), 37).attributes
        except InvalidReviewError:
            continue
        for kind, name in subjects:
            user = User(groups=(name,)) if kind == "Group" else User(name=name)
            each = _with(asked, user)
            was, is_now = (rbac.authorize(each).decision == "Allow" for rbac in (before, after))
            flips += was is not is_now
            assert was or not is_now or (kind, name) in gained
            assert is_now or not was or (kind, name) in lost
    assert flips


def _with(asked: Any, user: User) -> Any:
    return msgspec.structs.replace(asked, user=user)
