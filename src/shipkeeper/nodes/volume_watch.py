"""Watching volumes leave a node and come to where their pods are."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Self

from shipkeeper.engine.journal import Entry
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import (
    CSI_DRIVERS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.volumes import (
    MovedVolume,
    Trouble,
    claims_of,
    moved_claims,
    moved_volumes,
    not_attached,
    still_on,
)

# What was written down of one step, by its id.
Recorded = Callable[[str], list[Entry]]


class VolumeWatch:
    """The attachments of a cluster, for the length of its context.

    What left a node is known from what its drain wrote down (`recorded`), so that a run which was
    interrupted waits for the same volumes.
    """

    def __init__(self, reader: Reader, recorded: Recorded) -> None:
        self._reader = reader
        self._recorded = recorded
        self._attachments = Reflector(reader, VOLUME_ATTACHMENTS)

    async def __aenter__(self) -> Self:
        await self._attachments.__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        await self._attachments.__aexit__(*failure)

    async def detached(self, node: str, timeout: float) -> tuple[Trouble, ...]:
        """Wait until a node holds no volume of pods that left it; what it holds after the time.

        What a pod that stays on the node uses stays, too.
        """
        staying = claims_of(await self._pods_on(node))
        moved = [each for each in await self._moved(node) if each.claim not in staying]

        def held() -> tuple[Trouble, ...]:
            return still_on(node, moved, self._attachments.objects.values())

        try:
            async with asyncio.timeout(timeout):
                await self._attachments.wait_for(lambda _: not held())
        except TimeoutError:
            return held()
        return ()

    async def attached(self, node: str, timeout: float) -> tuple[Trouble, ...]:
        """Wait until what left a node is attached where it is used; what is not after the time.

        A volume that no pod uses, or only pods that have no node yet, is not waited for.
        """
        moved = [each for each in await self._moved(node) if await self._is_attachable(each)]
        if not moved:
            return ()
        async with AsyncExitStack() as stack:
            namespaces = sorted({each.claim.partition("/")[0] for each in moved})
            followed = [Reflector(self._reader, PODS, namespace=each) for each in namespaces]
            changed = asyncio.Event()
            for each in followed:
                each.subscribe(lambda _: changed.set())
                await stack.enter_async_context(each)
            stack.callback(self._attachments.subscribe(lambda _: changed.set()))

            def missing() -> tuple[Trouble, ...]:
                pods = (pod for each in followed for pod in each.objects.values())
                return not_attached(moved, self._attachments.objects.values(), pods)

            try:
                async with asyncio.timeout(timeout):
                    while missing():
                        changed.clear()
                        await changed.wait()
            except TimeoutError:
                return missing()
        return ()

    async def _moved(self, node: str) -> tuple[MovedVolume, ...]:
        steps = (f"{node}/drain", f"{node}/daemons")
        claims = moved_claims(entry for step in steps for entry in self._recorded(step))
        if not claims:
            return ()
        return moved_volumes(claims, (await self._reader.list(PERSISTENT_VOLUMES)).items)

    async def _pods_on(self, node: str) -> list[Pod]:
        listing = await self._reader.list(PODS, field_selector=f"spec.nodeName={node}")
        return listing.items

    async def _is_attachable(self, moved: MovedVolume) -> bool:
        """Whether a volume is ever attached: some drivers mount without that, as NFS does."""
        if any(each.volume == moved.volume.name for each in self._attachments.objects.values()):
            return True
        csi = moved.volume.spec.csi
        if csi is None:
            return False
        try:
            driver = await self._reader.get(CSI_DRIVERS, csi.get("driver", ""))
        except NotFoundError:
            return True
        return driver.spec.attach_required
