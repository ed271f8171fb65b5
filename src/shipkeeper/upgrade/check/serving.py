"""The certificate that a server shows: only when it ends is read, nothing is trusted."""

import asyncio
import ssl
from datetime import datetime
from urllib.parse import urlsplit

from cryptography.x509 import load_pem_x509_certificate

from shipkeeper.errors import ShipkeeperError


class NoCertificateError(ShipkeeperError):
    """A server shows no certificate."""


async def serving_certificate(url: str) -> datetime:
    """When the certificate of the server at a URL ends; NoCertificateError if it shows none."""
    place = urlsplit(url)
    address = (place.hostname or "", place.port or 443)
    try:
        text = await asyncio.to_thread(ssl.get_server_certificate, address, timeout=10)
    except OSError as error:
        raise NoCertificateError(
            f"cannot read the certificate of {url}: {error}",
            reason="NoCertificate",
            hint="is there a proxy in between?",
        ) from error
    return load_pem_x509_certificate(text.encode()).not_valid_after_utc
