"""What of a cluster tells which volumes it has and where they are."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from shipkeeper.backup.selection import Selection
from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import ForbiddenError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES, PERSISTENT_VOLUME_CLAIMS, Resource
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.node import Node
from shipkeeper.model.storage import PersistentVolumeClaim

# What comes out of objects, or out of an image, and is made anew for each pod.
NO_DATA = frozenset({"configMap", "secret", "downwardAPI", "projected", "image"})


def source_type(volume: Mapping[str, Any]) -> str:
    """What a volume of a pod is made of."""
    return next((key for key in volume if key != "name"), "emptyDir")


class ContainerName(KubeStruct, frozen=True, kw_only=True):
    """A container, as far as something is to be run in it."""

    name: str = ""


class UsingSpec(KubeStruct, frozen=True, kw_only=True):
    """Where a pod is, and its volumes as they are."""

    node_name: str = ""
    volumes: tuple[dict[str, Any], ...] = ()
    containers: tuple[ContainerName, ...] = ()


class UsingStatus(KubeStruct, frozen=True, kw_only=True):
    """Whether it runs."""

    phase: str = ""


class UsingPod(KubeObject, frozen=True, kw_only=True):
    """A pod as a user of volumes."""

    spec: UsingSpec = UsingSpec()
    status: UsingStatus = UsingStatus()

    @property
    def runs(self) -> bool:
        """Whether its volumes are mounted on its node."""
        return self.status.phase == "Running" and self.metadata.deletion_timestamp is None

    @property
    def has_data(self) -> bool:
        """Whether any of its volumes may hold data of its own."""
        return any(source_type(each) not in NO_DATA for each in self.spec.volumes)

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims of its volumes, in its own namespace."""
        return tuple(
            each["persistentVolumeClaim"]["claimName"]
            if "persistentVolumeClaim" in each
            else f"{self.name}-{each['name']}"
            for each in self.spec.volumes
            if "persistentVolumeClaim" in each or "ephemeral" in each
        )


class KeptVolume(KubeObject, frozen=True, kw_only=True):
    """A PersistentVolume with its whole spec, whatever its type."""

    spec: dict[str, Any] = {}


class SnapshotClass(KubeObject, frozen=True, kw_only=True):
    """How snapshots of a CSI driver are made."""

    driver: str
    deletion_policy: str = "Delete"

    @property
    def is_default(self) -> bool:
        """Whether it is its driver's own."""
        key = "snapshot.storage.kubernetes.io/is-default-class"
        return self.metadata.annotations.get(key) == "true"


PODS = Resource("", "v1", "pods", "Pod", UsingPod)
VOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", KeptVolume, False)
SNAPSHOT_GROUP = "snapshot.storage.k8s.io"
SNAPSHOT_VERSIONS = ("v1", "v1beta1")


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Pods that have data, claims, volumes and nodes; `snapshot_classes` are by driver.

    `denied` are kinds that may not be read, `snapshot_version` is the version of the snapshot API
    that is served, empty for none.
    """

    pods: Sequence[UsingPod] = ()
    claims: Sequence[PersistentVolumeClaim] = ()
    volumes: Mapping[str, KeptVolume] = {}
    nodes: Sequence[Node] = ()
    snapshot_classes: Mapping[str, str] = {}
    snapshot_version: str = ""
    denied: tuple[str, ...] = ()


T = TypeVar("T", bound=KubeObject)


class _Observer:
    def __init__(self, connection: Requests) -> None:
        self._reader = Reader(connection)
        self.denied: list[str] = []

    async def those(
        self,
        resource: Resource[T],
        namespaces: Sequence[str],
        keep: Callable[[T], bool] | None = None,
    ) -> list[T]:
        """Everything in some namespaces, or all; nothing where it may not be listed."""
        found: list[T] = []
        for namespace in namespaces or ("",):
            try:
                listed = await self._reader.list(resource, namespace=namespace, keep=keep)
            except ForbiddenError:
                self.denied.append(resource.plural)
            except NotFoundError:
                continue
            else:
                found += listed.items
        return found

    async def snapshot_classes(self) -> tuple[str, list[SnapshotClass]]:
        """The version of the snapshot API that is served, and the classes."""
        for version in SNAPSHOT_VERSIONS:
            try:
                await self._reader.connection.send("GET", f"/apis/{SNAPSHOT_GROUP}/{version}")
            except (NotFoundError, ForbiddenError):
                continue
            plural = "volumesnapshotclasses"
            resource = Resource(
                SNAPSHOT_GROUP, version, plural, "VolumeSnapshotClass", SnapshotClass, False
            )
            return version, await self.those(resource, ())
        return "", []


async def observe(connection: Requests, selection: Selection) -> World:
    """Read what there is, in the namespaces that are chosen."""
    observer = _Observer(connection)
    places = selection.namespaces
    pods, claims, volumes, nodes, (version, classes) = await asyncio.gather(
        observer.those(PODS, places, lambda pod: pod.has_data),
        observer.those(PERSISTENT_VOLUME_CLAIMS, places),
        observer.those(VOLUMES, ()),
        observer.those(NODES, ()),
        observer.snapshot_classes(),
    )
    # The last one wins: a driver's default class.
    ordered = sorted(classes, key=lambda each: (each.is_default, each.name))
    return World(
        pods=pods,
        claims=claims,
        volumes={each.name: each for each in volumes},
        nodes=nodes,
        snapshot_classes={each.driver: each.name for each in ordered},
        snapshot_version=version,
        denied=tuple(observer.denied),
    )
