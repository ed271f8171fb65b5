"""Which ports a cluster has, and what is expected of each. Pure."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.certs.survey import Port, Role
from shipkeeper.access.certs.uses import HostCertificates
from shipkeeper.errors import UsageError
from shipkeeper.model.node import Node

# What an anonymous request must not get. Health and version are for everybody.
ANONYMOUS = {
    Role.API_SERVER: ("/api/v1/secrets?limit=1", "/api/v1/pods?limit=1", "/api"),
    Role.ETCD: ("/version",),
    Role.ETCD_PEER: ("/members",),
    Role.KUBELET: ("/pods",),
    Role.CONTROLLER_MANAGER: ("/metrics",),
    Role.SCHEDULER: ("/metrics",),
    Role.API_SERVICE: ("/apis",),
}
_USUAL = {
    Role.API_SERVER: 6443,
    Role.ETCD: 2379,
    Role.ETCD_PEER: 2380,
    Role.KUBELET: 10250,
    Role.CONTROLLER_MANAGER: 10257,
    Role.SCHEDULER: 10259,
}
# Ports without TLS of older settings: where, who, what is asked, and the word it is known by.
_PLAIN = (
    (8080, Role.API_SERVER, "/version", '"gitVersion"'),
    (10255, Role.KUBELET, "/pods", '"PodList"'),
    (10252, Role.CONTROLLER_MANAGER, "/configz", "kubecontrollermanager"),
    (10251, Role.SCHEDULER, "/configz", "componentconfig"),
)
_IN_CLUSTER = "kubernetes.default.svc"
# The order in which kubeadm has the API server try a kubelet's addresses.
_KUBELET_ADDRESSES = ("InternalIP", "ExternalIP", "Hostname")
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104
_WORDS = {each.value.lower().replace(" ", "-").removeprefix("kube-"): each for each in Role}


def api_server_port(
    url: str, name: str, anchors: tuple[Certificate, ...] | None, *, is_checked: bool
) -> Port:
    """The API server as a kubeconfig comes to it."""
    place = urlsplit(url)
    address, port = place.hostname or "", place.port or (443 if place.scheme == "https" else 80)
    return Port(
        role=Role.API_SERVER,
        target=f"{Role.API_SERVER} {address}:{port}",
        address=address,
        port=port,
        sni=name,
        names=(name,),
        anchors=anchors,
        is_checked=is_checked,
        paths=ANONYMOUS[Role.API_SERVER],
    )


def in_cluster_ports(
    addresses: Iterable[str], port: int, anchors: tuple[Certificate, ...] | None, service: str
) -> Iterator[Port]:
    """The API servers behind the Service `kubernetes`, by which pods come to them."""
    for each in addresses:
        yield Port(
            role=Role.API_SERVER,
            target=f"{Role.API_SERVER} {each}:{port}",
            address=each,
            port=port,
            names=(_IN_CLUSTER, *((service,) if service else ())),
            anchors=anchors,
            paths=ANONYMOUS[Role.API_SERVER],
        )


def kubelet_ports(node: Node, anchors: tuple[Certificate, ...] | None) -> Iterator[Port]:
    """The kubelet of a node, and its old port without TLS."""
    port = node.status.daemon_endpoints.kubelet_endpoint.port
    known = (node.address(each) for each in _KUBELET_ADDRESSES)
    name = next((each for each in known if each), "")
    if not port or not name:
        return
    yield Port(
        role=Role.KUBELET,
        target=f"{Role.KUBELET} {node.name}:{port}",
        address=name,
        port=port,
        names=(name,) if anchors is not None else (),
        anchors=anchors,
        is_checked=anchors is not None,
        paths=ANONYMOUS[Role.KUBELET],
    )
    yield from (each for each in plain_ports(node.name, name) if each.role is Role.KUBELET)


def plain_ports(owner: str, address: str, host: str = "") -> Iterator[Port]:
    """The ports of a node that should not be there."""
    for number, role, path, marker in _PLAIN:
        yield Port(
            role=role,
            target=f"{role} {owner}:{number}",
            address=address,
            port=number,
            host=host,
            paths=(path,),
            marker=marker,
        )


def host_ports(look: HostLook, certificates: HostCertificates) -> Iterator[Port]:
    """The control plane's ports of a host, as its components are told to listen."""
    server = look.flags("kube-apiserver")
    if server is not None:
        names = (_IN_CLUSTER, *certificates.names())
        anchors = certificates.anchors() or None
        yield _of_host(
            look, Role.API_SERVER, "127.0.0.1", server.get("secure-port"), names, anchors
        )
    etcd = look.flags("etcd")
    if etcd is not None:
        known = certificates.etcd_anchors()
        yield from _etcd(
            look, Role.ETCD, etcd, ("listen-client-urls", "advertise-client-urls"), known
        )
        peers = ("listen-peer-urls", "initial-advertise-peer-urls")
        yield from _etcd(look, Role.ETCD_PEER, etcd, peers, certificates.peer_anchors())
    for role in (Role.CONTROLLER_MANAGER, Role.SCHEDULER):
        flags = look.flags(role.value)
        if flags is not None and flags.get("secure-port") != "0":
            yield _of_host(
                look, role, _loopback(flags.get("bind-address", "")), flags.get("secure-port")
            )
    if look.flags("kubelet") is not None or look.kubelet_config:
        port = str(look.kubelet().get("port") or "")
        yield _of_host(look, Role.KUBELET, "127.0.0.1", port)
    yield from plain_ports(look.name, "127.0.0.1", look.name)


def _of_host(
    look: HostLook,
    role: Role,
    address: str,
    port: str | None,
    names: tuple[str, ...] = (),
    anchors: tuple[Certificate, ...] | None = None,
) -> Port:
    number = int(port) if port and port.isdigit() else _USUAL[role]
    return Port(
        role=role,
        target=f"{role} {look.name}:{number}",
        address=address,
        port=number,
        host=look.name,
        names=names,
        anchors=anchors,
        is_checked=anchors is not None,
        paths=ANONYMOUS[role],
    )


def _etcd(
    look: HostLook,
    role: Role,
    flags: dict[str, str],
    by: tuple[str, str],
    anchors: tuple[Certificate, ...] | None,
) -> Iterator[Port]:
    listening, advertised = (_urls(flags.get(each, "")) for each in by)
    if not listening:
        return
    # The address that others come by is listened at last.
    address, port = listening[-1]
    names = tuple(name for name, _ in advertised)
    yield _of_host(look, role, _loopback(address), str(port), names, anchors)


def _urls(text: str) -> list[tuple[str, int]]:
    found = (urlsplit(each) for each in text.split(",") if each)
    return [(each.hostname or "", each.port or 2379) for each in found]


def _loopback(address: str) -> str:
    return "127.0.0.1" if address in _ANYWHERE else address


def endpoint_port(text: str, anchors: tuple[Certificate, ...] | None) -> Port:
    """A port as a user names it: `[ROLE=]HOST:PORT`; UsageError otherwise."""
    word, equals, place = text.rpartition("=")
    role = _WORDS.get(word) if equals else Role.OTHER
    host, colon, port = place.rpartition(":")
    if role is None or not (host and colon and port.isdigit()):
        raise UsageError(
            f"{text!r} is not an endpoint",
            reason="BadEndpoint",
            hint=f"write it as host:port or ROLE=host:port; ROLE is one of {', '.join(_WORDS)}",
        )
    address = host.strip("[]")
    trusted = anchors if role is Role.API_SERVER else None
    return Port(
        role=role,
        target=f"{role} {place}",
        address=address,
        port=int(port),
        sni=address,
        names=(address,),
        anchors=trusted,
        is_checked=role not in (Role.KUBELET, Role.CONTROLLER_MANAGER, Role.SCHEDULER),
        paths=ANONYMOUS.get(role, ("/",)),
    )
