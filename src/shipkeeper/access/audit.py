"""Everything that an audit tells: ways to more power, controls, disorder, gaps. Pure."""

from collections.abc import Iterator

import msgspec

from shipkeeper.access.chain import Chain, UnknownPolicyFileError
from shipkeeper.access.controls.benchmark import benchmark
from shipkeeper.access.controls.host import HostSurvey
from shipkeeper.access.controls.hygiene import disorder
from shipkeeper.access.escalation.findings import escalation_findings
from shipkeeper.access.kinds import EVERY_KIND
from shipkeeper.access.policy import AUTHORIZERS, Policy
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
    yield from _ways(policy, with_system=with_system)
    yield from disorder(policy)
    yield from benchmark(policy, hosts)
    yield from _gaps(policy, hosts)


def _ways(policy: Policy, *, with_system: bool) -> Iterator[Answer]:
    """Ways to more power; those that lines of ABAC open are a gap where its file is not at hand."""
    try:
        chain = Chain(policy)
    except UnknownPolicyFileError as error:
        # No line takes away what another authorizer allows: what is found without them is true.
        chain = Chain(_without_abac(policy))
        yield Unchecked(
            rule="unread-abac",
            what="What lines of ABAC allow",
            why=f"{error.message}: {error.hint}",
            is_gap=True,
        )
    yield from escalation_findings(chain, with_system=with_system)


def _without_abac(policy: Policy) -> Policy:
    others = tuple(each for each in policy.chain.authorizers if each.type != "ABAC")
    chain = msgspec.structs.replace(policy.chain, authorizers=others)
    return msgspec.structs.replace(policy, chain=chain)


def _gaps(policy: Policy, hosts: tuple[HostSurvey, ...]) -> Iterator[Unchecked]:
    """What could not be read: what there might be found is not evaluated, never passed."""
    known = {kind.kind for kind in EVERY_KIND}
    for each in policy.unread:
        if each.what == AUTHORIZERS:
            yield Unchecked(
                rule="unread-authorizers",
                what="What authorizers allow that are not known",
                why=each.why,
                is_gap=each.is_failure,
            )
        elif each.what in known:
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
