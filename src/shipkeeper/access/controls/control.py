"""One control of the benchmark, and its answer. Pure."""

from collections.abc import Iterable

import msgspec

from shipkeeper.engine.finding import Answer, Finding, Passed, Severity, Unchecked


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """A control by its number, in our own words; `remedy` is what to do about a fail."""

    id: str
    title: str
    severity: Severity = Severity.MEDIUM
    remedy: str = ""

    @property
    def rule(self) -> str:
        """What findings know it by."""
        return f"cis-{self.id}"

    def judged(self, faults: Iterable[str], why_not: str = "") -> Answer:
        """Fail with what is wrong; pass only if all that it takes could be read (no `why_not`)."""
        found = list(faults)
        if found:
            return Finding(
                rule=self.rule,
                severity=self.severity,
                target="",
                title=self.title,
                message=f"not so: {self.title}",
                evidence=tuple(found),
                remedy=self.remedy,
            )
        if why_not:
            return self.not_evaluated(why_not)
        return Passed(rule=self.rule, title=self.title)

    def not_evaluated(self, why: str) -> Unchecked:
        """No answer, and why."""
        return Unchecked(rule=self.rule, what=self.title, why=why)
