"""X.509 certificates as frozen values, read from PEM or DER. Pure."""

import hashlib
import warnings
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

# Authorities of older kubeadm have the serial number 0, which is no news to those who have them.
warnings.filterwarnings("ignore", message="Parsed a serial number which wasn't positive")


class Usage(StrEnum):
    """What a certificate is shown for."""

    SERVER = "server"
    CLIENT = "client"


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate; `usages` None means that it does not restrict itself (no EKU).

    `fingerprint` and `key_digest` are SHA-256 in hex, of the whole and of its public key; `der` is
    the certificate itself.
    """

    der: bytes
    fingerprint: str
    key_digest: str
    serial: str
    subject: str
    common_name: str
    organizations: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    key: str
    key_bits: int
    signature: str
    usages: tuple[Usage, ...] | None
    is_authority: bool
    may_sign: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Every DNS name and address it is made out to."""
        return (*self.dns_names, *self.addresses)

    @property
    def is_self_issued(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.subject == self.issuer

    def may(self, usage: Usage) -> bool:
        """Whether it may be shown as a server's, or as a client's."""
        return self.usages is None or usage in self.usages


class UnreadableError(ValueError):
    """What should be a certificate cannot be read as one."""


def parse_pem(text: bytes) -> tuple[Certificate, ...]:
    """Every certificate of a PEM text, in its order; UnreadableError if there is none."""
    try:
        loaded = x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise UnreadableError(_words(error)) from error
    return tuple(parse_der(each.public_bytes(Encoding.DER)) for each in loaded)


def parse_chain(found: Iterable[bytes]) -> tuple[Certificate, ...]:
    """Certificates in DER, in their order."""
    return tuple(map(parse_der, found))


@lru_cache(maxsize=4096)
def parse_der(der: bytes) -> Certificate:
    """One certificate; UnreadableError if it is none, or breaks the rules of its form."""
    try:
        return _read(der, load(der))
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise UnreadableError(_words(error)) from error


@lru_cache(maxsize=1024)
def load(der: bytes) -> x509.Certificate:
    """The certificate as cryptography has it."""
    return x509.load_der_x509_certificate(der)


def _read(der: bytes, found: x509.Certificate) -> Certificate:
    extensions = {each.oid: each.value for each in found.extensions}
    constraints = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    key_usage = extensions.get(ExtensionOID.KEY_USAGE)
    names = extensions.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    is_named = isinstance(names, x509.SubjectAlternativeName)
    public = found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key, bits = _key(found)
    return Certificate(
        der=der,
        fingerprint=hashlib.sha256(der).hexdigest(),
        key_digest=hashlib.sha256(public).hexdigest(),
        serial=f"{found.serial_number:x}",
        subject=found.subject.rfc4514_string(),
        common_name=next(iter(_attributes(found.subject, x509.NameOID.COMMON_NAME)), ""),
        organizations=_attributes(found.subject, x509.NameOID.ORGANIZATION_NAME),
        issuer=found.issuer.rfc4514_string(),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        dns_names=tuple(names.get_values_for_type(x509.DNSName)) if is_named else (),
        addresses=tuple(map(str, names.get_values_for_type(x509.IPAddress))) if is_named else (),
        key=key,
        key_bits=bits,
        signature=_signature(found),
        usages=_usages(extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)),
        is_authority=isinstance(constraints, x509.BasicConstraints) and constraints.ca,
        may_sign=not isinstance(key_usage, x509.KeyUsage) or key_usage.key_cert_sign,
    )


def _attributes(name: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(each.value) for each in name.get_attributes_for_oid(oid))


def _key(found: x509.Certificate) -> tuple[str, int]:
    """The kind of its public key, and the size in bits that tells its strength."""
    match found.public_key():
        case rsa.RSAPublicKey() as key:
            return "RSA", key.key_size
        case ec.EllipticCurvePublicKey() as key:
            return "ECDSA", key.key_size
        case dsa.DSAPublicKey() as key:
            return "DSA", key.key_size
        case key:
            return type(key).__name__.lstrip("_").removesuffix("PublicKey"), 256


def _signature(found: x509.Certificate) -> str:
    """The hash under its signature; Ed25519 and Ed448 have their own."""
    algorithm = found.signature_hash_algorithm
    return algorithm.name.upper() if algorithm else "built in"


def _usages(value: x509.ExtensionType | None) -> tuple[Usage, ...] | None:
    if not isinstance(value, x509.ExtendedKeyUsage):
        return None
    wanted = {
        Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
        Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    given = set(value)
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in given:
        return tuple(wanted)
    return tuple(usage for usage, oid in wanted.items() if oid in given)


def _words(error: Exception) -> str:
    return (str(error).splitlines() or ["it is no certificate"])[0]
