"""Findings as one HTML page. Pure."""

from collections.abc import Iterable

from shipkeeper.engine.finding import Finding, Findings, Passed, Unchecked
from shipkeeper.engine.page import Markup, element, markup, page, table

_STYLE = """
td:first-child { white-space: nowrap }
.critical { color: #a1121f; font-weight: 700 } .high { color: #a1121f } .medium { color: #8a5300 }
.low, .accepted { color: #4a5668 }
@media (prefers-color-scheme: dark) { .critical, .high { color: #ff8a8a }
.medium { color: #f0b95b } .low, .accepted { color: #9aa7b8 } }
"""


def findings_page(found: Findings) -> str:
    """What was found with its evidence and remedy, what was not checked, and what passed."""
    return page(
        found.subject,
        _section("Found", ("Severity", "Rule", "Where", "What"), map(_found, found.findings)),
        _section("Not checked", ("Rule", "What", "Why"), map(_unchecked, found.unchecked)),
        _section("Passed", ("Rule", "What"), map(_passed, found.passed)),
        style=_STYLE,
    )


def _section(title: str, head: Iterable[str], rows: Iterable[Iterable[Markup]]) -> Markup:
    listed = list(rows)
    if not listed:
        return Markup()
    return markup(element("h2", f"{title} ({len(listed)})"), table(head, listed))


def _found(each: Finding) -> tuple[Markup, ...]:
    severity = "accepted" if each.accepted else each.severity.value
    told = (
        ("Remedy", each.remedy),
        ("That takes from", "; ".join(each.breaks)),
        ("Who", ", ".join(each.who)),
        ("Accepted", each.accepted),
    )
    evidence = [element("li", line) for line in each.evidence]
    return (
        element("td", severity, class_=severity),
        element("td", each.title, Markup("<br>") if each.title else "", element("code", each.rule)),
        element("td", each.target),
        element(
            "td",
            each.message,
            element("ul", *evidence) if evidence else "",
            *(element("p", f"{label}: {text}") for label, text in told if text),
        ),
    )


def _unchecked(each: Unchecked) -> tuple[Markup, ...]:
    return (
        element("td", element("code", each.rule) if each.rule else ""),
        element("td", each.what),
        element("td", each.why),
    )


def _passed(each: Passed) -> tuple[Markup, ...]:
    return element("td", element("code", each.rule)), element("td", each.title)
