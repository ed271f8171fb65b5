"""What is wrong with the certificates of a cluster; pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.chain import why_untrusted
from shipkeeper.access.certs.hostname import not_covered
from shipkeeper.access.certs.judge_ports import judge_port, judge_serving
from shipkeeper.access.certs.survey import Kind, Port, Presented, Sighting, Survey
from shipkeeper.engine.finding import Finding, Findings, Passed, Severity, in_order
from shipkeeper.model.duration import format_age

RULES = (
    *("Expired", "ExpiresSoon", "NotYetValid", "Untrusted", "WrongName", "WrongUsage", "WeakKey"),
    *("WeakSignature", "NoAuthority", "Unreadable", "KeyMismatch", "SecretMissing"),
    *("StaleProcess", "StaleClient", "SharedAuthority", "OldTls", "WeakCipher", "NoTls"),
    *("TlsBroken", "AnonymousAccess", "TlsNotVerified", "ClockSkew"),
    *("RequestForged", "RequestPending"),
)
_ON_HOSTS = frozenset({"StaleProcess", "StaleClient", "SharedAuthority"})
_WEAK_HASHES = frozenset({"MD2", "MD4", "MD5", "SHA1"})
_LEAST_BITS = {"RSA": 2048, "ECDSA": 224}
# Of a certificate that lives shorter than the horizon, this part is left when its renewal failed.
_LAST_PART = 10
_RENEWAL = {
    Kind.FILE: "kubeadm certs renew, then restart who serves it",
    Kind.KUBECONFIG: "kubeadm certs renew, or issue a new one",
    Kind.PORT: "renew it, and restart the process if it does not read it again by itself",
    Kind.SECRET: "renew it, or see why its issuer (cert-manager?) does not",
    Kind.BUNDLE: "put the authority's successor beside it, then renew what it has signed",
    Kind.REQUEST: "ask for a new one",
}


def judge(survey: Survey, horizon: timedelta) -> Findings:
    """Every finding, the worst first; what ends within the horizon ends soon."""
    now = survey.seen_at
    presented = tuple(map(_as_sighting, survey.ports))
    found = [
        *survey.found,
        *(one for each in (*survey.sightings, *presented) for one in _judge(each, now, horizon)),
        *(one for port, seen in survey.ports for one in judge_port(port, seen)),
        *judge_serving(survey.servings, survey.ports),
    ]
    hit = {each.rule for each in found}
    has_hosts = any(each.kind is Kind.FILE for each in survey.sightings)
    return Findings(
        subject="certificates",
        findings=in_order({(each.rule, each.target): each for each in reversed(found)}.values()),
        unchecked=survey.unchecked,
        passed=tuple(
            Passed(rule=each)
            for each in RULES
            if each not in hit and (has_hosts or each not in _ON_HOSTS)
        ),
    )


def _as_sighting(found: tuple[Port, Presented]) -> Sighting:
    """What a port presents, to be judged like any certificate."""
    port, presented = found
    return Sighting(
        kind=Kind.PORT,
        target=port.target,
        purpose=port.role.value,
        chain=presented.chain,
        usages=port.usages,
        names=port.names,
        anchors=port.anchors,
        is_checked=port.is_checked,
    )


def _judge(sighting: Sighting, now: datetime, horizon: timedelta) -> Iterator[Finding]:
    if sighting.problem:
        yield _finding("Unreadable", Severity.HIGH, sighting, "it cannot be used", sighting.problem)
    if not sighting.chain:
        return
    yield from _validity(sighting, now, horizon)
    yield from _strength(sighting)
    if sighting.is_bundle:
        yield from _authorities(sighting)
        return
    yield from _purpose(sighting)
    yield from _trust(sighting, now)
    if sighting.has_key is False:
        yield _finding(
            "KeyMismatch",
            _weight(sighting, Severity.HIGH),
            sighting,
            "its private key belongs to another certificate",
            "their public keys differ",
            remedy="put the key and the certificate of one issue together again",
        )


def _validity(sighting: Sighting, now: datetime, horizon: timedelta) -> Iterator[Finding]:
    if sighting.kind is Kind.REQUEST:
        return
    # Of several authorities those that ended do no harm as long as one is left.
    found = _longest(sighting.chain) if sighting.is_bundle else sighting.chain[:1]
    for each in found:
        ends = f"{each.subject} ends at {_moment(each.not_after)}"
        remedy = _RENEWAL[sighting.kind]
        if each.not_after < now:
            ago = format_age(now - each.not_after)
            severity = _weight(sighting, Severity.HIGH)
            yield _finding("Expired", severity, sighting, f"expired {ago} ago", ends, remedy=remedy)
        elif each.not_before > now:
            yield _finding(
                "NotYetValid",
                _weight(sighting, Severity.HIGH),
                sighting,
                f"it is valid in {format_age(each.not_before - now)} only",
                f"{each.subject} begins at {_moment(each.not_before)}",
                remedy="set the clock of who issued it, and issue it again",
            )
        elif each.not_after - now < _soon(each, horizon):
            left = format_age(each.not_after - now)
            severity = _weight(sighting, Severity.MEDIUM)
            yield _finding(
                "ExpiresSoon", severity, sighting, f"ends in {left}", ends, remedy=remedy
            )


def _longest(chain: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    return (max(chain, key=lambda each: each.not_after),)


def _soon(each: Certificate, horizon: timedelta) -> timedelta:
    """When a renewal is late: of those that live shortly, only their last part."""
    lifetime = each.not_after - each.not_before
    return lifetime / _LAST_PART if lifetime <= horizon else horizon


def _weight(sighting: Sighting, severity: Severity) -> Severity:
    """What nobody looks at, or nobody uses, harms nobody."""
    if not sighting.is_checked:
        return Severity.LOW
    return severity if sighting.is_used or sighting.kind is Kind.SECRET else Severity.LOW


def _strength(sighting: Sighting) -> Iterator[Finding]:
    for each in sighting.chain:
        least = _LEAST_BITS.get(each.key, 0)
        if each.key_bits < least or each.key == "DSA":
            yield _finding(
                "WeakKey",
                _weight(sighting, Severity.MEDIUM),
                sighting,
                f"its key is too weak: {each.key} of {each.key_bits} bits",
                each.subject,
                remedy=f"issue it anew with RSA of at least {_LEAST_BITS['RSA']} bits, or ECDSA",
            )
        # The signature of a root says nothing: it is trusted for being known.
        if each.signature in _WEAK_HASHES and not each.is_self_issued:
            yield _finding(
                "WeakSignature",
                _weight(sighting, Severity.MEDIUM),
                sighting,
                f"its signature rests on {each.signature}, which Go and OpenSSL refuse",
                f"{each.subject}, by {each.issuer}",
                remedy="have it signed anew with SHA-256",
            )


def _authorities(sighting: Sighting) -> Iterator[Finding]:
    """A bundle may hold more than authorities, but one must be there."""
    if any(each.is_authority and each.may_sign for each in sighting.chain):
        return
    # A lone self-signed certificate is trusted for itself: it need not sign others.
    if all(each.is_self_issued for each in sighting.chain):
        return
    yield _finding(
        "NoAuthority",
        Severity.HIGH,
        sighting,
        "none of its certificates may sign others",
        *(f"{each.subject} is no authority" for each in sighting.chain[:3]),
        remedy="put the certificate of the issuer there, with CA:TRUE and keyCertSign",
    )


def _purpose(sighting: Sighting) -> Iterator[Finding]:
    leaf = sighting.chain[0]
    if not sighting.is_checked:
        return
    lacking = [each.value for each in sighting.usages if not leaf.may(each)]
    if lacking:
        given = ", ".join(leaf.usages or ()) or "neither server nor client"
        yield _finding(
            "WrongUsage",
            Severity.HIGH,
            sighting,
            f"it is not for a {' and '.join(lacking)}",
            f"its extended key usage allows {given}",
            remedy=f"issue it anew with {' and '.join(f'{each}Auth' for each in lacking)}",
        )
    foreign = not_covered(leaf, sighting.names)
    if foreign:
        yield _finding(
            "WrongName",
            Severity.HIGH,
            sighting,
            f"it is not made out to {', '.join(foreign)}",
            f"it is made out to {', '.join(leaf.names) or 'no name at all'}",
            remedy=f"issue it anew with {', '.join(foreign)} among its SANs",
        )


def _trust(sighting: Sighting, now: datetime) -> Iterator[Finding]:
    if sighting.anchors is None or not sighting.is_checked:
        return
    why = why_untrusted(sighting.chain, sighting.anchors, now)
    if why:
        yield _finding(
            "Untrusted",
            Severity.HIGH,
            sighting,
            "it does not lead to an authority that its users trust",
            why,
            remedy="issue it by that authority, or present the intermediates, "
            "or have the right authority trusted",
        )


def _finding(
    rule: str,
    severity: Severity,
    sighting: Sighting,
    message: str,
    *evidence: str,
    remedy: str = "",
) -> Finding:
    found = Finding(
        rule=rule,
        severity=severity,
        target=sighting.target,
        message=message,
        evidence=evidence,
        remedy=remedy or "replace it by a certificate in PEM that can be read",
    )
    if sighting.purpose:
        return msgspec.structs.replace(found, who=(sighting.purpose,))
    return found


def _moment(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
