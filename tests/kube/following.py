"""A reflector under observation."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from shipkeeper.kube.changes import Change
from shipkeeper.kube.reader import Listing, Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.writer import Writer
from tests.kube.objects import (
    CONFIG_MAPS,
    MINE,
    ConfigMap,
    config_map,
)

LIMIT = 60


class Followed:
    """A reflector of one namespace, everything it told, and a way to write to that namespace."""

    def __init__(self, reflector: Reflector[ConfigMap], writer: Writer, namespace: str) -> None:
        self.reflector = reflector
        self.told: list[Change[ConfigMap]] = []
        self._writer = writer
        self._namespace = namespace

    async def create(self, name: str, **data: str) -> ConfigMap:
        manifest = config_map(name, **data)
        return await self._writer.create(CONFIG_MAPS, manifest, namespace=self._namespace)

    async def change(self, name: str, **data: str) -> ConfigMap:
        return await self._writer.patch(
            CONFIG_MAPS, name, {"data": data}, namespace=self._namespace
        )

    async def delete(self, name: str) -> None:
        await self._writer.delete(CONFIG_MAPS, name, namespace=self._namespace)

    async def until(self, predicate: Callable[[dict[str, ConfigMap]], bool]) -> None:
        """Wait for the store to hold what the predicate wants of it, by bare name."""
        async with asyncio.timeout(LIMIT):
            await self.reflector.wait_for(
                lambda objects: predicate({each.name: each for each in objects.values()})
            )

    async def until_told_of(self, name: str) -> None:
        await self.until(lambda objects: name in objects)

    def story(self) -> list[tuple[str, str]]:
        """What was told, in short."""
        return [(type(change).__name__, change.object.name) for change in self.told]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def following(
    reader: Reader, writer: Writer, namespace: str, *, known: Listing[ConfigMap] | None = None
) -> AsyncGenerator[Followed]:
    reflector = Reflector(
        reader,
        CONFIG_MAPS,
        namespace=namespace,
        label_selector=MINE,
        inactivity=timedelta(seconds=2),
        known=known,
    )
    each = Followed(reflector, writer, namespace)
    reflector.subscribe(each.told.append)
    async with reflector:
        yield each
