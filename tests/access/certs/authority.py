"""Authorities that issue certificates as they should be, and as they should not."""

import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
LOOPBACK = ("127.0.0.1", "localhost")
YEAR = timedelta(days=365)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate with its private key, in PEM."""

    certificate: bytes
    key: bytes

    @property
    def x509(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate)

    @property
    def private(self) -> Any:
        return serialization.load_pem_private_key(self.key, None)


def new_key(kind: str = "ec") -> Any:
    match kind:
        case "ec":
            return ec.generate_private_key(ec.SECP256R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))


def authority(
    name: str,
    issuer: Pair | None = None,
    *,
    starts: timedelta = -YEAR,
    ends: timedelta = 5 * YEAR,
) -> Pair:
    """A root, or an intermediate of an issuer."""
    return _signed(name, issuer, new_key(), starts, ends, is_authority=True)


def leaf(
    issuer: Pair | None,
    *,
    names: Sequence[str] = LOOPBACK,
    cn: str = "server",
    organizations: Sequence[str] = (),
    usages: Sequence[Any] | None = (SERVER,),
    starts: timedelta = -YEAR,
    ends: timedelta = YEAR,
    key: str = "ec",
) -> Pair:
    """A certificate for a server or a client; of nobody else than itself without an issuer."""
    return _signed(
        cn,
        issuer,
        new_key(key),
        starts,
        ends,
        names=names,
        usages=usages,
        organizations=organizations,
    )


def _signed(
    name: str,
    issuer: Pair | None,
    key: Any,
    starts: timedelta,
    ends: timedelta,
    *,
    is_authority: bool = False,
    names: Sequence[str] = (),
    usages: Sequence[Any] | None = None,
    organizations: Sequence[str] = (),
) -> Pair:
    now = datetime.now(UTC).replace(microsecond=0)
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    subject = x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.private if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.x509.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(san(names), critical=False)
    if usages is not None and not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Pair(
        certificate=builder.sign(signer, digest).public_bytes(serialization.Encoding.PEM),
        key=pem(key),
    )


def pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def san(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general(each) for each in names])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def request(cn: str, organizations: Sequence[str], names: Sequence[str]) -> bytes:
    """A PKCS#10 request in PEM."""
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    subject = x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(san(names), critical=False)
    return builder.sign(new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signed_by_sha1(issuer: Pair | None, cn: str = "server") -> Pair:
    """A certificate whose signature rests on SHA-1, which openssl alone still makes."""
    key = new_key("rsa2048")
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, name) for name in ("key", "csr", "ca.crt", "ca.key", "ext")}
        paths["key"].write_bytes(pem(key))
        paths["ext"].write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        if issuer is None:
            words = ("req", "-x509", "-new", "-key", str(paths["key"]), "-subj", f"/CN={cn}")
            certificate = _openssl(*words, "-sha1", "-days", "365")
        else:
            paths["ca.crt"].write_bytes(issuer.certificate)
            paths["ca.key"].write_bytes(issuer.key)
            words = ("req", "-new", "-key", str(paths["key"]), "-subj", f"/CN={cn}")
            paths["csr"].write_bytes(_openssl(*words))
            certificate = _openssl(
                *("x509", "-req", "-in", str(paths["csr"]), "-CA", str(paths["ca.crt"])),
                *("-CAkey", str(paths["ca.key"]), "-sha1", "-days", "365", "-set_serial", "77"),
                *("-extfile", str(paths["ext"])),
            )
    return Pair(certificate=certificate, key=pem(key))


def _openssl(*words: str) -> bytes:
    return subprocess.run(("openssl", *words), capture_output=True, check=True).stdout
