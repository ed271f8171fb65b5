"""Gathering every certificate of a cluster, from its API, its hosts and its ports; never writes.

What cannot be looked at, for want of rights or because nobody answers, is noted as not checked.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import msgspec

from shipkeeper.access.certs import bundles, kinds, ports, signing, tls_secrets
from shipkeeper.access.certs.bundles import Backend
from shipkeeper.access.certs.certificate import (
    Certificate,
    UnreadableError,
    Usage,
    parse_pem,
)
from shipkeeper.access.certs.host_look import look_at_host
from shipkeeper.access.certs.probe import look_at
from shipkeeper.access.certs.survey import Kind, Port, Presented, Serving, Sighting, Survey
from shipkeeper.access.certs.tls import Dial, dial_from_here, lenient_context
from shipkeeper.access.certs.uses import HostCertificates
from shipkeeper.engine.finding import Finding, Severity
from shipkeeper.engine.looking import Looking
from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.host import Host, Tunnel
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.model.node import Node

HostOf = Callable[[Node], Host]
_AT_ONCE = 64
_HOSTS_AT_ONCE = 16
_BACKENDS = 3
_SKEW_SECONDS = 30.0
_UNVERIFIED = Finding(
    rule="TlsNotVerified",
    severity=Severity.MEDIUM,
    target="this kubeconfig",
    message="it takes any API server for the right one",
    evidence=("insecure-skip-tls-verify is true",),
    remedy="name the authority by certificate-authority-data instead",
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What else to look at: endpoints as a user names them."""

    endpoints: tuple[str, ...] = ()


async def gather(
    connection: Connection,
    wanted: Wanted,
    *,
    host_of: HostOf | None = None,
    hosts: Sequence[Host] = (),
) -> Survey:
    """See everything there is: by the API, on the hosts of nodes, on further hosts, at ports."""
    async with AsyncExitStack() as stack:
        return await _Gathering(connection, stack).gather(wanted, host_of, hosts)


class _Gathering(Looking):
    def __init__(self, connection: Connection, stack: AsyncExitStack) -> None:
        super().__init__()
        self._connection = connection
        self._reader = Reader(connection)
        self._stack = stack
        self._sightings: list[Sighting] = []
        self._ports: list[Port] = []
        self._servings: list[Serving] = []
        self._found: list[Finding] = []
        self._dials: dict[str, Dial] = {}
        self._nodes: tuple[Node, ...] = ()
        self._kubelet_anchors: tuple[Certificate, ...] | None = None
        self._seen_hosts: set[str] = set()

    async def gather(self, wanted: Wanted, host_of: HostOf | None, hosts: Sequence[Host]) -> Survey:
        anchors = self._own()
        if await self._api_answers():
            await self._objects(anchors)
        await self._hosts(host_of, hosts)
        self._node_ports(has_hosts=host_of is not None)
        self._ports += [ports.endpoint_port(each, anchors) for each in wanted.endpoints]
        presented = await self._look_at_ports()
        return Survey(
            sightings=tuple(self._sightings),
            ports=presented,
            servings=tuple(self._servings),
            found=tuple(self._found),
            unchecked=tuple(self._unchecked),
            seen_at=datetime.now(UTC),
        )

    def _own(self) -> tuple[Certificate, ...] | None:
        """What the kubeconfig of this run holds, and the API server that it names."""
        credentials = self._connection.credentials
        anchors = _certificates(credentials.authority) or None
        self._sightings += _in_kubeconfig(_certificates(credentials.certificate), anchors or ())
        if not credentials.is_verified:
            self._found.append(_UNVERIFIED)
        self._ports.append(
            ports.api_server_port(
                credentials.server,
                credentials.server_name,
                anchors,
                is_checked=credentials.is_verified,
            )
        )
        return anchors

    async def _api_answers(self) -> bool:
        """Whether the API server can be asked; if not, nothing is asked again and again."""
        try:
            await self._reader.version()
        except ShipkeeperError as error:
            self._skip("everything that the API server tells", error.message, is_gap=True)
            return False
        return True

    async def _objects(self, anchors: tuple[Certificate, ...] | None) -> None:
        self._nodes = tuple(await self._try("nodes", self._list_nodes, ()))
        backends, *_ = await asyncio.gather(
            self._backends(),
            self._try("TLS Secrets", self._secrets, None),
            self._try("CertificateSigningRequests", self._requests, None),
            self._try("Service default/kubernetes", lambda: self._in_cluster(anchors), None),
        )
        for found in await asyncio.gather(*map(self._backend_ports, backends)):
            self._ports += found

    async def _list_nodes(self) -> list[Node]:
        return (await self._reader.list(NODES)).items

    async def _secrets(self) -> None:
        ingresses = await self._try("Ingresses", self._ingresses, None)
        by_type = f"type={kinds.TLS_TYPE}"
        found = (await self._reader.list(kinds.SECRETS, field_selector=by_type)).items
        hosts = tls_secrets.hosts_by_secret(ingresses or ())
        self._sightings += [tls_secrets.secret_sighting(each, hosts) for each in found]
        present = frozenset(each.key for each in found)
        self._found += tls_secrets.missing_secrets(ingresses or (), present)

    async def _ingresses(self) -> list[kinds.Ingress]:
        return (await self._reader.list(kinds.INGRESSES)).items

    async def _requests(self) -> None:
        found = (await self._reader.list(kinds.REQUESTS)).items
        self._sightings += [each for one in found if (each := signing.issued(one)) is not None]
        nodes = {each.name: each for each in self._nodes}
        self._found += signing.request_findings(found, nodes, datetime.now(UTC))

    async def _in_cluster(self, anchors: tuple[Certificate, ...] | None) -> None:
        service = await self._reader.get(kinds.SERVICES, "kubernetes", "default")
        try:
            endpoints = await self._reader.get(kinds.ENDPOINTS, "kubernetes", "default")
        except NotFoundError:
            return
        for subset in endpoints.subsets or ():
            addresses = [each.ip for each in subset.addresses or ()]
            for port in subset.ports or ():
                self._ports += ports.in_cluster_ports(
                    addresses, port.port, anchors, service.spec.cluster_ip
                )

    async def _backends(self) -> list[Backend]:
        found: list[Backend] = []
        for resource in kinds.WEBHOOKS:
            listed = await self._try(resource.kind, lambda r=resource: self._reader.list(r), None)
            for each in listed.items if listed else ():
                found += bundles.webhook_backends(resource.kind, each)
        definitions = await self._try(
            "CustomResourceDefinitions", lambda: self._reader.list(kinds.DEFINITIONS), None
        )
        for each in definitions.items if definitions else ():
            found += filter(None, (bundles.conversion_backend(each),))
        services = await self._try(
            "APIServices", lambda: self._reader.list(kinds.API_SERVICES), None
        )
        for each in services.items if services else ():
            found += filter(None, (bundles.service_backend(each),))
        self._found += bundles.unverified(services.items if services else ())
        self._sightings += [each.bundle for each in found if each.bundle is not None]
        return found

    async def _backend_ports(self, backend: Backend) -> list[Port]:
        """Where a backend listens: several places, if several pods do."""
        places = [(backend.address, backend.port)] if backend.address else []
        if backend.service is not None:
            places = await self._try(backend.target, lambda: self._places(backend), [])
        return [
            Port(
                role=backend.role,
                target=f"{backend.target} ({address}:{port})"
                if len(places) > 1
                else backend.target,
                address=address,
                port=port,
                sni=backend.name,
                names=(backend.name,),
                anchors=backend.anchors,
                is_checked=backend.is_checked,
                paths=ports.ANONYMOUS.get(backend.role, ("/",)),
            )
            for address, port in places
        ]

    async def _places(self, backend: Backend) -> list[tuple[str, int]]:
        """Where the API server would go: to an external name, or to the pods of the Service."""
        wanted = backend.service or kinds.ServiceReference()
        service = await self._reader.get(kinds.SERVICES, wanted.name, wanted.namespace)
        if service.spec.type == "ExternalName":
            return [(service.spec.external_name, backend.port)]
        name = next(
            (each.name for each in service.spec.ports or () if each.port == backend.port), None
        )
        endpoints = await self._reader.get(kinds.ENDPOINTS, wanted.name, wanted.namespace)
        found = [
            (address.ip, port.port)
            for subset in endpoints.subsets or ()
            for address in subset.addresses or ()
            for port in subset.ports or ()
            if port.name == (name or "")
        ]
        if not found:
            self._skip(backend.target, f"no pod is behind Service {wanted.namespace}/{wanted.name}")
        return found[:_BACKENDS]

    async def _hosts(self, host_of: HostOf | None, hosts: Sequence[Host]) -> None:
        wanted = {each.name: host_of(each) for each in self._nodes} if host_of else {}
        wanted |= {each.name: each for each in hosts}
        slots = asyncio.Semaphore(_HOSTS_AT_ONCE)

        async def look(name: str, host: Host) -> None:
            async with slots:
                await self._try(f"host {name}", lambda: self._host(name, host), None)

        await asyncio.gather(*(look(name, host) for name, host in wanted.items()))

    async def _host(self, name: str, host: Host) -> None:
        session = await self._stack.enter_async_context(host.session())
        look = await look_at_host(session, name)
        certificates = HostCertificates(look)
        self._sightings += certificates.sightings()
        self._found += certificates.stale_clients()
        self._found += certificates.shared_authorities()
        self._unchecked += certificates.unchecked()
        if abs(look.skew) > _SKEW_SECONDS:
            self._found.append(_host_skew(name, look.skew))
        self._kubelet_anchors = self._kubelet_anchors or certificates.kubelet_anchors()
        if isinstance(session, Tunnel):
            self._dials[name] = session.dial
            found = tuple(ports.host_ports(look, certificates))
            self._ports += found
            self._servings += certificates.servings(
                (each.role.value, each.target) for each in found if not each.marker
            )
            self._seen_hosts.add(name)

    def _node_ports(self, *, has_hosts: bool) -> None:
        """Kubelets are met directly; what listens on loopback only their hosts can tell."""
        for node in self._nodes:
            if node.name not in self._seen_hosts:
                self._ports += ports.kubelet_ports(node, self._kubelet_anchors)
        unseen = [each.name for each in self._nodes if each.is_control_plane]
        if unseen and not has_hosts:
            self._skip(
                f"hosts of the control plane ({', '.join(unseen)})",
                "files, etcd, controller manager and scheduler are looked at with --ssh alone",
            )

    async def _look_at_ports(self) -> tuple[tuple[Port, Presented], ...]:
        context = lenient_context()
        slots = asyncio.Semaphore(_AT_ONCE)

        async def look(port: Port) -> tuple[Port, Presented]:
            async with slots:
                dial = self._dials.get(port.host, dial_from_here)
                return port, await look_at(port, dial, context)

        found = await asyncio.gather(*map(look, _once_each(self._ports)))
        for port, presented in found:
            if not presented.is_open and not port.marker:
                self._skip(port.target, f"{port.place}: {presented.error}")
        return tuple(found)


def _in_kubeconfig(
    client: tuple[Certificate, ...], anchors: tuple[Certificate, ...]
) -> Iterable[Sighting]:
    if client:
        yield Sighting(
            kind=Kind.KUBECONFIG,
            target="this kubeconfig",
            purpose="client of the API server",
            chain=client,
            usages=(Usage.CLIENT,),
        )
    if anchors:
        yield Sighting(
            kind=Kind.BUNDLE,
            target="this kubeconfig (authority)",
            purpose="authority of the API server",
            chain=anchors,
            is_bundle=True,
        )


def _once_each(found: Iterable[Port]) -> Iterable[Port]:
    """The same port in the same role is looked at once, for all names that are known of it."""
    merged: dict[tuple[str, str, str, int], Port] = {}
    for port in found:
        key = (port.target, port.host, port.address, port.port)
        known = merged.get(key)
        if known is not None:
            names = tuple(dict.fromkeys((*known.names, *port.names)))
            merged[key] = msgspec.structs.replace(known, names=names)
        else:
            merged[key] = port
    return merged.values()


def _certificates(pem: bytes) -> tuple[Certificate, ...]:
    try:
        return parse_pem(pem) if pem else ()
    except UnreadableError:
        # A connection with it could not have been opened.
        return ()


def _host_skew(name: str, skew: float) -> Finding:
    ahead = "ahead of" if skew > 0 else "behind"
    return Finding(
        rule="ClockSkew",
        severity=Severity.MEDIUM,
        target=f"host {name}",
        message=f"its clock is {abs(skew):.0f} s {ahead} ours",
        evidence=("its own date",),
        remedy="have its clock set by NTP: new certificates are not valid yet where it lags",
    )
