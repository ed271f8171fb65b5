"""What checks find: findings, what passed, and what could not be looked at. Pure.

These are three answers, and a room's checks give one of them each: what may not be read is never a
pass.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

import msgspec


class Severity(StrEnum):
    """How much a finding matters; the worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """What severities are sorted by, 0 for the worst."""
        return _ORDER.index(self)


_ORDER = list(Severity)


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that was found, on one target (`Ingress shop/web`).

    `evidence` is what it was seen by, a sentence each; `who` are the clients or people it is for;
    `breaks` is what the remedy would take from others.
    """

    rule: str
    severity: Severity
    target: str
    message: str
    title: str = ""
    """What the rule is about, in words."""
    evidence: tuple[str, ...] = ()
    who: tuple[str, ...] = ()
    remedy: str = ""
    breaks: tuple[str, ...] = ()
    place: str = ""
    """The file (`path:line`) where it was found, if it was a file."""
    accepted: str = ""
    """Why a baseline takes it as it is."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from all others, whatever its wording."""
        return (self.rule, self.target)

    @property
    def fingerprint(self) -> str:
        """What baselines and other tools know it by."""
        return "/".join(filter(None, self.identity))


class Unchecked(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What could not be looked at, and why; it is neither found nor passed."""

    what: str
    why: str
    rule: str = ""
    """The rule that it takes, if it takes one."""
    is_gap: bool = False
    """Whether a look was tried and failed, for want of a permission say: all else is as it is."""

    @property
    def label(self) -> str:
        """The rule, if there is one, and what."""
        return f"{self.rule} {self.what}".lstrip()


class Passed(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A rule that looked at everything and found nothing."""

    rule: str
    title: str = ""


Answer = Finding | Unchecked | Passed


class Findings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The outcome of a check; `subject` says of what, in the words of its heading."""

    subject: str
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...] = ()
    passed: tuple[Passed, ...] = ()

    @classmethod
    def of(cls, subject: str, answers: Iterable[Answer]) -> Self:
        """The answers sorted into their three sorts, the worst finding first."""
        given = list(answers)
        return cls(
            subject=subject,
            findings=in_order(each for each in given if isinstance(each, Finding)),
            unchecked=tuple(each for each in given if isinstance(each, Unchecked)),
            passed=tuple(each for each in given if isinstance(each, Passed)),
        )

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The findings that nobody has accepted."""
        return tuple(each for each in self.findings if not each.accepted)

    @property
    def gaps(self) -> tuple[Unchecked, ...]:
        """The looks that failed: what they would have found is not known."""
        return tuple(each for each in self.unchecked if each.is_gap)

    @property
    def has_gaps(self) -> bool:
        """Whether a look failed."""
        return bool(self.gaps)

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The standing findings that matter at least so much."""
        return tuple(each for each in self.standing if each.severity.rank <= severity.rank)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, then by rule and target."""
    return tuple(sorted(findings, key=lambda each: (each.severity.rank, each.rule, each.target)))
