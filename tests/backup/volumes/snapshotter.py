"""Volume snapshots of a driver that does not exist: the snapshot controller is played."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from shipkeeper.backup.volumes.world import SnapshotClass
from shipkeeper.kube.errors import ApiError, ConflictError
from shipkeeper.kube.resources import Resource
from shipkeeper.model.meta import KubeObject
from tests.nodes.world import World

GROUP = "snapshot.storage.k8s.io"
DRIVER = "played.csi.example.com"
CLASSES = Resource(
    GROUP, "v1", "volumesnapshotclasses", "VolumeSnapshotClass", SnapshotClass, False
)
SNAPSHOTS = Resource(GROUP, "v1", "volumesnapshots", "VolumeSnapshot", KubeObject)
CONTENTS = Resource(
    GROUP, "v1", "volumesnapshotcontents", "VolumeSnapshotContent", KubeObject, False
)
_DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    KubeObject,
    False,
)


class Snapshotter:
    """What the snapshot controller and a driver do; told to, it leaves snapshots undone."""

    def __init__(self, world: World) -> None:
        self.works = True
        self._world = world

    async def define(self) -> None:
        """Have the kinds, and a class of the driver."""
        for resource in (CLASSES, SNAPSHOTS, CONTENTS):
            with suppress(ConflictError):
                await self._world.writer.create(_DEFINITIONS, _definition(resource))
        manifest = {
            "apiVersion": f"{GROUP}/v1",
            "kind": CLASSES.kind,
            "metadata": {"name": "played"},
            "driver": DRIVER,
            "deletionPolicy": "Delete",
        }
        async with asyncio.timeout(60):
            while True:
                try:
                    await self._world.writer.create(CLASSES, manifest)
                except ConflictError:
                    return
                except ApiError:
                    await asyncio.sleep(0.1)
                else:
                    return

    async def remove(self) -> None:
        """Have the cluster know nothing of snapshots again."""
        for resource in (CLASSES, SNAPSHOTS, CONTENTS):
            await self._world.writer.delete(_DEFINITIONS, f"{resource.plural}.{GROUP}")

    async def run(self) -> None:
        """Make snapshots until cancelled."""
        while True:
            if self.works:
                with suppress(ApiError):
                    await self._round()
            await asyncio.sleep(0.1)

    async def _round(self) -> None:
        for found in (await self._world.reader.list(SNAPSHOTS, namespace=self._world.name)).items:
            snapshot = await self._world.reader.get_raw(SNAPSHOTS, found.name, found.namespace)
            if not snapshot.get("status"):
                await self._make(snapshot)

    async def _make(self, snapshot: dict[str, Any]) -> None:
        name, namespace = snapshot["metadata"]["name"], snapshot["metadata"]["namespace"]
        content = snapshot["spec"]["source"].get("volumeSnapshotContentName")
        writer = self._world.writer
        if content is None:
            content = f"content-{name}"
            manifest = {
                "apiVersion": f"{GROUP}/v1",
                "kind": CONTENTS.kind,
                "metadata": {"name": content},
                "spec": {"driver": DRIVER, "deletionPolicy": "Delete"},
            }
            await writer.create(CONTENTS, manifest)
            status = {"snapshotHandle": f"handle-{name}", "readyToUse": True}
            await writer.patch(CONTENTS, content, {"status": status}, subresource="status")
        ready = {
            "readyToUse": True,
            "boundVolumeSnapshotContentName": content,
            "restoreSize": "1Gi",
        }
        await writer.patch(
            SNAPSHOTS, name, {"status": ready}, namespace=namespace, subresource="status"
        )


@asynccontextmanager
async def snapshotter(world: World) -> AsyncGenerator[Snapshotter]:
    """A snapshot controller at work, for as long as the context lasts."""
    found = Snapshotter(world)
    await found.define()
    running = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await found.remove()


def _definition(resource: Resource[Any]) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version: dict[str, Any] = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.plural}.{GROUP}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, played by a test"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": {
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "kind": resource.kind,
            },
            "versions": [version],
        },
    }
