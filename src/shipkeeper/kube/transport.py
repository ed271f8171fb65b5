"""The official client's HTTP transport, and what its failures mean."""

import asyncio
import os
import ssl
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict

from shipkeeper.kube.errors import UnreachableError
from shipkeeper.kube.kubeconfig import ConfigError
from shipkeeper.kube.official import Configuration, RESTClientObject

_CONNECTIONS = 200


class _Transport(RESTClientObject):
    def _create_pool_manager(self) -> aiohttp.ClientSession:
        session: Any = super()._create_pool_manager()
        # aiohttp would by itself send a DELETE or PUT again when the answer got lost.
        session._retry_connection = False
        # It would ask the environment for a proxy, and ~/.netrc for a password, in two threads for
        # each request: that is half of a request's time.
        session._trust_env = False
        return session

    async def upgrade(
        self, url: str, headers: CIMultiDict[str], protocol: str, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientWebSocketResponse:
        """Turn a GET into a WebSocket; aiohttp.WSServerHandshakeError when that is refused."""
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        settings: Any = self
        async with asyncio.timeout(timeout.total):
            return await self.pool_manager.ws_connect(
                url,
                protocols=(protocol,),
                headers=headers,
                proxy=settings.proxy,
                proxy_headers=settings.proxy_headers,
                server_hostname=settings.configuration.tls_server_name,
                max_msg_size=0,
            )


def open_transport(configuration: Configuration) -> Any:
    """A connection pool; ConfigError when a certificate or key of the configuration is bad."""
    configuration.connection_pool_maxsize = _CONNECTIONS
    # Like kubectl, accept an authority without the key identifiers that Python 3.13 insists on.
    configuration.disable_strict_ssl_verification = True
    configuration.proxy = configuration.proxy or _environment_proxy(str(configuration.host))
    try:
        # The official package ships no types for its methods.
        transport: Any = _Transport(configuration)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the certificates or the key of this kubeconfig cannot be used: {error}",
            reason="InvalidKubeconfig",
            hint="they must be PEM; those in the kubeconfig itself, base64 of PEM",
        ) from error
    return transport


def _environment_proxy(server: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for a server."""
    url = urlsplit(server)
    if url.hostname is None or proxy_bypass(url.hostname):
        return None
    return getproxies().get(url.scheme)


def unreachable(server: str, error: Exception) -> UnreachableError:
    """Explain a failure of aiohttp's, asyncio's or the operating system's."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return UnreachableError(
            f"the certificate of {server} is not accepted: {_words(error)}",
            reason="CertificateInvalid",
            hint="check certificate-authority of this cluster in the kubeconfig",
            was_sent=False,
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return UnreachableError(
            f"no TLS with {server}: {_words(error)}",
            reason="TLSFailed",
            hint="does this address and port belong to an API server?",
            was_sent=False,
        )
    never_sent = aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    return UnreachableError(
        f"cannot reach the API server at {server}: {_words(error)}",
        reason="Unreachable",
        hint="is it running, and is this the right --context?",
        was_sent=not isinstance(error, never_sent),
    )


def _words(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError(
            certificate_error=ssl.SSLCertVerificationError() as cause
        ):
            return cause.verify_message
        case aiohttp.ClientConnectorSSLError(os_error=ssl.SSLError() as cause):
            return cause.reason
        case aiohttp.ClientConnectorDNSError():
            return str(error.os_error.strerror)
        case aiohttp.ClientConnectorError() if error.os_error.errno:
            return os.strerror(error.os_error.errno)
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientPayloadError():
            return "its answer broke off"
        case aiohttp.ServerDisconnectedError():
            return "it closed the connection"
        case _:
            return str(error) or type(error).__name__
