"""Findings of a check: what was found, the evidence, who causes it, and what mends it."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.model.words import counted


class Severity(StrEnum):
    """How much a finding matters; the worst first."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


_ORDER = list(Severity)


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that was found, on one target (`Ingress shop/web`).

    `evidence` is what it was seen by, a sentence each; `who` are the clients or people it is for.
    """

    rule: str
    severity: Severity
    target: str
    message: str
    evidence: tuple[str, ...] = ()
    who: tuple[str, ...] = ()
    remedy: str = ""
    place: str = ""
    """The file (`path:line`) where it was found, if it was a file."""


class Unchecked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What could not be looked at, and why; it is neither found nor passed."""

    what: str
    why: str


class Findings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The outcome of a check; `subject` says of what, in the words of its heading."""

    subject: str
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...] = ()
    passed: tuple[str, ...] = ()

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings that matter at least so much."""
        worst = _ORDER[: _ORDER.index(severity) + 1]
        return tuple(each for each in self.findings if each.severity in worst)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, then by rule and target."""
    return tuple(
        sorted(findings, key=lambda each: (_ORDER.index(each.severity), each.rule, each.target))
    )


_COLUMNS = (Column("SEVERITY"), Column("RULE"), Column("TARGET"), Column("MESSAGE"))
_UNCHECKED = (Column("NOT CHECKED"), Column("WHY"))


def findings_report(found: Findings) -> Report:
    """A table of findings, each with its evidence and remedy below; then what was not checked."""
    rows = tuple((each.severity, each.rule, each.target, each.message) for each in found.findings)
    unchecked = tuple((each.what, each.why) for each in found.unchecked)
    return Report(
        value=found,
        body=(
            Table(_COLUMNS, rows),
            "\n".join(_details(found.findings)),
            Table(_UNCHECKED, unchecked),
            f"{found.subject}: {_count(found)}",
        ),
        names=tuple(f"{each.rule}/{each.target}" for each in found.findings),
    )


def _details(findings: Sequence[Finding]) -> Iterable[str]:
    for each in findings:
        yield f"{each.rule} {each.target}"
        yield from (f"  evidence: {line}" for line in each.evidence)
        if each.who:
            yield f"  who: {', '.join(each.who)}"
        if each.remedy:
            yield f"  remedy: {each.remedy}"


def _count(found: Findings) -> str:
    counts = [
        f"{sum(each.severity is severity for each in found.findings)} {severity}"
        for severity in Severity
    ]
    return (
        f"{counted(len(found.findings), 'finding')} ({', '.join(counts)}), "
        f"{len(found.passed)} checks passed, {len(found.unchecked)} not made"
    )
