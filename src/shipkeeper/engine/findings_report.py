"""What findings look like as text. Pure."""

from collections.abc import Iterable

from shipkeeper.engine.finding import Finding, Findings, Severity
from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.model.words import counted

_COLUMNS = (Column("SEVERITY"), Column("RULE"), Column("TARGET"), Column("MESSAGE"))
_UNCHECKED = (Column("NOT CHECKED"), Column("WHY"))
_EVIDENCE = 8
_BREAKS = 3


def findings_report(found: Findings) -> Report:
    """A table of findings, each with its evidence and remedy below; then what was not checked."""
    unchecked = tuple((each.label, each.why) for each in found.unchecked)
    return Report(
        value=found,
        body=(
            Table(_COLUMNS, tuple(map(_row, found.findings))),
            "\n".join(line for each in found.standing for line in _details(each)),
            Table(_UNCHECKED, unchecked),
            f"{found.subject}: {_count(found)}",
        ),
        names=tuple(each.fingerprint for each in found.findings),
    )


def _row(finding: Finding) -> tuple[str, ...]:
    severity = "accepted" if finding.accepted else finding.severity
    return (severity, finding.rule, finding.target or "-", finding.message)


def _details(finding: Finding) -> Iterable[str]:
    yield f"{finding.rule} {finding.target}".rstrip()
    yield from (f"  evidence: {line}" for line in _first(finding.evidence, _EVIDENCE))
    if finding.who:
        yield f"  who: {', '.join(finding.who)}"
    if finding.remedy:
        yield f"  remedy: {finding.remedy}"
    if finding.breaks:
        yield f"  that takes from: {'; '.join(_first(finding.breaks, _BREAKS))}"


def _first(lines: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The first lines, and how many more there are; JSON and the others have all."""
    more = len(lines) - count
    return (*lines[:count], f"and {more} more") if more > 0 else lines


def _count(found: Findings) -> str:
    standing = found.standing
    counts = [
        f"{sum(each.severity is severity for each in standing)} {severity}" for severity in Severity
    ]
    accepted = len(found.findings) - len(standing)
    return (
        f"{counted(len(standing), 'finding')} ({', '.join(counts)}), "
        + (f"{accepted} accepted, " if accepted else "")
        + f"{counted(len(found.passed), 'check')} passed, {len(found.unchecked)} not made"
    )
