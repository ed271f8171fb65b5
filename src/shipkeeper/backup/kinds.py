"""Kinds of objects as discovery names them, and which of them a server serves in which version."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from shipkeeper.backup.manifest import Manifest
from shipkeeper.kube.resources import Resource
from shipkeeper.model.meta import KubeObject

GroupKind: TypeAlias = tuple[str, str]
"""API group (empty for core) and kind."""


class Kind(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One kind in one version; `plural` is its name in URLs, `singular` may be empty."""

    group: str = ""
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """kubectl's full name of it: `configmaps`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its manifests."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_kind(self) -> GroupKind:
        """What it is, whichever the version."""
        return (self.group, self.kind)

    @property
    def resource(self) -> Resource[KubeObject]:
        """The same for readers and writers."""
        return Resource(
            self.group, self.version, self.plural, self.kind, KubeObject, self.namespaced
        )

    def is_called(self, word: str) -> bool:
        """Whether kubectl would take a word for it: plural, singular, short name, kind, group."""
        name, _, group = word.lower().partition(".")
        if group and group != self.group:
            return False
        return name in (self.plural, self.singular, self.kind.lower(), *self.short_names)


class Served:
    """Every kind that a server serves, in every version, in order of preference."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.kinds = tuple(kinds)
        self._by_name = {(kind.api_version, kind.kind): kind for kind in self.kinds}
        self._by_group_kind: dict[GroupKind, list[Kind]] = {}
        for kind in self.kinds:
            self._by_group_kind.setdefault(kind.group_kind, []).append(kind)

    @property
    def preferred(self) -> tuple[Kind, ...]:
        """Each kind in the version that the server prefers."""
        return tuple(versions[0] for versions in self._by_group_kind.values())

    def find(self, api_version: str, kind: str) -> Kind | None:
        """A kind in just this version, if it is served."""
        return self._by_name.get((api_version, kind))

    def versions(self, group_kind: GroupKind) -> tuple[Kind, ...]:
        """The versions of a kind, the preferred first."""
        return tuple(self._by_group_kind.get(group_kind, ()))

    def with_kinds(self, kinds: Iterable[Kind]) -> "Served":
        """The same and further kinds, as they will be served once their definitions are there."""
        new = (kind for kind in kinds if self.find(kind.api_version, kind.kind) is None)
        return Served((*self.kinds, *new))


# Kinds that several groups show, each from the same storage: (what is left out, in favour of).
_TWINS = (
    (("", "Event"), ("events.k8s.io", "Event")),
    (("extensions", "Ingress"), ("networking.k8s.io", "Ingress")),
    (("extensions", "NetworkPolicy"), ("networking.k8s.io", "NetworkPolicy")),
    (("extensions", "PodSecurityPolicy"), ("policy", "PodSecurityPolicy")),
    (("extensions", "Deployment"), ("apps", "Deployment")),
    (("extensions", "DaemonSet"), ("apps", "DaemonSet")),
    (("extensions", "ReplicaSet"), ("apps", "ReplicaSet")),
)


def kinds_to_take(served: Served) -> tuple[Kind, ...]:
    """What a backup takes: all that can be listed and created, each storage once."""
    present = {kind.group_kind for kind in served.preferred}
    twins = {twin for twin, of in _TWINS if twin in present and of in present}
    return tuple(
        kind
        for kind in served.preferred
        if {"list", "create"} <= set(kind.verbs) and kind.group_kind not in twins
    )


def defined_kinds(definition: Manifest) -> Iterator[Kind]:
    """The kinds that a CustomResourceDefinition (v1) will bring, the storage version first."""
    spec = definition["spec"]
    names = spec["names"]
    versions = [each for each in spec["versions"] if each.get("served")]
    for version in sorted(versions, key=lambda each: not each.get("storage")):
        yield Kind(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            singular=names.get("singular", ""),
            short_names=tuple(names.get("shortNames", ())),
            verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        )
