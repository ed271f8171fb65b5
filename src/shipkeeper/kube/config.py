"""Where the API server is and how to log in: kubeconfig, service account or impersonation."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
from multidict import CIMultiDict

from shipkeeper.kube.impersonation import Impersonation
from shipkeeper.kube.kubeconfig import (
    ConfigError,
    Kubeconfig,
    kubeconfig_files,
    read_kubeconfig,
)
from shipkeeper.kube.official import ConfigException, Configuration
from shipkeeper.kube.official import config as _official

# What the official loader trips over when a value is not of the type that it expects.
_BAD_VALUES = (ValueError, TypeError, LookupError, AttributeError)

PAGE_SIZE = 500


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """kubectl's connection flags: --kubeconfig, --context, --as, --as-group, --chunk-size.

    Lists come in pages of `page_size` objects; 0 asks for everything in one piece.
    """

    kubeconfig: str = ""
    context: str = ""
    impersonate_user: str = ""
    impersonate_groups: tuple[str, ...] = ()
    page_size: int = PAGE_SIZE


class Credentials:
    """A configuration of the official client that is logged in and can log in again."""

    def __init__(
        self,
        login: Callable[[Configuration], Awaitable[None]],
        impersonation: Impersonation,
    ) -> None:
        self.configuration = Configuration()
        self.fingerprint = ""
        """Changes when the token or the client certificate does."""
        self._login = login
        self._impersonation = impersonation
        self._renewing = asyncio.Lock()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self.configuration.host)

    @property
    def uses_client_certificate(self) -> bool:
        """Whether TLS, rather than a header, says who asks."""
        return bool(self.configuration.cert_file)

    @property
    def impersonation(self) -> Impersonation:
        """Whom it acts as; nobody else by default."""
        return self._impersonation

    def acting_as(self, user: str, groups: tuple[str, ...]) -> "Credentials":
        """The same login that acts as somebody, by impersonation; it has to log in of its own."""
        return Credentials(self._login, Impersonation(user=user, groups=groups))

    @property
    def certificate_expiry(self) -> datetime | None:
        """Until when the client certificate is valid, None without one."""
        if not self.uses_client_certificate:
            return None
        from cryptography import x509  # It takes long to import, and is needed after refusals only.

        return x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc

    @property
    def certificate(self) -> bytes:
        """The client certificate in PEM, empty without one."""
        return _content(self.configuration.cert_file)

    @property
    def authority(self) -> bytes:
        """Whom the API server is trusted by, in PEM; empty means whom the system trusts."""
        return _content(self.configuration.ssl_ca_cert)

    @property
    def server_name(self) -> str:
        """The name that the API server's certificate must be made out to."""
        named = self.configuration.tls_server_name
        return str(named) if named else urlsplit(self.server).hostname or ""

    @property
    def is_verified(self) -> bool:
        """Whether the API server's certificate is looked at at all."""
        return bool(self.configuration.verify_ssl)

    async def headers(self) -> CIMultiDict[str]:
        """The authentication and impersonation headers of a request, secrets included."""
        headers = CIMultiDict(self._impersonation.headers())
        token = (await self.configuration.auth_settings()).get("BearerToken")
        if token and token["value"]:
            # A token read from a file brings the file's last newline along.
            headers["Authorization"] = token["value"].strip()
        return headers

    async def log_in(self) -> None:
        """Read or ask for what the user logs in with (plugin, OIDC, files); ConfigError."""
        with _complaints() as complaints:
            try:
                await self._login(self.configuration)
            except (ConfigException, aiohttp.ClientError, OSError, *_BAD_VALUES) as error:
                raise _login_failed(str(error)) from error
        if complaints:
            raise _login_failed(complaints[0])
        token = str(self.configuration.api_key)
        self.fingerprint = hashlib.sha256(token.encode() + self.certificate).hexdigest()

    async def renew(self, refused: str) -> bool:
        """Log in again unless that was done since; whether the fingerprint `refused` is past."""
        async with self._renewing:
            if self.fingerprint == refused:
                await self.log_in()
            return self.fingerprint != refused


def _content(path: str | None) -> bytes:
    return Path(path).read_bytes() if path else b""


async def load_credentials(options: ConnectionOptions) -> Credentials:
    """Log in as kubectl does: --kubeconfig, else $KUBECONFIG, else ~/.kube/config, else in-cluster.

    Raises ConfigError saying which file, context or plugin is wrong.
    """
    files = kubeconfig_files(options.kubeconfig)
    if files:
        kubeconfig = read_kubeconfig(files, options.context)
        login, impersonation = _kubeconfig_login(kubeconfig), kubeconfig.impersonation
    else:
        login, impersonation = _in_cluster_login, Impersonation()
    credentials = Credentials(login, _overruled(impersonation, options))
    await credentials.log_in()
    return credentials


def _kubeconfig_login(kubeconfig: Kubeconfig) -> Callable[[Configuration], Awaitable[None]]:
    # The official loader keeps renewed OIDC tokens in the document that it was given.
    document = kubeconfig.document()

    async def login(configuration: Configuration) -> None:
        await _official.load_kube_config_from_dict(document, client_configuration=configuration)

    return login


async def _in_cluster_login(configuration: Configuration) -> None:
    try:
        _official.load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise ConfigError(
            "no cluster to talk to: no --kubeconfig, no $KUBECONFIG, no ~/.kube/config, "
            f"and this is not a pod ({str(error).rstrip('.')})",
            reason="NoCluster",
            hint="name one with --kubeconfig, or try: shipkeeper sandbox up",
        ) from error


def _overruled(configured: Impersonation, options: ConnectionOptions) -> Impersonation:
    return msgspec.structs.replace(
        configured,
        user=options.impersonate_user or configured.user,
        groups=options.impersonate_groups or configured.groups,
    )


@contextmanager
def _complaints() -> Generator[list[str]]:
    """Collect what the official loader only logs: that a plugin failed."""
    complaints: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: complaints.append(record.getMessage())
    logger = logging.getLogger("kubernetes.aio.config.kube_config")
    logger.addHandler(handler)
    try:
        yield complaints
    finally:
        logger.removeHandler(handler)


def _login_failed(why: str) -> ConfigError:
    return ConfigError(
        f"cannot log in with this kubeconfig user: {(why.splitlines() or ['?'])[0]}",
        reason="LoginFailed",
        hint="see whether it works with: kubectl auth whoami",
    )
