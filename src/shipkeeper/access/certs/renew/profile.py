"""What a renewed certificate is to be: the old one's names and usages, in OpenSSL's words. Pure."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
from cryptography.x509.oid import ExtensionOID

from shipkeeper.access.certs.certificate import Certificate, Usage, load
from shipkeeper.access.certs.chain import signed

LIFETIME = timedelta(days=365)
"""How long new leaves last, as kubeadm's do."""
_BACKDATED = timedelta(minutes=5)
# Beyond these, OpenSSL's configuration gives characters a meaning of their own.
_NAME = re.compile(r"[\w.*:-]+", re.ASCII)
_USAGES = {Usage.SERVER: "serverAuth", Usage.CLIENT: "clientAuth"}
_CURVES = {256: "P-256", 384: "P-384", 521: "P-521"}


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """From when to when a certificate is valid, as OpenSSL takes it."""

    start: str
    end: str


def period(now: datetime, limit: datetime, lifetime: timedelta = LIFETIME) -> Period:
    """From a little before now, for hosts whose clocks lag, and not past the authority's end."""
    end = min(now + lifetime, limit)
    return Period(start=f"{now - _BACKDATED:%Y%m%d%H%M%SZ}", end=f"{end:%Y%m%d%H%M%SZ}")


def key_words(certificate: Certificate) -> tuple[str, str] | None:
    """The algorithm and option of `openssl genpkey` for a key like its own; None if unknown."""
    if certificate.key == "RSA":
        return "RSA", f"rsa_keygen_bits:{max(certificate.key_bits, 2048)}"
    if certificate.key == "ECDSA" and certificate.key_bits in _CURVES:
        return "EC", f"ec_paramgen_curve:{_CURVES[certificate.key_bits]}"
    return ("ED25519", "") if certificate.key == "Ed25519" else None


def obstacles(certificate: Certificate) -> Iterator[str]:
    """Why OpenSSL cannot be told to make the like of it."""
    if key_words(certificate) is None:
        yield f"its key is {certificate.key} {certificate.key_bits}"
    for name in certificate.names:
        if not _NAME.fullmatch(name):
            yield f"its name {name!r} is none that can be written"


def configuration(certificate: Certificate, signer: Certificate) -> str:
    """The configuration of `openssl ca` for the like of a certificate; `$W` is the work folder."""
    identifier = ("authorityKeyIdentifier = keyid",) if _has_identifier(signer) else ()
    usages = ",".join(_USAGES[each] for each in certificate.usages or ())
    names = [
        *(f"DNS.{index} = {name}" for index, name in enumerate(certificate.dns_names)),
        *(f"IP.{index} = {name}" for index, name in enumerate(certificate.addresses)),
    ]
    return _configuration(
        "basicConstraints = critical, CA:FALSE",
        "keyUsage = critical, digitalSignature, keyEncipherment",
        *((f"extendedKeyUsage = {usages}",) if usages else ()),
        *identifier,
        *(("subjectAltName = @names", "[names]", *names) if names else ()),
    )


def _has_identifier(signer: Certificate) -> bool:
    """Whether there is something to identify its key by: old authorities have none."""
    return any(
        each.oid == ExtensionOID.SUBJECT_KEY_IDENTIFIER for each in load(signer.der).extensions
    )


def authority_configuration() -> str:
    """The configuration of `openssl ca` for an authority."""
    return _configuration(
        "basicConstraints = critical, CA:TRUE",
        "keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign",
        "subjectKeyIdentifier = hash",
    )


def _configuration(*extensions: str) -> str:
    return "\n".join(
        (
            "[ca]",
            "default_ca = signer",
            "[signer]",
            "database = $ENV::W/index",
            "serial = $ENV::W/serial",
            "new_certs_dir = $ENV::W",
            "default_md = default",
            "unique_subject = no",
            "policy = anything",
            "x509_extensions = made",
            "[anything]",
            "commonName = optional",
            "[made]",
            *extensions,
            "",
        )
    )


def differences(
    old: Certificate, new: Certificate, signer: Certificate, now: datetime
) -> Iterator[str]:
    """Why a new certificate cannot take an old one's place."""
    if new.fingerprint == old.fingerprint:
        yield "it is the old one still"
    if new.key_digest == old.key_digest:
        yield "its key is the old one still"
    if (new.subject, set(new.names)) != (old.subject, set(old.names)):
        yield "its subject or its names are others"
    if set(new.usages or ()) != set(old.usages or ()):
        yield "its usages are others"
    if not signed(new, signer):
        yield f"{signer.subject} did not sign it"
    if not new.not_before <= now < new.not_after:
        yield "it is not valid now"
    if new.not_after < min(old.not_after, signer.not_after):
        yield "it ends before the old one"
