"""Metadata that every Kubernetes object carries."""

from datetime import datetime

import msgspec

from shipkeeper.model.base import KubeStruct, share


class OwnerReference(KubeStruct, frozen=True, kw_only=True):
    """Who owns an object; at most one owner is its controller."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None


class ObjectMeta(KubeStruct, frozen=True, kw_only=True):
    """Name, identity and life of an object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Share what the objects of one owner have in common."""
        share(self, "owner_references")
        share(self, "namespace")

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that manages this object, if one does."""
        return next((owner for owner in self.owner_references if owner.controller), None)

    @property
    def key(self) -> str:
        """`namespace/name`, or the bare name of a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class KubeObject(KubeStruct, frozen=True, kw_only=True):
    """Anything with metadata."""

    metadata: ObjectMeta

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace, empty when it is cluster-scoped."""
        return self.metadata.namespace

    @property
    def uid(self) -> str:
        """The identity that no later object of the same name shares."""
        return self.metadata.uid

    @property
    def key(self) -> str:
        """`namespace/name`, or the bare name of a cluster-scoped object."""
        return self.metadata.key


class Condition(KubeStruct, frozen=True, kw_only=True):
    """One observed aspect of an object's state; status is True, False or Unknown."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    last_heartbeat_time: datetime | None = None

    def __post_init__(self) -> None:
        """Share the few words that there are."""
        share(self, "type")
        share(self, "status")


def condition(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    """The condition of one type, or None."""
    return next((each for each in conditions if each.type == type_), None)


class ListMeta(KubeStruct, frozen=True, kw_only=True):
    """Where a list stands: its revision, and the token of its next page."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
