"""Certificates of others: asked for and approved, handed out, or signed with a stolen key."""

import asyncio
import warnings
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.access.robber import Robber, takes_prize
from tests.access.ways import CLIENT_SIGNER

_CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


async def approve(robber: Robber) -> None:
    name = f"{robber.user}-csr"
    key = ec.generate_private_key(ec.SECP256R1())
    asked = csr(name, "boss", key)
    await robber.send("POST", _CSRS, asked)
    condition = {"type": "Approved", "status": "True", "reason": "Mine", "message": ""}
    body = {**asked, "status": {"conditions": [condition]}}
    await robber.send("PUT", f"{_CSRS}/{name}/approval", body)
    certificate = ""
    async with asyncio.timeout(60):
        while not certificate:
            # It is public; whoever asked for it gets it in some way or other.
            found = msgspec.json.decode(await robber.admin.send("GET", f"{_CSRS}/{name}"))
            certificate = found["status"].get("certificate", "")
            await asyncio.sleep(0.05)
    await takes_prize(await robber.with_credentials(**_pair(b64decode(certificate), key)))


async def sign(robber: Robber) -> None:
    name = f"{robber.user}-csr"
    key = ec.generate_private_key(ec.SECP256R1())
    await robber.admin.send("POST", _CSRS, body=csr(name, "somebody", key))
    certificate = b64encode(robber.sandbox.ca.read_bytes()).decode()
    made = await robber.patch(f"{_CSRS}/{name}/status", {"status": {"certificate": certificate}})
    assert made["status"]["certificate"]


def csr(name: str, user: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
    signed = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    )
    request = b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": request,
            "signerName": CLIENT_SIGNER,
            "usages": ["digital signature", "key encipherment", "client auth"],
        },
    }


def forged(certificate: bytes, key: bytes, name: str, *groups: str) -> dict[str, str]:
    """Credentials signed with an authority's key by whoever could read it."""
    with warnings.catch_warnings():
        # Old kubeadm numbers its authorities 0.
        warnings.simplefilter("ignore")
        authority = x509.load_pem_x509_certificate(certificate)
    signing: Any = serialization.load_pem_private_key(key, None)
    own = ec.generate_private_key(ec.SECP256R1())
    members = ((NameOID.ORGANIZATION_NAME, group) for group in groups)
    attributes = ((NameOID.COMMON_NAME, name), *members)
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(*each) for each in attributes]))
        .issuer_name(authority.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    return _pair(made.public_bytes(serialization.Encoding.PEM), own)


def _pair(certificate: bytes, key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Certificate and key as a kubeconfig has them."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "client-certificate-data": b64encode(certificate).decode(),
        "client-key-data": b64encode(pem).decode(),
    }
