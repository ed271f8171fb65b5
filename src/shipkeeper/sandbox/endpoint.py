"""Talking HTTPS to the components of a sandbox, as much as starting them takes."""

import http.client
import json
import ssl
from typing import Any

import msgspec

from shipkeeper.sandbox import names
from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.layout import Layout

_SECONDS = 10
_SERVER_SIDE_APPLY = "application/apply-patch+yaml"


class Answer(msgspec.Struct, frozen=True):
    """What a server said."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the server did what it was asked for."""
        return 200 <= self.status < 300


class Endpoint:
    """A server on a loopback port, and who we are to it: one authority, one client certificate."""

    def __init__(self, layout: Layout, port: int, *, authority: str, client: str) -> None:
        self._port = port
        self._tls = ssl.create_default_context(cafile=layout.certificate(authority))
        self._tls.load_cert_chain(layout.certificate(client), layout.key(client))

    def succeeds(self, method: str, path: str, body: object = None) -> bool:
        """Whether a request is answered, and with success."""
        try:
            return self.send(method, path, body).is_success
        except SandboxError:
            return False

    def apply(self, path: str, manifest: dict[str, Any]) -> Answer:
        """Server-side apply an object at its path."""
        query = "?fieldManager=shipkeeper-sandbox&force=true"
        return self.send("PATCH", path + query, manifest, _SERVER_SIDE_APPLY)

    def send(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Answer:
        """One request on a connection of its own; SandboxError when it gets no answer."""
        # http.client and not urllib: a proxy of the environment must not see loopback.
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=_SECONDS, context=self._tls
        )
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": content_type})
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise SandboxError(
                f"no answer from https://127.0.0.1:{self._port}{path}: {error}",
                reason="NoAnswer",
                hint="see what runs: shipkeeper sandbox status",
            ) from error
        finally:
            connection.close()


def as_admin(layout: Layout, port: int) -> Endpoint:
    """A server of the cluster's authority, met as its administrator."""
    return Endpoint(layout, port, authority=names.CLUSTER_CA, client=names.ADMIN)


def as_etcd_client(layout: Layout, port: int) -> Endpoint:
    """Etcd, met as the API server meets it."""
    return Endpoint(layout, port, authority=names.ETCD_CA, client=names.ETCD_CLIENT)
