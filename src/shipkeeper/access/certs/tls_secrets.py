"""TLS Secrets and the Ingresses that serve them. Pure; a private key is looked at, never kept."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from shipkeeper.access.certs.certificate import Certificate, UnreadableError, Usage, parse_pem
from shipkeeper.access.certs.kinds import Ingress, TlsSecret
from shipkeeper.access.certs.survey import Kind, Sighting
from shipkeeper.engine.finding import Finding, Severity

Hosts = Mapping[str, tuple[str, ...]]
"""The hosts that Ingresses serve with a Secret, by its `namespace/name`."""


def hosts_by_secret(ingresses: Iterable[Ingress]) -> Hosts:
    """Which hosts each Secret is served for."""
    found: dict[str, dict[str, None]] = {}
    for ingress in ingresses:
        for each in ingress.spec.tls or ():
            if each.secret_name:
                key = f"{ingress.namespace}/{each.secret_name}"
                found.setdefault(key, {}).update(dict.fromkeys(each.hosts or ()))
    return {key: tuple(hosts) for key, hosts in found.items()}


def secret_sighting(secret: TlsSecret, hosts: Hosts) -> Sighting:
    """The certificate of a TLS Secret, and what it is served for."""
    data = secret.data
    chain: tuple[Certificate, ...] = ()
    problem, has_key = "", None
    try:
        chain = parse_pem(data.certificate if data else b"")
    except UnreadableError as error:
        problem = str(error)
    if chain and data:
        has_key, problem = _has_key(chain[0], data.key)
    return Sighting(
        kind=Kind.SECRET,
        target=f"Secret {secret.key}",
        purpose="Ingress" if secret.key in hosts else "",
        chain=chain,
        usages=(Usage.SERVER,) if secret.key in hosts else (),
        names=hosts.get(secret.key, ()),
        is_used=secret.key in hosts,
        has_key=has_key,
        problem=problem,
    )


def missing_secrets(ingresses: Iterable[Ingress], present: frozenset[str]) -> Iterator[Finding]:
    """Secrets that Ingresses name and that are not there (or are of another type)."""
    for ingress in ingresses:
        for each in ingress.spec.tls or ():
            key = f"{ingress.namespace}/{each.secret_name}"
            if each.secret_name and key not in present:
                hosts = ", ".join(each.hosts or ()) or "every host"
                yield Finding(
                    rule="SecretMissing",
                    severity=Severity.HIGH,
                    target=f"Ingress {ingress.key} ({each.secret_name})",
                    message=f"there is no TLS Secret {key}",
                    evidence=(f"it is to serve {hosts}",),
                    remedy=f"create it: kubectl create secret tls {each.secret_name} …, "
                    "or see why its issuer did not",
                )


def _has_key(leaf: Certificate, key: bytes) -> tuple[bool | None, str]:
    """Whether a private key belongs to a certificate, and why that cannot be told."""
    try:
        # Its public half alone is wanted: whether the key is sound takes a hundred times as long.
        loaded = load_pem_private_key(key, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        return None, "its tls.key cannot be read as a private key"
    except UnsupportedAlgorithm:
        return None, ""
    public = loaded.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest() == leaf.key_digest, ""
