"""Whether a certificate is made out to a name, as Go and OpenSSL see it (RFC 6125). Pure."""

from collections.abc import Iterable
from ipaddress import ip_address

from shipkeeper.access.certs.certificate import Certificate


def is_made_out_to(certificate: Certificate, name: str) -> bool:
    """Whether its SANs cover a DNS name or an IP address; its common name never counts."""
    try:
        address = str(ip_address(name))
    except ValueError:
        return any(_matches(pattern, name) for pattern in certificate.dns_names)
    return address in certificate.addresses


def not_covered(certificate: Certificate, names: Iterable[str]) -> tuple[str, ...]:
    """The names that it is not made out to."""
    return tuple(name for name in names if not is_made_out_to(certificate, name))


def _matches(pattern: str, name: str) -> bool:
    """Equal, or equal but for the first label, which a lone `*` stands for."""
    wanted, given = name.lower().rstrip("."), pattern.lower().rstrip(".")
    if wanted == given:
        return True
    head, _, tail = given.partition(".")
    first, _, rest = wanted.partition(".")
    # A wildcard host of an Ingress is covered by the same wildcard alone.
    return head == "*" and bool(first) and first != "*" and bool(rest) and rest == tail
