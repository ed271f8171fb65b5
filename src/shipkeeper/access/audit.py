"""Everything that an audit tells: ways to more power, controls, disorder, gaps. Pure."""

from collections.abc import Iterator

from shipkeeper.access.chain import Chain
from shipkeeper.access.controls.benchmark import benchmark
from shipkeeper.access.controls.host import HostSurvey
from shipkeeper.access.controls.hygiene import disorder
from shipkeeper.access.escalation.findings import escalation_findings
from shipkeeper.access.kinds import EVERY_KIND
from shipkeeper.access.policy import Policy
from shipkeeper.engine.finding import Answer, Findings, Unchecked


def audit(
    policy: Policy, *, with_system: bool = False, hosts: tuple[HostSurvey, ...] = ()
) -> Findings:
    """Look at everything; what Kubernetes grants itself is looked at `with_system` alone."""
    return Findings.of(
        f"access audit of {policy.source}, Kubernetes {policy.version}",
        _every(policy, hosts, with_system=with_system),
    )


def _every(policy: Policy, hosts: tuple[HostSurvey, ...], *, with_system: bool) -> Iterator[Answer]:
    yield from escalation_findings(Chain(policy), with_system=with_system)
    yield from disorder(policy)
    yield from benchmark(policy, hosts)
    yield from _gaps(policy, hosts)


def _gaps(policy: Policy, hosts: tuple[HostSurvey, ...]) -> Iterator[Unchecked]:
    """What could not be read: what there might be found is not evaluated, never passed."""
    known = {kind.kind for kind in EVERY_KIND}
    for each in policy.unread:
        if each.what in known:
            yield Unchecked(
                rule=f"unread-{each.what.lower()}",
                what=f"What {each.what} objects tell",
                why=each.why,
                is_gap=each.is_failure,
            )
    for host in hosts:
        why = host.unreached or ", ".join(f"{path} may not be read" for path in host.unseen)
        if why:
            yield Unchecked(
                rule="unread-host", what=f"What host {host.host} tells", why=why, is_gap=True
            )
