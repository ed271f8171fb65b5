import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.errors import UsageError
from shipkeeper.model.selector import LabelSelector, Requirement, parse_selector

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2"]))


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("a=1", {"a": "1"}, True),
        ("a==1", {"a": "2"}, False),
        ("a!=1", {}, True),
        ("a!=1", {"a": "1"}, False),
        ("a=", {"a": ""}, True),
        ("a=", {}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("!a", {}, True),
        ("a in (1,2),b", {"a": "2", "b": ""}, True),
        ("a in (1, 2) , b", {"a": "3", "b": ""}, False),
        ("a notin (1)", {}, True),
        ("example.com/role=web", {"example.com/role": "web"}, True),
    ],
)
def test_selectors_match_as_kubectl_does(text: str, labels: dict[str, str], matches: bool) -> None:
    assert parse_selector(text).matches(labels) is matches


@pytest.mark.parametrize(
    "text", ["a=b=c", "a in 1", "a in (1", "=a", "a,", "a b", "-a", "a=-", "UPPER.com_/x=1", "!"]
)
def test_a_bad_selector_is_named(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_selector(text)
    assert caught.value.reason == "InvalidSelector"
    assert caught.value.hint


@given(LABELS, LABELS)
def test_match_labels_and_the_text_agree(wanted: dict[str, str], labels: dict[str, str]) -> None:
    selector = LabelSelector(match_labels=wanted)
    text = ",".join(f"{key}={value}" for key, value in wanted.items())
    assert parse_selector(text).matches(labels) is selector.matches(labels)


@given(st.sampled_from("abc"), st.lists(st.sampled_from("12"), min_size=1), LABELS)
def test_in_and_notin_are_opposites(key: str, values: list[str], labels: dict[str, str]) -> None:
    chosen = Requirement(key=key, operator="In", values=tuple(values))
    refused = Requirement(key=key, operator="NotIn", values=tuple(values))
    assert chosen.matches(labels) is not refused.matches(labels)


def test_an_unknown_operator_matches_nothing() -> None:
    assert not Requirement(key="a", operator="Gt", values=("1",)).matches({"a": "2"})
