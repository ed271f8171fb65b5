"""A first look at what is to be backed up: its kinds, their sizes, and the common moment."""

import asyncio

import msgspec

from shipkeeper.backup.contents import Unreadable
from shipkeeper.backup.discovery import AT_ONCE, discover
from shipkeeper.backup.kinds import Kind, kinds_to_take
from shipkeeper.backup.pages import Glance, glance
from shipkeeper.backup.selection import Selection, require_known_kinds
from shipkeeper.backup.volumes.record import VolumeRecord
from shipkeeper.engine.session import cluster_identity
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader

NAMESPACES = Kind(version="v1", plural="namespaces", kind="Namespace", namespaced=False)


class Outline(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to be taken: each kind with what a glance at it told, and what cannot be read."""

    cluster: str
    server: str
    version: str
    revision: str
    kinds: tuple[tuple[Kind, Glance], ...]
    apart: frozenset[str]
    unreadable: tuple[Unreadable, ...]
    volumes: tuple[VolumeRecord, ...] = ()

    @property
    def objects(self) -> int:
        """About how many objects there are, before any selection by namespace, label or name."""
        return sum(seen.objects for _, seen in self.kinds)


async def outline(connection: Requests, selection: Selection) -> Outline:
    """Look at every kind that is chosen, and settle the revision that all are to be listed at.

    A kind whose own revision does not lie between two looks at etcd's is stored elsewhere.
    """
    reader = Reader(connection)
    found = await discover(connection)
    candidates = kinds_to_take(found.served)
    require_known_kinds(selection, found.served.kinds)
    chosen = selection.chosen_kinds(candidates)
    before = await glance(connection, NAMESPACES)
    slots = asyncio.Semaphore(AT_ONCE)
    seen = await asyncio.gather(*(_glance(connection, kind, slots) for kind in chosen))
    after = await glance(connection, NAMESPACES)
    looked_at = [(kind, each) for kind, each in zip(chosen, seen, strict=True)]
    kinds = tuple((kind, each) for kind, each in looked_at if isinstance(each, Glance))
    apart = frozenset(
        kind.name
        for kind, each in kinds
        if kind.api_version in found.aggregated or not _between(before, each, after)
    )
    return Outline(
        cluster=await cluster_identity(reader),
        server=connection.credentials.server,
        version=str(await reader.version()),
        revision=after.revision,
        kinds=kinds,
        apart=apart,
        unreadable=(
            *found.unreadable,
            *(each for each in seen if isinstance(each, Unreadable)),
        ),
    )


async def _glance(
    connection: Requests, kind: Kind, slots: asyncio.Semaphore
) -> Glance | Unreadable | None:
    try:
        async with slots:
            return await glance(connection, kind)
    except NotFoundError:
        return None  # Its definition was deleted since it was discovered.
    except ShipkeeperError as error:
        return Unreadable.because(kind.name, error)


def _between(before: Glance, seen: Glance, after: Glance) -> bool:
    try:
        return int(before.revision) <= int(seen.revision) <= int(after.revision)
    except ValueError:
        return False
