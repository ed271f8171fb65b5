"""A policy put together from objects, wherever they were read. Pure."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

import msgspec

from shipkeeper.access import kinds
from shipkeeper.access.authorizers import ChainConfig, chain_of_pod, from_modes
from shipkeeper.access.kinds import EVERY_KIND, PolicyKind
from shipkeeper.access.policy import AUTHORIZERS, NEWEST, Policy, Unread
from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.model.loose import LooseObject
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.rbac import Binding, Role
from shipkeeper.model.version import Version

Manifest = dict[str, Any]
_CONTAINERS = frozenset({"initContainers", "containers", "ephemeralContainers"})
# All of a pod that anybody here asks for, and of its containers what nobody does.
_OF_STATUS = ("resourceClaimStatuses", "extendedResourceClaimStatus")
_OF_SPEC = _CONTAINERS | {
    "automountServiceAccountToken",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "imagePullSecrets",
    "nodeName",
    "resourceClaims",
    "securityContext",
    "serviceAccountName",
    "volumes",
}
_NOT_OF_CONTAINERS = frozenset(
    {"livenessProbe", "readinessProbe", "resources", "startupProbe", "volumeMounts"}
)


class _Pod(LooseObject, frozen=True, kw_only=True):
    """A pod without what nobody asks for; what is equal in many pods is there once.

    A large cluster has tens of thousands of pods, and those of one workload are nearly the same.
    """

    def __post_init__(self) -> None:
        status = {key: self.status[key] for key in _OF_STATUS if key in self.status}
        spec = {key: _thin(key, value) for key, value in self.spec.items() if key in _OF_SPEC}
        msgspec.structs.force_setattr(self, "status", status)
        msgspec.structs.force_setattr(self, "spec", spec)
        for field in ("labels", "annotations"):
            shared = _shared(getattr(self.metadata, field))
            msgspec.structs.force_setattr(self.metadata, field, shared)


def _thin(key: str, value: Any) -> Any:
    """A part of a pod's spec."""
    if key in _CONTAINERS and isinstance(value, list):
        return _shared([_container(each) for each in cast("list[Any]", value)])
    if key == "volumes" and isinstance(value, list):
        # Their names differ from pod to pod.
        return [_with_shared(each) for each in cast("list[Any]", value)]
    return _shared(value)


def _container(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    found = cast("dict[str, Any]", part)
    return {key: value for key, value in found.items() if key not in _NOT_OF_CONTAINERS}


def _with_shared(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {key: _shared(value) for key, value in cast("dict[str, Any]", part).items()}


def _shared(value: Any) -> Any:
    """A value; equal ones are the same object, which nobody may change."""
    if not isinstance(value, dict | list):
        return value
    try:
        # Not JSON, which has neither numbers for keys nor one that is none.
        return _decoded(msgspec.msgpack.encode(cast("object", value)))
    except (TypeError, OverflowError, RecursionError):
        # YAML can say more: numbers without end, what contains itself.
        return cast("object", value)


@lru_cache(maxsize=1024)
def _decoded(text: bytes) -> Any:
    return msgspec.msgpack.decode(text)


_TYPES: dict[str, type[KubeObject]] = {
    "Role": Role,
    "ClusterRole": Role,
    "RoleBinding": Binding,
    "ClusterRoleBinding": Binding,
    "Pod": _Pod,
}
_BY_KIND = {(each.group, each.kind): each for each in EVERY_KIND}
_USUAL = ("Node", "RBAC")
_ASSUMED = "Node,RBAC is assumed"
_API_SERVER_LABEL = ("component", "kube-apiserver")


class BadManifestError(UsageError):
    """An object that authorization would look at makes no sense."""


def type_of(kind: PolicyKind) -> type[KubeObject]:
    """What objects of a kind are decoded to."""
    return _TYPES.get(kind.kind, LooseObject)


def kind_of(manifest: Manifest) -> PolicyKind | None:
    """The kind of a manifest, None for one that has no say."""
    group, slash, _ = str(manifest.get("apiVersion", "")).partition("/")
    return _BY_KIND.get((group if slash else "", str(manifest.get("kind", ""))))


def from_manifests(
    manifests: Iterable[Manifest],
    *,
    source: str,
    version: Version = NEWEST,
    unread: tuple[Unread, ...] = (),
) -> Policy:
    """The policy that manifests make; others than those with a say are passed over."""
    found: dict[PolicyKind, list[KubeObject]] = {}
    for manifest in manifests:
        kind = kind_of(manifest)
        if kind is not None:
            found.setdefault(kind, []).append(_decode(manifest, kind, source))
    return assemble(found, source=source, version=version, unread=unread)


def _decode(manifest: Manifest, kind: PolicyKind, source: str) -> KubeObject:
    try:
        return msgspec.convert(manifest, type=type_of(kind))
    except msgspec.ValidationError as error:
        name = _name_of(manifest)
        raise BadManifestError(
            f"{kind.kind} {name} of {source} makes no sense: {error}",
            reason="BadManifest",
            hint="an API server would not have taken it; mend it",
        ) from error


def _name_of(manifest: Manifest) -> str:
    try:
        return str(manifest["metadata"]["name"])
    except (KeyError, TypeError):
        return "without a name"


def assemble(
    found: Mapping[PolicyKind, Iterable[Any]],
    *,
    source: str,
    version: Version,
    unread: tuple[Unread, ...] = (),
) -> Policy:
    """The policy that objects by kind make; the chain is that of a visible API server's pod."""

    def of(*wanted: PolicyKind) -> tuple[Any, ...]:
        return tuple(each for kind in wanted for each in found.get(kind, ()))

    pods: tuple[LooseObject, ...] = of(kinds.POD)
    chain, why_not = _visible_chain(pods)
    lacking = (Unread(what=AUTHORIZERS, why=why_not),) if why_not else ()
    return Policy(
        source=source,
        version=version,
        chain=chain or from_modes(_USUAL),
        is_chain_known=chain is not None,
        roles=of(kinds.ROLE, kinds.CLUSTER_ROLE),
        bindings=of(kinds.ROLE_BINDING, kinds.CLUSTER_ROLE_BINDING),
        pods=pods,
        volumes=of(kinds.VOLUME),
        attachments=of(kinds.ATTACHMENT),
        resource_slices=of(kinds.SLICE),
        certificate_requests=of(kinds.CERTIFICATE_REQUEST),
        kinds={kind.kind: of(kind) for kind in kinds.AUDIT_KINDS},
        unread=(*unread, *lacking),
    )


def with_unread(policy: Policy, kinds: Iterable[PolicyKind], why: str) -> Policy:
    """The policy, with kinds of which there may be more than it has."""
    unread = (Unread(what=each.kind, why=why) for each in kinds)
    return msgspec.structs.replace(policy, unread=(*policy.unread, *unread))


def with_hosts(policy: Policy, pods: Iterable[Manifest], files: Mapping[str, str]) -> Policy:
    """The policy with the static pods of hosts, and the chain that the API server's files give.

    Where these do not give one, because its file may not be read say, it stays as it was.
    """
    of_hosts = [_static_pod(pod) for pod in pods if kind_of(pod) is kinds.POD]
    added = tuple(pod for pod in of_hosts if pod is not None)
    servers = api_server_pods(added)
    known = msgspec.structs.replace(policy, pods=(*policy.pods, *added))
    if not servers:
        return known
    try:
        return with_known_chain(known, chain_of_pod(servers[0].spec, files))
    except ShipkeeperError as error:
        return known if known.is_chain_known else _with_guessed_chain(known, error.message)


def with_known_chain(policy: Policy, chain: ChainConfig) -> Policy:
    """The policy with authorizers that need not be guessed any more."""
    unread = tuple(each for each in policy.unread if each.what != AUTHORIZERS)
    return msgspec.structs.replace(policy, chain=chain, is_chain_known=True, unread=unread)


def _with_guessed_chain(policy: Policy, why: str) -> Policy:
    others = (each for each in policy.unread if each.what != AUTHORIZERS)
    guessed = Unread(what=AUTHORIZERS, why=f"{why}; {_ASSUMED}", is_failure=True)
    return msgspec.structs.replace(policy, unread=(*others, guessed))


def _static_pod(manifest: Manifest) -> LooseObject | None:
    try:
        pod = msgspec.convert(manifest, type=_Pod)
    except msgspec.ValidationError:
        # No kubelet runs it.
        return None
    metadata = msgspec.structs.replace(pod.metadata, namespace="kube-system")
    return msgspec.structs.replace(pod, metadata=metadata)


def api_server_pods(pods: Iterable[LooseObject]) -> list[LooseObject]:
    """The API servers that run as (mirrored) pods."""
    key, value = _API_SERVER_LABEL
    return [
        pod
        for pod in pods
        if pod.namespace == "kube-system" and pod.metadata.labels.get(key) == value
    ]


def _visible_chain(pods: Iterable[LooseObject]) -> tuple[ChainConfig | None, str]:
    servers = api_server_pods(pods)
    if not servers:
        return None, f"no API server is visible as a pod; {_ASSUMED}"
    try:
        return chain_of_pod(servers[0].spec, {}), ""
    except ShipkeeperError as error:
        return None, f"{error.message}; {_ASSUMED}"
