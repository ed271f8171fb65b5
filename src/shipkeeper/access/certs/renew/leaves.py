"""The certificates that a control plane's host holds for itself, and who signs each. Pure."""

import base64
import binascii
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from shipkeeper.access.certs.certificate import Certificate, UnreadableError, parse_pem
from shipkeeper.access.certs.host import HostFile, HostLook

PKI = "/etc/kubernetes/pki"
API_SERVER = "kube-apiserver"
ETCD = "etcd"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KUBELET = "kubelet"


class Authority(StrEnum):
    """The authorities of a cluster, by the names that kubeadm's documents have for them."""

    KUBERNETES = "kubernetes"
    ETCD = "etcd"
    FRONT_PROXY = "front-proxy"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate by kubeadm's name: which flag of whom names its file, who reads it."""

    name: str
    authority: Authority
    component: str
    flag: str
    default: str

    @property
    def is_kubeconfig(self) -> bool:
        """Whether it lies in a kubeconfig."""
        return self.default.endswith(".conf")


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate of a host: where it is, and what it is now."""

    name: str
    authority: Authority
    component: str
    path: str
    certificate: Certificate
    is_kubeconfig: bool

    @property
    def key_path(self) -> str:
        """Where its private key is; a kubeconfig holds its own."""
        return self.path if self.is_kubeconfig else f"{self.path.removesuffix('.crt')}.key"


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """An authority as a host has it; `has_key` says whether its private key is there, too.

    Its first certificate is the one that signs, as kubeadm and the controller manager have it.
    """

    authority: Authority
    path: str
    chain: tuple[Certificate, ...]
    has_key: bool

    @property
    def key_path(self) -> str:
        """Where its private key is, or would be."""
        return f"{self.path.removesuffix('.crt')}.key"

    @property
    def certificate(self) -> Certificate:
        """The certificate that signs."""
        return self.chain[0]


PLACES = (
    Place(
        name="apiserver",
        authority=Authority.KUBERNETES,
        component=API_SERVER,
        flag="tls-cert-file",
        default=f"{PKI}/apiserver.crt",
    ),
    Place(
        name="apiserver-kubelet-client",
        authority=Authority.KUBERNETES,
        component=API_SERVER,
        flag="kubelet-client-certificate",
        default=f"{PKI}/apiserver-kubelet-client.crt",
    ),
    Place(
        name="front-proxy-client",
        authority=Authority.FRONT_PROXY,
        component=API_SERVER,
        flag="proxy-client-cert-file",
        default=f"{PKI}/front-proxy-client.crt",
    ),
    Place(
        name="apiserver-etcd-client",
        authority=Authority.ETCD,
        component=API_SERVER,
        flag="etcd-certfile",
        default=f"{PKI}/apiserver-etcd-client.crt",
    ),
    Place(
        name="etcd-server",
        authority=Authority.ETCD,
        component=ETCD,
        flag="cert-file",
        default=f"{PKI}/etcd/server.crt",
    ),
    Place(
        name="etcd-peer",
        authority=Authority.ETCD,
        component=ETCD,
        flag="peer-cert-file",
        default=f"{PKI}/etcd/peer.crt",
    ),
    Place(
        name="etcd-healthcheck-client",
        authority=Authority.ETCD,
        component=ETCD,
        flag="",
        default=f"{PKI}/etcd/healthcheck-client.crt",
    ),
    Place(
        name="controller-manager.conf",
        authority=Authority.KUBERNETES,
        component=CONTROLLER_MANAGER,
        flag="kubeconfig",
        default="/etc/kubernetes/controller-manager.conf",
    ),
    Place(
        name="scheduler.conf",
        authority=Authority.KUBERNETES,
        component=SCHEDULER,
        flag="kubeconfig",
        default="/etc/kubernetes/scheduler.conf",
    ),
    Place(
        name="admin.conf",
        authority=Authority.KUBERNETES,
        component="",
        flag="",
        default="/etc/kubernetes/admin.conf",
    ),
    Place(
        name="super-admin.conf",
        authority=Authority.KUBERNETES,
        component="",
        flag="",
        default="/etc/kubernetes/super-admin.conf",
    ),
)
NAMES = tuple(each.name for each in PLACES)
_SIGNERS = (
    (Authority.KUBERNETES, API_SERVER, "client-ca-file", f"{PKI}/ca.crt"),
    (Authority.ETCD, ETCD, "trusted-ca-file", f"{PKI}/etcd/ca.crt"),
    (
        Authority.FRONT_PROXY,
        API_SERVER,
        "requestheader-client-ca-file",
        f"{PKI}/front-proxy-ca.crt",
    ),
)


def leaves_of(look: HostLook) -> Iterator[Leaf]:
    """The certificates that are there; those of components that are not there are left out."""
    for place in PLACES:
        path = _path(look, place.component, place.flag, place.default)
        file = look.file(path)
        chain = chain_of(file) if file is not None else ()
        if chain:
            yield Leaf(
                name=place.name,
                authority=place.authority,
                component=place.component,
                path=path,
                certificate=chain[0],
                is_kubeconfig=place.is_kubeconfig,
            )


def signers_of(look: HostLook) -> dict[Authority, Signer]:
    """The authorities whose certificate is on the host."""
    found: dict[Authority, Signer] = {}
    for authority, component, flag, default in _SIGNERS:
        path = _path(look, component, flag, default)
        file = look.file(path)
        chain = chain_of(file) if file is not None else ()
        if file is not None and chain:
            found[authority] = Signer(
                authority=authority,
                path=path,
                chain=chain,
                has_key=file.key_digest == chain[0].key_digest,
            )
    return found


def chain_of(file: HostFile) -> tuple[Certificate, ...]:
    """The certificates of a file or, of a kubeconfig, its client's; none if it cannot be read."""
    pem = file.pem
    if file.is_kubeconfig:
        pem = _decoded(file.lines.get("client-certificate-data", ""))
    return _parsed(pem)


def trusted_by(file: HostFile) -> tuple[Certificate, ...]:
    """What a kubeconfig trusts its API server by; none if it names a file, or nothing."""
    return _parsed(_decoded(file.lines.get("certificate-authority-data", "")))


def _path(look: HostLook, component: str, flag: str, default: str) -> str:
    flags = look.flags(component) if component and flag else None
    return (flags or {}).get(flag, default)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _parsed(pem: bytes) -> tuple[Certificate, ...]:
    try:
        return parse_pem(pem) if pem else ()
    except UnreadableError:
        return ()
