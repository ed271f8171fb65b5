"""A certificate for a server on 127.0.0.1, and a kubeconfig that trusts it."""

import base64
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write_server_certificate(path: Path, *, not_after: datetime | None = None) -> None:
    """Write a self-signed certificate for 127.0.0.1, and its key, to one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fault-proxy")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(not_after or now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)


def write_kubeconfig(
    path: Path, server: str, certificate: Path, user: dict[str, Any] | None = None
) -> Path:
    """Write a kubeconfig with one context, whose user has no credentials if none are given."""
    authority = x509.load_pem_x509_certificate(certificate.read_bytes())
    data = base64.b64encode(authority.public_bytes(serialization.Encoding.PEM)).decode()
    cluster = {"server": server, "certificate-authority-data": data}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxy",
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        "clusters": [{"name": "proxy", "cluster": cluster}],
        "users": [{"name": "proxy", "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path
