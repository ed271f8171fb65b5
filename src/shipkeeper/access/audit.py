"""Everything that an audit tells: ways to more power, controls, disorder, gaps. Pure."""

from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.access.chain import Chain
from shipkeeper.access.controls.benchmark import benchmark
from shipkeeper.access.controls.host import HostSurvey
from shipkeeper.access.controls.hygiene import disorder
from shipkeeper.access.escalation.findings import escalation_findings
from shipkeeper.access.finding import Finding, Outcome, Severity
from shipkeeper.access.kinds import EVERY_KIND, GRAPH_KINDS, RBAC_KINDS
from shipkeeper.access.policy import Policy


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that is taken as it is: its fingerprint, and why."""

    fingerprint: str
    reason: str = ""
    id: str = ""
    target: str = ""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The findings that somebody has looked at and accepted."""

    accepted: tuple[Accepted, ...] = ()


class Audit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An audit's answers, the worst first."""

    source: str
    version: str
    findings: tuple[Finding, ...]

    def of(self, outcome: Outcome) -> tuple[Finding, ...]:
        """The answers of one sort."""
        return tuple(each for each in self.findings if each.outcome is outcome)

    def worst(self) -> Severity | None:
        """The worst severity of what counts."""
        found = [each.severity for each in self.findings if each.counts]
        return max(found, key=lambda severity: severity.rank) if found else None


def audit(
    policy: Policy,
    *,
    with_system: bool = False,
    baseline: Baseline | None = None,
    hosts: tuple[HostSurvey, ...] = (),
) -> Audit:
    """Look at everything; what Kubernetes grants itself is looked at `with_system` alone."""
    accepted = {each.fingerprint: each for each in (baseline or Baseline()).accepted}
    findings = [_marked(each, accepted) for each in _every(policy, hosts, with_system=with_system)]
    findings.sort(key=_order)
    return Audit(source=policy.source, version=str(policy.version), findings=tuple(findings))


def _every(
    policy: Policy, hosts: tuple[HostSurvey, ...], *, with_system: bool
) -> Iterator[Finding]:
    yield from escalation_findings(Chain(policy), with_system=with_system)
    yield from disorder(policy)
    yield from benchmark(policy, hosts)
    yield from _gaps(policy)


def _gaps(policy: Policy) -> Iterator[Finding]:
    """What could not be read: what there might be found is not evaluated, never passed."""
    known = {kind.kind for kind in EVERY_KIND}
    for each in policy.unread:
        if each.what in known:
            yield Finding(
                id=f"unread-{each.what.lower()}",
                title=f"What {each.what} objects tell",
                outcome=Outcome.NOT_EVALUATED,
                severity=_severity(each.what),
                message=each.why,
            )


def _severity(kind: str) -> Severity:
    decisive = {each.kind for each in (*RBAC_KINDS, *GRAPH_KINDS)}
    return Severity.HIGH if kind in decisive else Severity.MEDIUM


def _marked(finding: Finding, accepted: dict[str, Accepted]) -> Finding:
    found = accepted.get(finding.fingerprint)
    if finding.outcome is not Outcome.FAIL or found is None:
        return finding
    return msgspec.structs.replace(finding, accepted=found.reason or "accepted")


def _order(finding: Finding) -> tuple[int, int, str, str]:
    outcomes = (Outcome.FAIL, Outcome.NOT_EVALUATED, Outcome.PASS)
    return (
        outcomes.index(finding.outcome),
        -finding.severity.rank,
        finding.id,
        finding.target,
    )


def baseline_of(findings: Iterable[Finding], reason: str) -> Baseline:
    """A baseline that accepts every fail there is."""
    return Baseline(
        accepted=tuple(
            Accepted(fingerprint=each.fingerprint, reason=reason, id=each.id, target=each.target)
            for each in findings
            if each.outcome is Outcome.FAIL
        )
    )
