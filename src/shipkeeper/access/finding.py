"""What an audit says about one thing: pass, fail, or not evaluated, which is never a pass. Pure."""

import hashlib
from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """The three answers of a check."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    NOT_EVALUATED = "not evaluated"


class Severity(StrEnum):
    """How bad a fail is, as it stands in all formats."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """What severities are compared by."""
        return list(Severity).index(self)


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One answer; a way to more power says its goal, its steps and where to cut it."""

    id: str
    title: str
    outcome: Outcome
    severity: Severity
    target: str = ""
    message: str = ""
    remedy: str = ""
    goal: str = ""
    steps: tuple[str, ...] = ()
    cut: str = ""
    breaks: tuple[str, ...] = ()
    accepted: str = ""
    """Why a baseline takes it as it is."""

    @property
    def fingerprint(self) -> str:
        """What a baseline knows it by, whatever its wording."""
        text = "|".join((self.id, self.target, self.goal, self.cut))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def counts(self) -> bool:
        """Whether it is a fail that nobody has accepted."""
        return self.outcome is Outcome.FAIL and not self.accepted
