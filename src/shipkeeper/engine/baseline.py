"""Findings that somebody has looked at and accepted. Pure."""

import msgspec

from shipkeeper.engine.finding import Finding, Findings

_NO_REASON = "accepted"


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that is taken as it is: its fingerprint, and why."""

    finding: str
    reason: str = ""


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The findings that are accepted."""

    accepted: tuple[Accepted, ...] = ()


def accept(found: Findings, baseline: Baseline) -> Findings:
    """The findings, those of the baseline marked with its reasons."""
    reasons = {each.finding: each.reason or _NO_REASON for each in baseline.accepted}

    def marked(finding: Finding) -> Finding:
        reason = reasons.get(finding.fingerprint, "")
        return msgspec.structs.replace(finding, accepted=reason) if reason else finding

    return msgspec.structs.replace(found, findings=tuple(map(marked, found.findings)))


def baseline_of(found: Findings, reason: str) -> Baseline:
    """A baseline that accepts everything that was found; what is accepted keeps its reason."""
    return Baseline(
        accepted=tuple(
            Accepted(finding=each.fingerprint, reason=each.accepted or reason)
            for each in found.findings
        )
    )
