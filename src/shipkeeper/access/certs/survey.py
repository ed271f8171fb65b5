"""What was seen of a cluster's certificates, as frozen values. Pure."""

from datetime import datetime
from enum import StrEnum

import msgspec

from shipkeeper.access.certs.certificate import Certificate, Usage
from shipkeeper.engine.finding import Finding, Unchecked


class Kind(StrEnum):
    """Where certificates are found."""

    FILE = "file"
    KUBECONFIG = "kubeconfig"
    PORT = "port"
    SECRET = "secret"  # noqa: S105
    BUNDLE = "caBundle"
    REQUEST = "csr"


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """Certificates at one place, and what is expected of the first of them.

    `names` are those by which clients come, `anchors` what they trust (None: that is not known),
    and `is_checked` says whether any client looks at it at all. `has_key` tells whether its private
    key belongs to it, as far as that could be seen.
    """

    kind: Kind
    target: str
    purpose: str = ""
    chain: tuple[Certificate, ...] = ()
    usages: tuple[Usage, ...] = ()
    names: tuple[str, ...] = ()
    anchors: tuple[Certificate, ...] | None = None
    is_bundle: bool = False
    is_checked: bool = True
    is_used: bool = True
    has_key: bool | None = None
    problem: str = ""


class Role(StrEnum):
    """Who listens at a port."""

    API_SERVER = "kube-apiserver"
    ETCD = "etcd"
    ETCD_PEER = "etcd peer"
    KUBELET = "kubelet"
    CONTROLLER_MANAGER = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"
    WEBHOOK = "webhook"
    API_SERVICE = "aggregated API"
    OTHER = "endpoint"


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """One port to look at; `paths` are asked for as anonymous, the first on the way.

    `host` is the node whose host it must be dialled from, empty where any place will do. `sni` is
    the name that clients greet it by. A `marker` makes it a port that should not be there at all:
    one that answers without TLS, and is known by this word.
    """

    role: Role
    target: str
    address: str
    port: int
    host: str = ""
    sni: str = ""
    names: tuple[str, ...] = ()
    anchors: tuple[Certificate, ...] | None = None
    is_checked: bool = True
    paths: tuple[str, ...] = ("/",)
    marker: str = ""

    @property
    def usages(self) -> tuple[Usage, ...]:
        """What its certificate must be good for; etcd's members are each other's clients."""
        if self.role is Role.ETCD_PEER:
            return (Usage.SERVER, Usage.CLIENT)
        return (Usage.SERVER,)

    @property
    def place(self) -> str:
        """Its address and port."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """What a port presented, live.

    `statuses` are the answers to an anonymous request by its path, `skew` how many seconds its
    clock is ahead of ours; `error` says why there was no TLS, `is_open` whether anybody listened.
    """

    chain: tuple[Certificate, ...] = ()
    versions: tuple[str, ...] = ()
    weak_ciphers: tuple[str, ...] = ()
    statuses: dict[str, int] = {}
    skew: float | None = None
    is_open: bool = True
    is_plain: bool = False
    error: str = ""


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """A file on a host, and the port of the process that serves it."""

    file: str
    leaf: Certificate
    port: str


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen; `found` are things that are wrong without any certificate to tell it."""

    sightings: tuple[Sighting, ...] = ()
    ports: tuple[tuple[Port, Presented], ...] = ()
    servings: tuple[Serving, ...] = ()
    found: tuple[Finding, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()
    seen_at: datetime
