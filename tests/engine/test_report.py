"""The renderer: tables like kubectl's, and the same value in every format."""

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.engine.report import Column, Format, Report, Table, item_list, render

CELLS = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1))
def test_columns_are_aligned(rows: list[tuple[str, str]]) -> None:
    table = Table((Column("A"), Column("B")), tuple(rows))
    lines = render(Report(value=None, body=(table,)), Format.TEXT).splitlines()
    width = max(len("A"), *(len(first) for first, _ in rows)) + 3
    assert [line[:width].rstrip() for line in lines] == ["A", *(first for first, _ in rows)]
    assert [line[width:] for line in lines] == ["B", *(second for _, second in rows)]


def test_wide_columns_are_for_wide_tables() -> None:
    table = Table((Column("A"), Column("B", wide=True)), (("1", "2"),))
    report = Report(value=None, body=(table,))
    assert render(report, Format.TEXT) == "A\n1\n"
    assert render(report, Format.WIDE) == "A   B\n1   2\n"


def test_paragraphs_that_are_empty_leave_no_gap() -> None:
    empty = Table((Column("A"),), ())
    report = Report(value=None, body=("one", empty, "", "two"))
    assert render(report, Format.TEXT) == "one\n\ntwo\n"
    assert render(Report(value=None, body=(empty,)), Format.TEXT) == ""


def test_json_and_yaml_say_the_same() -> None:
    value = item_list([{"name": "a", "when": "2026-01-01T00:00:00Z"}])
    report = Report(value=value, body=())
    assert json.loads(render(report, Format.JSON)) == value
    assert yaml.safe_load(render(report, Format.YAML)) == value
