"""Whether a certificate leads to one that is trusted, and why not. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from shipkeeper.access.certs.certificate import Certificate, load

# Longer ones do not occur; loops of cross-signed authorities do.
_DEPTH = 8


def why_untrusted(
    chain: tuple[Certificate, ...], anchors: Iterable[Certificate], now: datetime
) -> str:
    """Why the first of a chain does not lead to an anchor by way of the others; empty if it does.

    The leaf's own validity is not looked at: that is a finding of its own.
    """
    trusted = {each.fingerprint: each for each in anchors}
    if not trusted:
        return "there is nothing to trust it by"
    leaf, *others = chain
    reasons = dict.fromkeys(_climb(leaf, tuple(others), trusted, now, _DEPTH))
    return "" if "" in reasons else "; ".join(reasons)


def _climb(
    child: Certificate,
    others: tuple[Certificate, ...],
    trusted: dict[str, Certificate],
    now: datetime,
    depth: int,
) -> Iterator[str]:
    """Why each way upwards ends; an empty reason is a way that does not."""
    if child.fingerprint in trusted:
        yield ""
        return
    candidates = {
        each.fingerprint: each
        for each in (*trusted.values(), *others)
        if each.subject == child.issuer and each.fingerprint != child.fingerprint
    }
    if not candidates or not depth:
        yield f"nobody presents or trusts its issuer {child.issuer}"
    for each in candidates.values():
        obstacle = _obstacle(child, each, now)
        if obstacle:
            yield obstacle
        elif each.fingerprint in trusted:
            yield ""
        else:
            yield from _climb(each, others, trusted, now, depth - 1)


def _obstacle(child: Certificate, issuer: Certificate, now: datetime) -> str:
    """Why an issuer of the right name is not the one, or must not be."""
    if not signed(child, issuer):
        return f"another key than that of {issuer.subject} signed it"
    if not issuer.is_authority:
        return f"its issuer {issuer.subject} is no authority (CA:TRUE is missing)"
    if not issuer.may_sign:
        return f"its issuer {issuer.subject} must not sign certificates (keyCertSign is missing)"
    if not issuer.not_before <= now <= issuer.not_after:
        return f"its issuer {issuer.subject} is not valid now"
    return ""


def signed(child: Certificate, issuer: Certificate) -> bool:
    """Whether the issuer's key signed it."""
    try:
        load(child.der).verify_directly_issued_by(load(issuer.der))
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError, TypeError):
        # Too weak to be checked here, which is a finding of its own: the names must do.
        return child.issuer == issuer.subject
    return True
