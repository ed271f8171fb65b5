"""A host of a run: what becomes of it, and what is to be seen of it afterwards. Pure."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import msgspec

from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.certs.ports import host_ports
from shipkeeper.access.certs.renew.leaves import API_SERVER, ETCD, KUBELET
from shipkeeper.access.certs.survey import Port, Presented, Role
from shipkeeper.access.certs.uses import HostCertificates

STATIC_PODS = (ETCD, API_SERVER, "kube-controller-manager", "kube-scheduler")
"""In the order in which they are started; the API server never runs without its etcd."""
_HEALTH = {
    Role.API_SERVER: "/readyz",
    Role.CONTROLLER_MANAGER: "/healthz",
    Role.SCHEDULER: "/healthz",
    Role.ETCD: "/health",
    Role.ETCD_PEER: "/health",
}
_COMPONENTS = {
    Role.API_SERVER: API_SERVER,
    Role.ETCD: ETCD,
    Role.ETCD_PEER: ETCD,
    Role.CONTROLLER_MANAGER: "kube-controller-manager",
    Role.SCHEDULER: "kube-scheduler",
}
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104


class Watched(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A port that tells of a component: `before` is what it presented, as SHA-256 in hex.

    With a `marker` it is asked without TLS, and well when its answer has that word.
    """

    component: str
    role: Role
    address: str
    port: int
    path: str
    marker: str = ""
    before: str = ""
    was_well: bool = False

    def as_port(self, host: str) -> Port:
        """The port, to be looked at from its host."""
        return Port(
            role=self.role,
            target=f"{self.role} {host}:{self.port}",
            address=self.address,
            port=self.port,
            host=host,
            paths=(self.path,),
            marker=self.marker,
        )

    def is_well(self, seen: Presented) -> bool:
        """Whether it answers as a healthy component does; of some only that they answer."""
        if self.marker:
            return seen.is_plain
        if self.role in (Role.ETCD, Role.ETCD_PEER):
            return bool(seen.chain)
        return seen.statuses.get(self.path) == 200

    def hides(self, seen: Presented) -> bool:
        """Whether it tells its health to nobody unknown."""
        return seen.statuses.get(self.path) in (401, 403)


class Renewed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A certificate that is to be made anew: where, and what it was."""

    name: str
    authority: str
    path: str
    subject: str
    not_after: str
    sha256: str


class Site(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One host: by which tool its certificates are made, what is restarted, what must be seen.

    `server` is its API server's URL, `restarts` are in the order in which they start.
    """

    host: str
    how: str
    leaves: tuple[Renewed, ...] = ()
    restarts: tuple[str, ...] = ()
    watched: tuple[Watched, ...] = ()
    server: str = ""
    was_healthy: bool = False

    @property
    def pods(self) -> tuple[str, ...]:
        """The static pods that are restarted."""
        return tuple(each for each in self.restarts if each in STATIC_PODS)

    @property
    def restarts_kubelet(self) -> bool:
        """Whether the kubelet is restarted."""
        return KUBELET in self.restarts

    def of(self, *components: str) -> tuple[Watched, ...]:
        """The ports of some components."""
        return tuple(each for each in self.watched if each.component in components)


def watched_ports(look: HostLook) -> Iterator[Watched]:
    """The ports that tell of a host's control plane."""
    for port in host_ports(look, HostCertificates(look)):
        component = _COMPONENTS.get(port.role)
        if component is None or port.marker:
            continue
        address = port.address
        if port.role is Role.API_SERVER:
            bound = (look.flags(API_SERVER) or {}).get("bind-address", "")
            address = address if bound in _ANYWHERE else bound
        yield Watched(
            component=component,
            role=port.role,
            address=address,
            port=port.port,
            path=_HEALTH[port.role],
        )
    yield from _etcd_health(look)


def _etcd_health(look: HostLook) -> Iterator[Watched]:
    url = urlsplit((look.flags(ETCD) or {}).get("listen-metrics-urls", "").split(",")[0])
    if url.scheme == "http" and url.hostname:
        yield Watched(
            component=ETCD,
            role=Role.ETCD,
            address="127.0.0.1" if url.hostname in _ANYWHERE else url.hostname,
            port=url.port or 2381,
            path="/health",
            marker='"health"',
        )


def leader_ports(watched: Iterable[Watched]) -> tuple[Watched, ...]:
    """The ports at which an etcd tells whether it is the leader."""
    return tuple(
        msgspec.structs.replace(each, path="/metrics", marker="\netcd_server_is_leader 1")
        for each in watched
        if each.component == ETCD and each.marker
    )


def server_of(look: HostLook) -> str:
    """The URL of a host's own API server; empty if it has none."""
    flags = look.flags(API_SERVER)
    if flags is None:
        return ""
    address = flags.get("advertise-address", "127.0.0.1")
    shown = f"[{address}]" if ":" in address else address
    return f"https://{shown}:{flags.get('secure-port') or 6443}"


def with_sight(
    watched: Iterable[Watched], seen: Iterable[Presented], *, is_ready: bool
) -> tuple[Watched, ...]:
    """The ports with what they present now; an API server may have been asked another way."""
    return tuple(
        msgspec.structs.replace(
            each,
            before=found.chain[0].fingerprint if found.chain else "",
            was_well=is_ready if each.role is Role.API_SERVER else each.is_well(found),
        )
        for each, found in zip(watched, seen, strict=True)
    )
