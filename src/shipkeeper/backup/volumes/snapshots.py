"""Snapshots that CSI drivers keep: asked for, waited for, and made known to a cluster again."""

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from shipkeeper.backup.volumes.programs import VolumeError
from shipkeeper.backup.volumes.record import BACKUP_LABEL, SavedSnapshot, Volume
from shipkeeper.backup.volumes.world import SNAPSHOT_GROUP
from shipkeeper.kube.errors import ConflictError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import Resource
from shipkeeper.kube.writer import Writer
from shipkeeper.model.meta import KubeObject

_POLL_SECONDS = 0.5


class _Snapshot(KubeObject, frozen=True, kw_only=True):
    status: dict[str, Any] = {}


class _Content(KubeObject, frozen=True, kw_only=True):
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}


class Snapshots:
    """Makes VolumeSnapshots in one version of their API; timeout in seconds."""

    def __init__(self, reader: Reader, writer: Writer, version: str, timeout: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout = timeout
        self._snapshots = Resource(
            SNAPSHOT_GROUP, version, "volumesnapshots", "VolumeSnapshot", _Snapshot
        )
        self._contents = Resource(
            SNAPSHOT_GROUP,
            version,
            "volumesnapshotcontents",
            "VolumeSnapshotContent",
            _Content,
            False,
        )

    async def take(self, volume: Volume, class_: str, backup: str) -> SavedSnapshot:
        """Ask for a snapshot of a claim and wait until it can be used; VolumeError."""
        name = snapshot_name(volume.id, backup)
        spec = {
            "volumeSnapshotClassName": class_,
            "source": {"persistentVolumeClaimName": volume.claim},
        }
        manifest = self._manifest(self._snapshots, name, volume.namespace, backup, spec)
        # One that is there is of an attempt whose answer got lost.
        with suppress(ConflictError):
            await self._writer.create(self._snapshots, manifest, namespace=volume.namespace)
        ready = await self._await_ready(name, volume.namespace)
        bound = ready.status.get("boundVolumeSnapshotContentName", "")
        content = await self._reader.get(self._contents, bound)
        return SavedSnapshot(
            namespace=volume.namespace,
            name=name,
            driver=volume.driver,
            handle=str(content.status.get("snapshotHandle", "")),
            snapshot_class=class_,
            restore_size=str(ready.status.get("restoreSize", "")),
        )

    async def provide(self, saved: SavedSnapshot, namespace: str, backup: str) -> str:
        """Have a usable VolumeSnapshot of what a driver kept in a namespace; its name."""
        name = f"{saved.name}-restored"
        content = f"{name}-{hashlib.sha256(namespace.encode()).hexdigest()[:8]}"
        content_spec = {
            # What a restore makes known must not take the snapshot away when it goes.
            "deletionPolicy": "Retain",
            "driver": saved.driver,
            "source": {"snapshotHandle": saved.handle},
            "volumeSnapshotRef": {"name": name, "namespace": namespace},
            **({"volumeSnapshotClassName": saved.snapshot_class} if saved.snapshot_class else {}),
        }
        spec = {
            "source": {"volumeSnapshotContentName": content},
            **({"volumeSnapshotClassName": saved.snapshot_class} if saved.snapshot_class else {}),
        }
        for resource, made in (
            (self._contents, self._manifest(self._contents, content, "", backup, content_spec)),
            (self._snapshots, self._manifest(self._snapshots, name, namespace, backup, spec)),
        ):
            place = made["metadata"].get("namespace", "")
            with suppress(ConflictError):
                await self._writer.create(resource, made, namespace=place)
        await self._await_ready(name, namespace)
        return name

    async def _await_ready(self, name: str, namespace: str) -> _Snapshot:
        trouble = "nobody has begun with it: is the snapshot controller running?"
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    found = await self._reader.get(self._snapshots, name, namespace)
                    if found.status.get("readyToUse"):
                        return found
                    said: Mapping[str, Any] = found.status.get("error") or {}
                    trouble = str(said.get("message") or ("not ready" if found.status else trouble))
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise VolumeError(
                f"snapshot {namespace}/{name} is not ready after {self._timeout:g} s: {trouble}",
                reason="SnapshotNotReady",
                hint=f"kubectl -n {namespace} describe volumesnapshot {name}",
            ) from error

    def _manifest(
        self,
        resource: Resource[Any],
        name: str,
        namespace: str,
        backup: str,
        spec: dict[str, Any],
    ) -> dict[str, Any]:
        metadata: dict[str, Any] = {"name": name, "labels": {BACKUP_LABEL: backup}}
        if namespace:
            metadata["namespace"] = namespace
        return {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
            "spec": spec,
        }


def snapshot_name(volume: str, backup: str) -> str:
    """The one name that a volume's snapshot of a backup can have."""
    return f"shipkeeper-{backup}-{hashlib.sha256(volume.encode()).hexdigest()[:8]}"


def data_source(claim: dict[str, Any], snapshot: str) -> dict[str, Any]:
    """A claim that is filled from a snapshot when it is made."""
    spec = {key: value for key, value in claim["spec"].items() if key != "volumeName"}
    source = {"apiGroup": SNAPSHOT_GROUP, "kind": "VolumeSnapshot", "name": snapshot}
    spec = {key: value for key, value in spec.items() if key != "dataSourceRef"}
    return {**claim, "spec": {**spec, "dataSource": source}}
