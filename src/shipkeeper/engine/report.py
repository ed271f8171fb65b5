"""The one renderer of all doors: what a command has to say, as text, JSON, YAML or names.

The text looks like kubectl's: aligned columns, no boxes, no colour.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from shipkeeper.engine.verdict import Verdict
from shipkeeper.model.duration import format_age

_GAP = "   "
# What a terminal would obey instead of showing it; names of users may hold any of it.
_CONTROLS = dict.fromkeys(
    {*range(0x20), *range(0x7F, 0xA0)} - {0x09, 0x0A}, "\N{REPLACEMENT CHARACTER}"
)


class Format(StrEnum):
    """kubectl's output formats; TEXT is what `-o` is not given for."""

    TEXT = "text"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class Column(msgspec.Struct, frozen=True):
    """A column of a table; a wide one is shown with `-o wide` only."""

    title: str
    wide: bool = False


class Table(msgspec.Struct, frozen=True):
    """Rows of cells, one for each column."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a command has to say.

    `value` is what JSON and YAML show; `body` are the text's paragraphs; `names` are
    `kind/name` of what it is about.
    """

    value: object
    body: tuple[Table | str, ...]
    names: tuple[str, ...] = ()


def item_list(items: Iterable[object]) -> dict[str, list[object]]:
    """Many values as Kubernetes lists them in JSON."""
    return {"items": list(items)}


def describe(verdict: Verdict, now: datetime) -> str:
    """A verdict in a line: effect, reason, since when, and what; its remedy in a second one."""
    since = f" (for {format_age(now - verdict.since)})" if verdict.since else ""
    said = f"{verdict.effect} {verdict.reason}{since}: {verdict.message}"
    return f"{said}\n  remedy: {verdict.remedy}" if verdict.remedy else said


def printable(text: str) -> str:
    """The text without what would make a terminal do something."""
    return text.translate(_CONTROLS)


def render(report: Report, format_: Format) -> str:
    """The report in one format, with a newline at its end unless it is empty."""
    match format_:
        case Format.JSON:
            text = msgspec.json.format(msgspec.json.encode(report.value), indent=2).decode()
        case Format.YAML:
            builtins = msgspec.to_builtins(report.value)
            text = msgspec.yaml.encode(builtins).decode().rstrip("\n")
        case Format.NAME:
            text = printable("\n".join(report.names))
        case Format.TEXT | Format.WIDE:
            text = printable(_text(report.body, is_wide=format_ is Format.WIDE))
    return f"{text}\n" if text else ""


def _text(body: tuple[Table | str, ...], *, is_wide: bool) -> str:
    paragraphs = (part if isinstance(part, str) else _table(part, is_wide=is_wide) for part in body)
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _table(table: Table, *, is_wide: bool) -> str:
    """A table; one without rows is empty, and so is its text."""
    if not table.rows:
        return ""
    shown = [index for index, column in enumerate(table.columns) if is_wide or not column.wide]
    header = [table.columns[index].title for index in shown]
    lines = [header, *([row[index] for index in shown] for row in table.rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(_line(cells, widths) for cells in lines)


def _line(cells: list[str], widths: list[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return _GAP.join(padded).rstrip()
