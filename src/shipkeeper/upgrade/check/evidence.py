"""What a check goes by: everything that was observed, as frozen values; pure."""

from datetime import datetime
from enum import StrEnum

import msgspec

from shipkeeper.engine.finding import Unchecked
from shipkeeper.engine.verdict import Verdict
from shipkeeper.model.node import Node
from shipkeeper.upgrade.versions import ClusterVersions


class Seen(StrEnum):
    """How the use of an API was seen."""

    STORED = "stored"
    FIELDS = "managedFields"
    APPLIED = "last-applied"
    MANIFEST = "manifest"
    HELM = "helm"


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One sign that an API version is used.

    `target` is `Kind namespace/name`; `who` the client, the release or the file; `at` when, and
    `place` where (`path:line`), as far as that is known.
    """

    seen: Seen
    api_version: str
    kind: str
    target: str
    who: str = ""
    at: datetime | None = None
    place: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An API version that was asked for since the API server started, by its metric."""

    group: str
    version: str
    resource: str
    subresource: str = ""
    removed: int = 0


class ProgramArguments(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of a component, or its settings by another way; `target` says whose."""

    target: str
    component: str
    flags: dict[str, str] = {}
    gates: dict[str, bool] = {}
    source: str = ""


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook that fails closed, as far as it concerns the control plane.

    `catches_system` tells that it is called for pods of kube-system, `catches_nodes` for nodes or
    leases; `down` says why its backend cannot answer, empty if it may; `backend_pods` is how many
    addresses answer for its Service, None where it is no Service of the cluster.
    """

    target: str
    name: str
    catches_system: bool
    catches_nodes: bool
    down: str = ""
    backend_pods: int | None = None


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A CustomResourceDefinition: its versions, whether served, and what is stored."""

    name: str
    served: dict[str, bool]
    storage: str
    stored: tuple[str, ...]
    hook_down: str = ""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """An aggregated API that does not answer."""

    name: str
    message: str


class PodTrait(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the spec of a pod, or of a workload's template, that ends with a minor."""

    target: str
    trait: str
    where: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate and when it ends."""

    name: str
    ends: datetime


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was observed; `unchecked` is what was not.

    `asked` is None if the metric could not be read; `preferred` are the versions that the server
    prefers of its groups, which its own controllers use; `served` all that it serves (apiVersion
    and kind) with the plural.
    """

    versions: ClusterVersions
    nodes: tuple[Node, ...] = ()
    uses: tuple[Use, ...] = ()
    asked: tuple[Asked, ...] | None = None
    preferred: frozenset[tuple[str, str]] = frozenset()
    served: dict[tuple[str, str], str] = {}
    programs: tuple[ProgramArguments, ...] = ()
    kubeadm_config: str = ""
    hooks: tuple[Hook, ...] = ()
    definitions: tuple[Definition, ...] = ()
    services: tuple[Service, ...] = ()
    traits: tuple[PodTrait, ...] = ()
    obstacles: tuple[tuple[str, Verdict], ...] = ()
    certificates: tuple[Certificate, ...] = ()
    backup_at: datetime | None = None
    unchecked: tuple[Unchecked, ...] = ()
