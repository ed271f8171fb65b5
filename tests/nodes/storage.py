"""Volumes of a CSI driver that does not exist: the attacher is played, all else is real."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from shipkeeper.kube.changes import Change, Deleted
from shipkeeper.kube.errors import ApiError, NotFoundError
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import (
    CSI_DRIVERS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    VOLUME_ATTACHMENTS,
)
from shipkeeper.model.storage import VolumeAttachment
from tests.nodes.world import World

FINALIZER = "external-attacher/played"


class Attacher:
    """What external-attacher does for one driver; told to, it leaves requests undone."""

    def __init__(self, world: World) -> None:
        self.driver = f"{world.name}.csi.example.com"
        self.attaches = True
        self.detaches = True
        self.history: list[tuple[str, str]] = []
        self._world = world
        self._changed = asyncio.Event()
        self._attachments = Reflector(world.reader, VOLUME_ATTACHMENTS)

    def tell(self, *, attaches: bool = True, detaches: bool = True) -> None:
        """Do, or leave undone, what is asked of it from now on."""
        self.attaches, self.detaches = attaches, detaches
        self._changed.set()

    async def until(self, predicate: Callable[[list[VolumeAttachment]], bool]) -> None:
        """Return when its attachments are as wanted."""
        async with asyncio.timeout(60):
            await self._attachments.wait_for(lambda _: predicate(self.attachments))

    @property
    def attachments(self) -> list[VolumeAttachment]:
        """Those of its driver."""
        found = self._attachments.objects.values()
        return [each for each in found if each.spec.attacher == self.driver]

    async def run(self) -> None:
        """Attach and detach until cancelled."""
        self._attachments.subscribe(self._notice)
        async with self._attachments:
            while True:
                self._changed.clear()
                for each in self.attachments:
                    await self._attend(each)
                await self._changed.wait()

    def _notice(self, change: Change[VolumeAttachment]) -> None:
        if change.object.spec.attacher != self.driver:
            return
        if isinstance(change, Deleted):
            self.history.append(("detached", change.object.spec.node_name))
        self._changed.set()

    async def _attend(self, attachment: VolumeAttachment) -> None:
        try:
            if attachment.metadata.deletion_timestamp is not None:
                if self.detaches:
                    await self._patch(attachment, {"metadata": {"finalizers": None}})
            elif not attachment.metadata.finalizers:
                await self._patch(attachment, {"metadata": {"finalizers": [FINALIZER]}})
            elif not attachment.status.attached and self.attaches:
                self.history.append(("attached", attachment.spec.node_name))
                await self._patch(attachment, {"status": {"attached": True}}, "status")
        except ApiError:
            return  # it changed meanwhile, and that is noticed

    async def _patch(
        self, attachment: VolumeAttachment, patch: dict[str, Any], subresource: str = ""
    ) -> None:
        await self._world.writer.patch(
            VOLUME_ATTACHMENTS, attachment.name, patch, subresource=subresource
        )


@asynccontextmanager
async def attacher(world: World) -> AsyncGenerator[Attacher]:
    """A driver of the world's own, with its attacher."""
    found = Attacher(world)
    manifest = {
        "apiVersion": CSI_DRIVERS.api_version,
        "kind": CSI_DRIVERS.kind,
        "metadata": {"name": found.driver},
        "spec": {"attachRequired": True},
    }
    await world.writer.create(CSI_DRIVERS, manifest)
    running = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.wait([running])
        await _clear(world, found.driver)


async def _clear(world: World, driver: str) -> None:
    """Leave nothing to others: an attachment with a finalizer would outlast its node."""
    for each in (await world.reader.list(VOLUME_ATTACHMENTS)).items:
        if each.spec.attacher == driver:
            with suppress(NotFoundError):
                await world.writer.patch(
                    VOLUME_ATTACHMENTS, each.name, {"metadata": {"finalizers": None}}
                )
    for each in (await world.reader.list(PERSISTENT_VOLUMES)).items:
        if each.spec.csi is not None and each.spec.csi["driver"] == driver:
            await world.writer.delete(PERSISTENT_VOLUMES, each.name)
    await world.writer.delete(CSI_DRIVERS, driver)


async def add_claim(world: World, driver: str, name: str = "data") -> None:
    """A claim of the world that is bound to a volume of the driver."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
    }
    volume = {
        "apiVersion": "v1",
        "kind": PERSISTENT_VOLUMES.kind,
        "metadata": {"name": f"{world.name}-{name}"},
        "spec": {
            **spec,
            "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": world.name, "name": name},
            "csi": {"driver": driver, "volumeHandle": f"{world.name}-{name}"},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": PERSISTENT_VOLUME_CLAIMS.kind,
        "metadata": {"name": name},
        "spec": {
            **spec,
            "volumeName": f"{world.name}-{name}",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    await world.writer.create(PERSISTENT_VOLUMES, volume)
    await world.writer.create(PERSISTENT_VOLUME_CLAIMS, claim, namespace=world.name)


def with_claim(manifest: dict[str, Any], claim: str = "data") -> dict[str, Any]:
    """A workload whose pods mount a claim."""
    pod = manifest["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return manifest
