"""A matrix as a heat map: the more of the verbs a subject holds, the hotter its cell. Pure."""

from collections.abc import Iterator

from shipkeeper.access.matrix import Matrix, Row
from shipkeeper.access.report import legend_of, verb_letters
from shipkeeper.engine.page import Markup, element, page, table
from shipkeeper.engine.report import printable

_HOTTEST = 5
# From cool to hot: backgrounds of the 256 colours of terminals, and of a page.
_ANSI = ("", "30;48;5;230", "30;48;5;222", "30;48;5;215", "30;48;5;209", "97;48;5;160")
_COLOURS = ("", "#fff3c4", "#fcd581", "#f7a64f", "#ee7141", "#c4151c")
# Many resources are wider than a screen: names and heads stay where they are.
_STYLE = (
    "body { max-width: none } td { white-space: nowrap; font-family: ui-monospace, monospace }"
    " table { width: auto } thead th { position: sticky; top: 0; z-index: 1 }"
    " .name, thead th { background: #fff }"
    " .name { position: sticky; left: 0 } .heat-0 { color: #a9b2bd }"
    " @media (prefers-color-scheme: dark) { .name, thead th { background: #12161c }"
    " .heat-0 { color: #5b6675 } }"
) + "".join(
    f" .heat-{level} {{ background: {colour}; color: {'#fff' if level == _HOTTEST else '#222'} }}"
    for level, colour in enumerate(_COLOURS)
    if colour
)


def heat(row: Row, resource: str, found: Matrix) -> int:
    """How hot a cell is: 0 for nothing, 5 for every verb that was asked about."""
    held, asked = len(row.verbs[resource]), len(found.verbs)
    if held == asked:
        return _HOTTEST
    return -(-held * (_HOTTEST - 1) // asked)


def heat_text(found: Matrix) -> str:
    """The map for a terminal of 256 colours; the letters say the same without them."""
    head = ["KIND", "NAME", *found.resources]
    lines = [[row.kind, printable(row.name), *_letters(row, found)] for row in found.rows]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    shown = [_line(head, widths, [0] * len(head))]
    for row, cells in zip(found.rows, lines, strict=True):
        levels = [0, 0, *(heat(row, each, found) for each in found.resources)]
        shown.append(_line(cells, widths, levels))
    return "\n".join([*shown, "", legend_of(found), ""])


def _letters(row: Row, found: Matrix) -> list[str]:
    return [verb_letters(row.verbs[each], found.verbs) for each in found.resources]


def _line(cells: list[str], widths: list[int], levels: list[int]) -> str:
    return " ".join(
        _coloured(f" {cell.ljust(width)} ", level)
        for cell, width, level in zip(cells, widths, levels, strict=True)
    ).rstrip()


def _coloured(text: str, level: int) -> str:
    return f"\x1b[{_ANSI[level]}m{text}\x1b[0m" if _ANSI[level] else text


def heat_page(found: Matrix, source: str) -> str:
    """The map as one HTML page; a cell's title tells its verbs."""
    rows = (
        (
            element("td", row.kind),
            element("td", row.name, class_="name"),
            *(_cell(row, resource, found) for resource in found.resources),
        )
        for row in found.rows
    )
    return page(
        f"Who may do what: {source}",
        element("p", legend_of(found)),
        table(("Kind", "Name", *_heads(found.resources)), rows),
        style=_STYLE,
    )


def _heads(resources: tuple[str, ...]) -> Iterator[Markup]:
    """The resources; without their groups, as far as that leaves them apart."""
    short = [each.partition("/")[0].partition(".")[0] + _subresource(each) for each in resources]
    for full, shown in zip(resources, short, strict=True):
        yield element("th", shown if short.count(shown) == 1 else full, title=full)


def _subresource(resource: str) -> str:
    _, slash, name = resource.partition("/")
    return slash + name


def _cell(row: Row, resource: str, found: Matrix) -> Markup:
    held = row.verbs[resource]
    return element(
        "td",
        verb_letters(held, found.verbs),
        class_=f"heat-{heat(row, resource, found)}",
        title=f"{row.name}: {', '.join(held) or 'nothing'} on {resource}",
    )
