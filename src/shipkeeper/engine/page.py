"""One HTML page that needs nothing else: no script, no font, no address of anything. Pure."""

from collections.abc import Iterable
from html import escape

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem;
color: #1c2430; background: #fff } h1, h2 { font-weight: 600 } code { background: #eef1f5;
padding: 0 .2rem } table { border-collapse: collapse; width: 100% } td, th { text-align: left;
padding: .4rem .6rem; vertical-align: top; border-bottom: 1px solid #d8dee6;
overflow-wrap: anywhere } th { white-space: nowrap } td code { white-space: nowrap }
td p, ul { margin: .3rem 0 } ul { padding-left: 1.2rem }
@media (prefers-color-scheme: dark) { body { background: #12161c; color: #dbe2ea }
td, th { border-color: #2b333f } code { background: #222a35 } }
"""


class Markup(str):
    """Text that is HTML already; every other text is escaped where it is put into a page."""

    __slots__ = ()


def markup(*parts: str) -> Markup:
    """The parts one after the other, each escaped unless it is markup."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def element(name: str, *parts: str, class_: str = "", title: str = "") -> Markup:
    """An element with its contents."""
    classed = f' class="{escape(class_)}"' if class_ else ""
    titled = f' title="{escape(title)}"' if title else ""
    return Markup(f"<{name}{classed}{titled}>{markup(*parts)}</{name}>")


def table(head: Iterable[str], rows: Iterable[Iterable[Markup]]) -> Markup:
    """A table; the cells of its rows are `td` or `th` elements, and so may be those of its head."""
    cells = (title if isinstance(title, Markup) else element("th", title) for title in head)
    titles = element("tr", *cells)
    body = (element("tr", *cells) for cells in rows)
    return element("table", element("thead", titles), element("tbody", *body))


def page(title: str, *body: Markup, style: str = "") -> str:
    """The page; `style` is CSS besides that of every page."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"{element('title', title)}<style>{_STYLE}{style}</style></head>"
        f"<body>{element('h1', title)}{markup(*body)}</body></html>\n"
    )
