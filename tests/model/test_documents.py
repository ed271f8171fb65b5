"""YAML that breaks its library in odd ways is read, or told of, and never raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.model.documents import document, documents, objects_of

ODD = {
    "deep": ("a: " + "[" * 1_000_000, "nested deeper than 200 levels in line 1"),
    "deep and whole": ("a: " + "[" * 20_000 + "]" * 20_000, "nested deeper than 200 levels"),
    "deep by indentation": ("".join(" " * n + "a:\n" for n in range(300)), "in line 201"),
    "unhashable": ("a: 1\n? {a: b}\n: c\n", "found unhashable key in line 2"),
    "a month that there is not": ("a:\n  b: 2001-13-01\n", "no timestamp in line 2"),
    "year 0": ("a: 0000-01-01\n", "no timestamp in line 1"),
    "beside the clock": ("a: 2001-01-01T00:00:00+99:00\n", "no timestamp in line 1"),
    "endless": ("a: " + "9" * 5000, "no int in line 1"),
    "endless in sixties": ("a: 1" + ":59" * 500 + ".5", "no float in line 1"),
    "no digits": ("a: 0x_\n", "no int in line 1"),
    "empty": ("a: !!float ''\n", "no float in line 1"),
    "mistagged": ("a: !!bool maybe\n", "no bool in line 1"),
    "mistagged time": ("a: !!timestamp soon\n", "no timestamp in line 1"),
    "twice": ("a: &x 1\nb: &x 2\n", "found duplicate anchor"),
    "nowhere": ("a: *no\n", "found undefined alias in line 1"),
    "binary": ("a: !!binary [a]\n", "expected a scalar node, but found sequence in line 1"),
    "foreign": ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
    "control": ("a: \0b\n", "control characters are not allowed"),
    "surrogate": ("a: \ud800\n", "surrogates not allowed"),
    "open": ("a: {b: c\n", "did not find expected ',' or '}'"),
}


@pytest.mark.parametrize(("text", "said"), ODD.values(), ids=ODD.keys())
def test_what_cannot_be_read_is_told_with_its_place(text: str, said: str) -> None:
    (found,) = documents(text)
    assert said in found.error
    assert found.complaint.startswith("document 1 (from line 1): ")


def test_what_comes_before_and_after_an_odd_document_is_read() -> None:
    first, odd, last = documents("a: 1\n---\nb: [{c: 2001-13-01}, &x 1]\n---\nd: 1.5\n")
    assert (first.value, last.value) == ({"a": 1}, {"d": 1.5})
    assert odd.complaint == ("document 2 (from line 3): a value that is no timestamp in line 3")


def test_what_comes_after_one_that_is_no_yaml_is_not_read() -> None:
    first, broken = documents("a: 1\n---\n*no: [\n---\nb: 1\n")
    assert first.value == {"a": 1}
    assert broken.number == 2


def test_before_one_that_is_nested_too_deep_all_is_read() -> None:
    first, deep = documents("a: 1\n---\nb: " + "[" * 300)
    assert first.value == {"a": 1}
    assert deep.complaint == "document 2 (from line 2): nested deeper than 200 levels in line 3"


def test_merge_keys_have_a_bound() -> None:
    levels = "".join(
        f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}\n" for n in range(1, 30)
    )
    first, grown, last = documents(f"a: 1\n---\nm0: &m0 {{x: 1}}\n{levels}---\nb: 1\n")
    assert (first.value, last.value) == ({"a": 1}, {"b": 1})
    assert "merge keys that bring more than 200000 entries in line" in grown.error


def test_the_bound_of_merge_keys_is_that_of_a_whole_stream() -> None:
    one = "m: &m {x: 1}\nn: {<<: [" + ", ".join(["*m"] * 50_000) + "]}\n"
    found = list(documents("---\n".join([one] * 6)))
    assert [bool(each.error) for each in found] == [False] * 4 + [True] * 2


def test_a_long_chain_of_merge_keys_is_told() -> None:
    links = "".join(f"- &m{n} {{<<: *m{n - 1}}}\n" for n in range(1, 5_000))
    (found,) = documents(f"x:\n- &m0 {{a: 1}}\n{links}<<: *m4999\n")
    assert "merge keys nested deeper than 200 levels" in found.error


def test_mappings_are_merged() -> None:
    (found,) = documents("a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: [*b, *a], z: 3}\n")
    assert found.value["b"] == {"x": 1, "y": 2}
    assert found.value["c"] == {"x": 1, "y": 2, "z": 3}
    (itself,) = documents("a: &a {<<: *a, x: 1}\n")
    assert itself.value == {"a": {"x": 1}}
    (each_other,) = documents("a: &a {x: 1, b: &b {<<: *a, y: 2}}\n")
    assert each_other.value["a"]["b"]["y"] == 2
    (wrong,) = documents("a: {<<: [1]}\n")
    assert "expected a mapping for merging" in wrong.error


def test_a_secret_value_is_not_shown() -> None:
    (found,) = documents("password: !!int hunter2\n")
    assert "hunter2" not in found.error


def test_an_equals_sign_is_a_text() -> None:
    (found,) = documents("enum: [=, '!=']\n")
    assert found.value == {"enum": ["=", "!="]}


def test_other_encodings_are_read() -> None:
    (found,) = documents("a: é\n".encode("utf-16"))
    assert found.value == {"a": "é"}
    (broken,) = documents(b"a: \xff\xfe\n")
    assert broken.error


def test_a_text_of_one_document_has_one_value() -> None:
    assert document("a: 1\n") == {"a": 1}
    assert document("") is None
    with pytest.raises(ValueError, match="a second document begins in line 3"):
        document("a: 1\n---\nb: 1\n")
    with pytest.raises(ValueError, match="node content in line 2"):
        document("a: [")


def test_lists_are_opened_however_they_hold_each_other() -> None:
    rings = "&a {kind: List, items: [*a, {kind: Pod}, {kind: FooList, items: [{kind: Foo}, 1]}]}"
    (found,) = documents(rings)
    assert [each["kind"] for each in objects_of(found.value)] == ["Pod", "Foo"]


def test_a_list_of_lists_of_lists_costs_no_more_than_its_text() -> None:
    lines = ["kind: List", "items:", "- &l0 {kind: Pod}"]
    for level in range(1, 30):
        items = ", ".join([f"*l{level - 1}"] * 9)
        lines.append(f"- &l{level} {{kind: List, items: [{items}]}}")
    (found,) = documents("\n".join(lines))
    assert len(list(objects_of(found.value))) == 1


@given(st.text(alphabet="ab:-?!&*<>[]{}=~%#|'\" \n0129._+xe", max_size=80))
def test_nothing_is_raised(text: str) -> None:
    for each in documents(text):
        list(objects_of(each.value))
