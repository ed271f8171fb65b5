"""One control of the benchmark, and its answer. Pure."""

from collections.abc import Iterable

import msgspec

from shipkeeper.access.finding import Finding, Outcome, Severity

_SHOWN = 5


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """A control by its number, in our own words; `remedy` is what to do about a fail."""

    id: str
    title: str
    severity: Severity = Severity.MEDIUM
    remedy: str = ""

    def judged(self, faults: Iterable[str], why_not: str = "") -> Finding:
        """Fail with what is wrong; pass only if all that it takes could be read (no `why_not`)."""
        found = list(faults)
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            return self._finding(Outcome.FAIL, f"{', '.join(found[:_SHOWN])}{more}")
        if why_not:
            return self.not_evaluated(why_not)
        return self._finding(Outcome.PASS, "")

    def not_evaluated(self, why: str) -> Finding:
        """No answer, and why."""
        return self._finding(Outcome.NOT_EVALUATED, why)

    def _finding(self, outcome: Outcome, message: str) -> Finding:
        return Finding(
            id=f"cis-{self.id}",
            title=self.title,
            outcome=outcome,
            severity=self.severity,
            message=message,
            remedy=self.remedy if outcome is Outcome.FAIL else "",
        )
