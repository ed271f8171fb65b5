"""A certificate authority: X.509 over EC P-256, PEM in and out, no files."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shipkeeper.errors import UsageError
from shipkeeper.sandbox.keypair import KeyPair

# A sandbox has no renewal: everything in it lasts as long as anyone will keep it.
_LIFETIME = timedelta(days=3650)
# Certificates are valid from a while ago, so that a clock set back does not refuse them.
_BACKDATED = timedelta(hours=1)

_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def create_authority(common_name: str) -> KeyPair:
    """A new self-signed authority that signs end-entity certificates only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    builder = (
        _builder(name, name, key.public_key(), datetime.now(UTC) + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return _pair(key, builder.sign(key, hashes.SHA256()))


def issue_server(
    authority: KeyPair,
    common_name: str,
    hosts: tuple[str, ...],
    not_after: datetime | None = None,
) -> KeyPair:
    """A certificate for a server known by these DNS names and IP addresses.

    It is good for a client too: etcd calls itself with it. `not_after` (aware) may lie in the past.
    """
    names = x509.SubjectAlternativeName([_host(host) for host in hosts])
    expires = not_after or datetime.now(UTC) + _LIFETIME
    return _issue(authority, _name(common_name), (_SERVER, _CLIENT), expires, names)


def issue_client(
    authority: KeyPair, user: str, groups: tuple[str, ...] = (), not_after: datetime | None = None
) -> KeyPair:
    """A certificate that says who a client is; `not_after` (aware) may lie in the past.

    UsageError when X.509 cannot hold the name of the user or of a group.
    """
    expires = not_after or datetime.now(UTC) + _LIFETIME
    return _issue(authority, _name(user, groups), (_CLIENT,), expires)


def create_signing_key() -> KeyPair:
    """A key that signs tokens; in place of a certificate stands its public half."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return KeyPair(certificate=public, key=_pem(key))


def _issue(
    authority: KeyPair,
    subject: x509.Name,
    usages: tuple[x509.ObjectIdentifier, ...],
    expires: datetime,
    names: x509.SubjectAlternativeName | None = None,
) -> KeyPair:
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signer = cast(
        "ec.EllipticCurvePrivateKey",
        serialization.load_pem_private_key(authority.key, password=None),
    )
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(subject, issuer.subject, key.public_key(), expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return _pair(key, builder.sign(signer, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, expires: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(datetime.now(UTC), expires) - _BACKDATED)
        .not_valid_after(expires)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str, organizations: tuple[str, ...] = ()) -> x509.Name:
    try:
        groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
        return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except ValueError as error:
        raise UsageError(
            f"a certificate cannot hold the name {common_name!r} or one of its groups: {error}",
            reason="InvalidSubject",
            hint="user and group names have 1 to 64 characters",
        ) from error


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> KeyPair:
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return KeyPair(certificate=pem, key=_pem(key))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
