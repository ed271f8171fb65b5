"""The client certificate of a connection, as TLS verified it: no header can say so.

uvicorn does not hand it on; its protocol is told of the connection before any byte of a request,
and gives each request the state that is put in here.
"""

import asyncio
import ssl
from datetime import datetime
from typing import Any, cast

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID
from starlette.requests import HTTPConnection
from uvicorn.protocols.http.h11_impl import H11Protocol

from shipkeeper.web.problem import RefusedError

_KEY = "client_certificate"


class CertifiedProtocol(H11Protocol):
    """HTTP/1.1 whose requests know the certificate that their connection was verified with."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the certificate, if the peer showed one and TLS has verified it."""
        super().connection_made(cast("asyncio.Transport", transport))
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        is_verified = tls is not None and tls.context.verify_mode is not ssl.CERT_NONE
        shown = tls.getpeercert(binary_form=True) if tls is not None and is_verified else None
        self.app_state: dict[str, Any] = {**self.app_state, _KEY: shown or b""}


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """Who a verified certificate is made out to, as the API server reads it."""

    user: str
    groups: tuple[str, ...]
    not_after: datetime
    content: bytes


def certificate_of(request: HTTPConnection) -> bytes:
    """The verified certificate of a request's connection (DER), empty without one."""
    return request.scope.get("state", {}).get(_KEY, b"")


def presented(request: HTTPConnection) -> Presented | None:
    """Who the connection's certificate is made out to; None without one.

    RefusedError for one that names nobody, or somebody whom no header can name.
    """
    content = certificate_of(request)
    if not content:
        return None
    try:
        certificate = x509.load_der_x509_certificate(content)
        names = _values(certificate, NameOID.COMMON_NAME)
        groups = _values(certificate, NameOID.ORGANIZATION_NAME)
    except ValueError as error:
        raise RefusedError(
            403,
            f"this certificate cannot be read: {error}",
            reason="MalformedCertificate",
            hint="have one made with: shipkeeper users create NAME --how certificate",
        ) from error
    if len(names) != 1 or not all(_is_fit(each) for each in (*names, *groups)):
        raise RefusedError(
            403,
            "this certificate does not say who you are in one common name",
            reason="NoCommonName",
            hint="have one made with: shipkeeper users create NAME --how certificate",
        )
    return Presented(
        user=names[0], groups=groups, not_after=certificate.not_valid_after_utc, content=content
    )


def _values(certificate: x509.Certificate, kind: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(each.value) for each in certificate.subject.get_attributes_for_oid(kind))


def _is_fit(name: str) -> bool:
    return bool(name) and name.isprintable() and name == name.strip()
