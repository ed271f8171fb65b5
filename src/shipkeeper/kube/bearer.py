"""The same API server, asked with somebody else's bearer token."""

from base64 import b64encode

import msgspec
from kubernetes.aio.client import Configuration

from shipkeeper.kube.config import Credentials
from shipkeeper.kube.impersonation import Impersonation

_SHARED = ("host", "ssl_ca_cert", "verify_ssl", "tls_server_name", "proxy")


async def with_token(credentials: Credentials, token: str) -> Credentials:
    """Credentials for the server of others that log in with a token, and impersonate nobody."""
    shared = {name: getattr(credentials.configuration, name) for name in _SHARED}

    async def login(configuration: Configuration) -> None:
        for name, value in shared.items():
            setattr(configuration, name, value)
        configuration.api_key["BearerToken"] = f"Bearer {token}"

    made = Credentials(login, Impersonation())
    await made.log_in()
    return made


def token_kubeconfig(credentials: Credentials, token: str, context: str = "kubernetes") -> bytes:
    """A kubeconfig of one context that does what `with_token` does; it holds the token."""
    cluster: dict[str, object] = {"server": credentials.server}
    if credentials.authority:
        cluster["certificate-authority-data"] = b64encode(credentials.authority).decode()
    if not credentials.is_verified:
        cluster["insecure-skip-tls-verify"] = True
    if credentials.configuration.tls_server_name:
        cluster["tls-server-name"] = credentials.configuration.tls_server_name
    if credentials.configuration.proxy:
        cluster["proxy-url"] = credentials.configuration.proxy
    return msgspec.yaml.encode(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kubernetes", "cluster": cluster}],
            "users": [{"name": "person", "user": {"token": token}}],
            "contexts": [{"name": context, "context": {"cluster": "kubernetes", "user": "person"}}],
            "current-context": context,
        }
    )
