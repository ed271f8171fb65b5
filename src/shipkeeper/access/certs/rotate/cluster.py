"""What the API server tells of a rotation: who was told of the new authority, who runs since when.

Pure but for the functions that are given a reader or a writer.
"""

import base64
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from shipkeeper.access.certs.certificate import Certificate, UnreadableError, parse_pem
from shipkeeper.access.certs.kinds import CONFIG_MAPS, ConfigMap
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import LEASES, NAMESPACES, NODES, Resource
from shipkeeper.kube.writer import Writer
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject

ROOT = "kube-root-ca.crt"
_TOKENS = "kubernetes.io/service-account-token"
_AUTHENTICATION = "extension-apiserver-authentication"
_INFO = ("cluster-info", "kube-public")


class _Projected(KubeStruct, frozen=True, kw_only=True):
    service_account_token: dict[str, Any] | None = None


class _Projection(KubeStruct, frozen=True, kw_only=True):
    sources: tuple[_Projected, ...] | None = None


class _SecretSource(KubeStruct, frozen=True, kw_only=True):
    secret_name: str = ""


class _Volume(KubeStruct, frozen=True, kw_only=True):
    projected: _Projection | None = None
    secret: _SecretSource | None = None


class _Spec(KubeStruct, frozen=True, kw_only=True):
    volumes: tuple[_Volume, ...] | None = None


class _Status(KubeStruct, frozen=True, kw_only=True):
    phase: str = ""
    start_time: datetime | None = None


class TokenPod(KubeObject, frozen=True, kw_only=True):
    """A pod, as far as it tells whether it holds a token for the API server."""

    spec: _Spec = _Spec()
    status: _Status = _Status()

    def has_token(self, token_secrets: Iterable[str]) -> bool:
        """Whether a token for the API server is mounted."""
        known = set(token_secrets)
        for volume in self.spec.volumes or ():
            sources = (volume.projected.sources if volume.projected else ()) or ()
            if any(each.service_account_token is not None for each in sources):
                return True
            if volume.secret and f"{self.namespace}/{volume.secret.secret_name}" in known:
                return True
        return False


class _TokenData(msgspec.Struct, frozen=True, kw_only=True):
    # The token beside it is not even decoded.
    authority: bytes = msgspec.field(default=b"", name="ca.crt")


class TokenSecret(KubeObject, frozen=True, kw_only=True):
    """A Secret with a token for the API server, without the token."""

    data: _TokenData | None = None


PODS = Resource("", "v1", "pods", "Pod", TokenPod)
SECRETS = Resource("", "v1", "secrets", "Secret", TokenSecret)


class ClusterSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of clients: fingerprints that this kubeconfig trusts, its own certificate.

    `server` is the URL at which the cluster is found, `pods` are those with a token that run, and
    since when (Unix seconds).
    """

    server: str = ""
    trusted: frozenset[str] = frozenset()
    own: Certificate | None = None
    pods: tuple[tuple[str, float], ...] = ()

    def pods_before(self, moment: float) -> list[str]:
        """The pods that run since before a moment."""
        return sorted(name for name, since in self.pods if since < moment)


async def observe_cluster(connection: Connection) -> ClusterSeen:
    """See who may have to be moved; never writes."""
    reader, credentials = Reader(connection), connection.credentials
    secrets = await _token_secrets(reader)
    names = [each.key for each in secrets]
    pods = (await reader.list(PODS)).items
    own = certificates(credentials.certificate.decode())
    return ClusterSeen(
        server=credentials.server,
        trusted=frozenset(
            each.fingerprint for each in certificates(credentials.authority.decode())
        ),
        own=own[0] if own else None,
        pods=tuple(
            (each.key, each.status.start_time.timestamp())
            for each in pods
            if each.status.start_time is not None
            and each.status.phase not in ("Succeeded", "Failed")
            and each.has_token(names)
        ),
    )


async def _token_secrets(reader: Reader) -> list[TokenSecret]:
    return (await reader.list(SECRETS, field_selector=f"type={_TOKENS}")).items


def certificates(pem: str) -> tuple[Certificate, ...]:
    """The certificates of a text; none if there are none."""
    try:
        return parse_pem(pem.encode()) if pem.strip() else ()
    except UnreadableError:
        return ()


async def untold(reader: Reader, wanted: tuple[str, ...]) -> str:
    """Where pods are not told of exactly these authorities yet (SHA-256); empty if they all are."""
    spaces = {each.name for each in (await reader.list(NAMESPACES)).items}
    maps = (await reader.list(CONFIG_MAPS, field_selector=f"metadata.name={ROOT}")).items
    for each in maps:
        if each.namespace in spaces and not _is(_text(each, "ca.crt"), wanted):
            return f"{ROOT} of namespace {each.namespace} does not tell of it yet"
    for each in await _token_secrets(reader):
        if not _is((each.data.authority if each.data else b"").decode(), wanted):
            return f"Secret {each.key} does not tell of it yet"
    return ""


def _is(pem: str, wanted: tuple[str, ...]) -> bool:
    return {each.fingerprint for each in certificates(pem)} == set(wanted)


def _text(found: ConfigMap, name: str) -> str:
    return (found.data or {}).get(name, "")


async def tell_cluster_info(reader: Reader, writer: Writer, bundle: str) -> None:
    """Have those who join a cluster by kube-public/cluster-info trust a bundle."""
    try:
        found = await reader.get(CONFIG_MAPS, *_INFO)
    except NotFoundError:
        return
    config = msgspec.yaml.decode(_text(found, "kubeconfig"))
    data = base64.b64encode(bundle.encode()).decode()
    for each in config["clusters"]:
        each["cluster"]["certificate-authority-data"] = data
    text = msgspec.yaml.encode(config).decode()
    patch = {"data": {"kubeconfig": text}}
    await writer.patch(CONFIG_MAPS, _INFO[0], patch, namespace=_INFO[1])


async def settle_authentication(
    reader: Reader, writer: Writer, key: str, wanted: tuple[Certificate, ...], gone: str
) -> str:
    """See aggregated API servers told of these authorities, and no more of one that is gone.

    API servers only ever add to what is told there. Returns what is missing, empty if nothing.
    """
    found = await reader.get(CONFIG_MAPS, _AUTHENTICATION, "kube-system")
    told = certificates(_text(found, key))
    known = {each.fingerprint for each in told}
    if gone in known:
        kept = "".join(pem_of(each) for each in told if each.fingerprint != gone)
        patch = {"data": {key: kept}}
        await writer.patch(CONFIG_MAPS, _AUTHENTICATION, patch, namespace="kube-system")
        return f"{_AUTHENTICATION} told of the old authority"
    missing = [each for each in wanted if each.fingerprint not in known]
    return f"{_AUTHENTICATION} does not tell of {missing[0].subject} yet" if missing else ""


def pem_of(certificate: Certificate) -> str:
    """A certificate as text."""
    body = base64.encodebytes(certificate.der).decode().replace("\n", "")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


async def signs_of_life(reader: Reader) -> dict[str, datetime | None]:
    """When each node's kubelet last renewed its Lease, by its own clock."""
    leases = (await reader.list(LEASES, namespace="kube-node-lease")).items
    nodes = {each.name for each in (await reader.list(NODES)).items}
    return {each.name: each.spec.renew_time for each in leases if each.name in nodes}


def silent(
    before: Mapping[str, datetime | None], now: Mapping[str, datetime | None], nodes: Iterable[str]
) -> str:
    """Which kubelet has given no sign of life since; empty if all have."""
    for name in nodes:
        if name in before and now.get(name) == before[name]:
            return f"the kubelet of {name} has not renewed its Lease yet"
    return ""
