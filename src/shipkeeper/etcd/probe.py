"""Why a member cannot be spoken to: the connection made again step by step.

gRPC tells only that a channel is unavailable; here each step that may fail has a name.
"""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from cryptography import x509

_TIMEOUT: Final = 5.0  # seconds


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the way, and what to do about it."""

    reason: str
    message: str
    hint: str


def probe(endpoint: str, cacert: str, cert: str, key: str) -> Finding | None:
    """Connect and shake hands; None when nothing is found to be wrong with that."""
    parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    address = (parts.hostname or "", parts.port or 2379)
    expired = expiry_of(cert) if cert else None
    if expired and expired < datetime.now(UTC):
        return Finding(
            reason="CertificateExpired",
            message=f"the client certificate {cert} expired on {expired:%Y-%m-%d %H:%M} UTC",
            hint="renew it (kubeadm certs renew all), or name another with --cert and --key",
        )
    try:
        with socket.create_connection(address, _TIMEOUT) as connection:
            if parts.scheme == "http":
                return None
            return _shake_hands(connection, endpoint, address[0], cacert, cert, key)
    except OSError as error:
        return Finding(
            reason="MemberUnreachable",
            message=f"cannot connect to {endpoint}: {error.strerror or error}",
            hint="see whether the member runs, and whether its client URL is meant",
        )


def _shake_hands(
    connection: socket.socket, endpoint: str, host: str, cacert: str, cert: str, key: str
) -> Finding | None:
    try:
        context = ssl.create_default_context(cafile=cacert or None)
        if cert and key:
            context.load_cert_chain(cert, key)
        context.set_alpn_protocols(["h2"])
        with context.wrap_socket(connection, server_hostname=host) as secured:
            secured.settimeout(1.0)
            # A server of TLS 1.3 refuses a client's certificate only after the handshake.
            secured.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            secured.recv(1)
            if secured.selected_alpn_protocol() != "h2":
                return _not_etcd(endpoint)
    except ssl.SSLCertVerificationError as error:
        return Finding(
            reason="UntrustedServer",
            message=f"{endpoint} is not vouched for by {cacert or 'this machine'}: "
            f"{error.verify_message}",
            hint="name etcd's authority with --cacert (kubeadm: /etc/kubernetes/pki/etcd/ca.crt)",
        )
    except TimeoutError:
        return None
    except ssl.SSLError as error:
        said = (error.reason or str(error)).replace("_", " ").lower()
        if "wrong version" in said or "http request" in said or "record layer" in said:
            return Finding(
                reason="NotTls",
                message=f"{endpoint} does not speak TLS",
                hint="name a client URL of etcd; one without TLS begins with http://",
            )
        return _refused(endpoint, cert, said)
    except ConnectionError as error:
        return _refused(endpoint, cert, error.strerror or str(error))
    return None


def _refused(endpoint: str, cert: str, said: str) -> Finding:
    return Finding(
        reason="ClientRefused",
        message=f"{endpoint} refuses {cert or 'us without a certificate'}: {said}",
        hint="name a certificate of etcd's own authority with --cert and --key",
    )


def _not_etcd(endpoint: str) -> Finding:
    return Finding(
        reason="NotEtcd",
        message=f"{endpoint} does not speak gRPC",
        hint="name a client URL of etcd (port 2379 as a rule)",
    )


def expiry_of(cert: str) -> datetime | None:
    """When the first certificate of a PEM file expires; None if it cannot be read."""
    try:
        return x509.load_pem_x509_certificate(Path(cert).read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None
