"""An audit as one HTML page that needs nothing else. Pure."""

from html import escape

from shipkeeper.access.audit import Audit
from shipkeeper.access.finding import Finding, Outcome

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; color: #1c2430 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .4rem .6rem;
vertical-align: top; border-bottom: 1px solid #d8dee6 } ol { margin: .3rem 0; padding-left: 1.2rem }
.critical { color: #a1121f; font-weight: 700 } .high { color: #a1121f } .medium { color: #8a5300 }
.low { color: #4a5668 } h1, h2 { font-weight: 600 } code { background: #eef1f5; padding: 0 .2rem }
@media (prefers-color-scheme: dark) { body { background: #12161c; color: #dbe2ea }
td, th { border-color: #2b333f } code { background: #222a35 } .critical, .high { color: #ff8a8a }
.medium { color: #f0b95b } .low { color: #9aa7b8 } }
"""
_TITLES = {
    Outcome.FAIL: "Fails",
    Outcome.NOT_EVALUATED: "Not evaluated",
    Outcome.PASS: "Passes",
}


def page(audit: Audit) -> str:
    """The page."""
    sections = "".join(_section(audit, outcome) for outcome in _TITLES)
    source = escape(f"{audit.source}, Kubernetes {audit.version}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Access audit</title><style>{_STYLE}</style></head>"
        f"<body><h1>Access audit</h1><p>{source}</p>{sections}</body></html>\n"
    )


def _section(audit: Audit, outcome: Outcome) -> str:
    found = audit.of(outcome)
    if not found:
        return ""
    rows = "".join(_row(each) for each in found)
    head = "<tr><th>Severity</th><th>What</th><th>Where</th><th>Why</th></tr>"
    title = f"{_TITLES[outcome]} ({len(found)})"
    return f"<h2>{title}</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _row(finding: Finding) -> str:
    steps = "".join(f"<li>{escape(step)}</li>" for step in finding.steps)
    why = f"<ol>{steps}</ol>" if steps else escape(finding.message)
    remedy = f"<p>Remedy: {escape(finding.remedy)}</p>" if finding.remedy else ""
    accepted = f"<p>Accepted: {escape(finding.accepted)}</p>" if finding.accepted else ""
    severity = finding.severity.value
    return (
        f'<tr><td class="{severity}">{severity}</td>'
        f"<td>{escape(finding.title)}<br><code>{escape(finding.id)}</code></td>"
        f"<td>{escape(finding.target)}</td><td>{why}{remedy}{accepted}</td></tr>"
    )
