"""Requests for certificates: what was issued, and whether a kubelet may have what it asks for.

Pure. The rules are those of the signer kubernetes.io/kubelet-serving, and one more: every name and
address must be one that the Node object has.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import msgspec
from cryptography import x509

from shipkeeper.access.certs.certificate import UnreadableError, Usage, parse_pem
from shipkeeper.access.certs.kinds import CertificateRequest
from shipkeeper.access.certs.survey import Kind, Sighting
from shipkeeper.engine.finding import Finding, Severity
from shipkeeper.model.node import Node

KUBELET_SERVING = "kubernetes.io/kubelet-serving"
_NODE_PREFIX = "system:node:"
_NODES_GROUP = "system:nodes"
_USAGES = frozenset({"digital signature", "key encipherment", "server auth"})
_IN_CLUSTER = re.compile(r"kubernetes(\..*)?|.*\.svc(\..*)?|localhost|127\..*|::1")
_PATIENCE = timedelta(minutes=5)


class Vetted(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a kubelet for a serving certificate, and all that forbids to approve it."""

    name: str
    node: str
    names: tuple[str, ...]
    obstacles: tuple[str, ...]


def vet(request: CertificateRequest, nodes: Mapping[str, Node]) -> Vetted:
    """Hold a request of signer kubelet-serving against the Node it is for."""
    user = request.spec.username
    node = user.removeprefix(_NODE_PREFIX) if user.startswith(_NODE_PREFIX) else ""
    names, obstacles = _asked(request, user, nodes.get(node))
    # A Node's addresses are what its own kubelet reports: those of others it must not claim.
    others = [each for each in nodes.values() if each.name != node]
    return Vetted(
        name=request.name,
        node=node,
        names=names,
        obstacles=(*_requester(request, node, nodes), *obstacles, *_claimed(names, others)),
    )


def _claimed(names: Iterable[str], others: Iterable[Node]) -> Iterator[str]:
    owners = {
        name: each.name
        for each in others
        for name in (each.name, *(one.address for one in each.status.addresses))
    }
    for each in names:
        if each in owners:
            yield f"{each} is Node {owners[each]}, too"
        elif _IN_CLUSTER.fullmatch(each.lower().rstrip(".")):
            yield f"{each} is a name of the API server's or another Service's"


def _requester(request: CertificateRequest, node: str, nodes: Mapping[str, Node]) -> Iterator[str]:
    if not node:
        yield f"{request.spec.username or 'nobody'} asks for it, who is no node"
    elif node not in nodes:
        yield f"there is no Node {node}"
    if _NODES_GROUP not in (request.spec.groups or ()):
        yield f"who asks is not in the group {_NODES_GROUP}"
    usages = set(request.spec.usages or ())
    if "server auth" not in usages or usages - _USAGES:
        yield f"its usages are {', '.join(sorted(usages)) or 'none'}, not those of a server"


def _asked(
    request: CertificateRequest, user: str, node: Node | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names asked for, and what is wrong with them."""
    try:
        found = x509.load_pem_x509_csr(request.spec.request)
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        is_signed = found.is_signature_valid
    except x509.ExtensionNotFound:
        return (), ("it names neither a DNS name nor an address",)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return (), (f"it cannot be read: {error}",)
    san = extension.value
    dns_names = tuple(san.get_values_for_type(x509.DNSName))
    addresses = tuple(map(str, san.get_values_for_type(x509.IPAddress)))
    obstacles = [*_subject(found.subject, user)]
    if not is_signed:
        obstacles.append("it is not signed by its own key")
    if len(dns_names) + len(addresses) < len(list(san)):
        obstacles.append("it names an e-mail address, a URI or another kind of name")
    if node is not None:
        obstacles += _foreign(dns_names, addresses, node)
    return (*dns_names, *addresses), tuple(obstacles)


def _subject(subject: x509.Name, user: str) -> Iterator[str]:
    names = [each.value for each in subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    groups = [each.value for each in subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)]
    if names != [user]:
        yield f"its common name is {', '.join(map(str, names)) or 'empty'}, not {user}"
    if groups != [_NODES_GROUP]:
        yield f"its organization is {', '.join(map(str, groups)) or 'empty'}, not {_NODES_GROUP}"


def _foreign(dns_names: Iterable[str], addresses: Iterable[str], node: Node) -> Iterator[str]:
    own = {each.address for each in node.status.addresses} | {node.name}
    for each in (*dns_names, *addresses):
        if each not in own:
            yield f"{each} is not an address of Node {node.name}"


def issued(request: CertificateRequest) -> Sighting | None:
    """The certificate that a request was answered with, None if it was not."""
    if not request.status.certificate:
        return None
    is_server = "server auth" in (request.spec.usages or ())
    sighting = Sighting(
        kind=Kind.REQUEST,
        target=f"CertificateSigningRequest {request.name}",
        purpose=f"issued to {request.spec.username}",
        usages=(Usage.SERVER,) if is_server else (),
        # Who got it may have got another one since: that it ends is no finding.
        is_used=False,
    )
    try:
        return msgspec.structs.replace(sighting, chain=parse_pem(request.status.certificate))
    except UnreadableError as error:
        return msgspec.structs.replace(sighting, problem=str(error))


def request_findings(
    requests: Iterable[CertificateRequest], nodes: Mapping[str, Node], now: datetime
) -> Iterator[Finding]:
    """Requests of kubelets that are forged, or that nobody has answered for a while."""
    for each in requests:
        if each.spec.signer_name != KUBELET_SERVING or not each.is_pending:
            continue
        vetted = vet(each, nodes)
        target = f"CertificateSigningRequest {each.name}"
        if vetted.obstacles:
            yield Finding(
                rule="RequestForged",
                severity=Severity.HIGH,
                target=target,
                message=f"{each.spec.username} asks for a serving certificate it must not have",
                evidence=vetted.obstacles,
                remedy=f"kubectl certificate deny {each.name}; find out who sent it",
            )
        elif each.created and now - each.created > _PATIENCE:
            yield Finding(
                rule="RequestPending",
                severity=Severity.MEDIUM,
                target=target,
                message=f"the kubelet of {vetted.node} waits for its serving certificate",
                evidence=(f"since {each.created.isoformat(timespec='seconds')}",),
                remedy="shipkeeper certs approve, which looks at every name first",
            )
