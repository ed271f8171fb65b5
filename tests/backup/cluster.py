"""Objects in a real cluster by their manifests, whichever kind they are."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

from shipkeeper.backup.archive import Archive, open_archive
from shipkeeper.backup.contents import Contents
from shipkeeper.backup.discovery import discover
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.restore import execute, prepare
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.restore_plan import has_work
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.take import take
from shipkeeper.engine.journal import Journal
from shipkeeper.engine.progress import quiet
from shipkeeper.engine.run import RunResult
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ApiError, ConflictError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.store.repository import Repository

Manifest = dict[str, Any]
_numbers = itertools.count(1)
PATIENCE = 120.0


def fresh(name: str) -> str:
    """A name that no other test has."""
    return f"{name}{next(_numbers)}"


def manifest(kind: str, name: str, namespace: str = "", **fields: Any) -> Manifest:
    """A manifest; `kind` is `group/version Kind`, further metadata in `meta`."""
    api_version, _, kind_name = kind.partition(" ")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    metadata |= fields.pop("meta", {})
    return {"apiVersion": api_version, "kind": kind_name, "metadata": metadata, **fields}


def config_map(name: str, namespace: str, **data: str) -> Manifest:
    """A ConfigMap."""
    return manifest("v1 ConfigMap", name, namespace, data=data)


class Cluster:
    """One cluster, with everything it serves."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reader = Reader(connection)
        self.writer = Writer(connection)

    async def kind(self, found: Manifest) -> Kind:
        """The kind of a manifest, as soon as it is served."""
        async with asyncio.timeout(PATIENCE):
            while True:
                served = (await discover(self.connection)).served
                kind = served.find(found["apiVersion"], found["kind"])
                if kind is not None:
                    return kind
                await asyncio.sleep(0.1)

    async def create(self, *manifests: Manifest) -> None:
        """Create objects in their order, each as soon as the server lets it."""
        for each in manifests:
            await self._create(each, await self.kind(each))

    async def _create(self, found: Manifest, kind: Kind) -> None:
        namespace = found["metadata"].get("namespace", "")
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await self.writer.create(kind.resource, found, namespace=namespace)
                except ConflictError:
                    raise
                except ApiError as error:
                    if not isinstance(error, NotFoundError) and not _is_passing(error):
                        raise
                    await asyncio.sleep(0.1)
                else:
                    return

    async def get(self, found: Manifest) -> Manifest:
        """An object as it is now."""
        kind = await self.kind(found)
        metadata = found["metadata"]
        return await self.reader.get_raw(
            kind.resource, metadata["name"], metadata.get("namespace", "")
        )

    async def delete(self, *manifests: Manifest) -> None:
        """Delete objects, last first, and wait until they are gone; finalizers are taken off."""
        for each in reversed(manifests):
            kind = await self.kind(each)
            name = each["metadata"]["name"]
            namespace = each["metadata"].get("namespace", "")
            try:
                if each["metadata"].get("finalizers"):
                    patch = {"metadata": {"finalizers": None}}
                    await self.writer.patch(kind.resource, name, patch, namespace=namespace)
                await self.writer.delete(
                    kind.resource, name, namespace=namespace, grace_period_seconds=0
                )
                async with asyncio.timeout(PATIENCE):
                    while True:
                        await self.reader.get_raw(kind.resource, name, namespace)
                        await asyncio.sleep(0.1)
            except NotFoundError:
                continue


def _is_passing(error: ApiError) -> bool:
    """Whether a namespace's service account, or its token, is about to come."""
    return "service account" in error.message or "token" in error.message


async def back_up(
    cluster: Cluster, repository: Repository, selection: Selection | None = None
) -> Contents:
    """Take a backup."""
    async with repository.writing() as writer:
        _, contents = await take(
            cluster.connection, writer, selection or Selection(), lambda _: None
        )
    return contents


async def bring_back(
    cluster: Cluster, repository: Repository, journal: Journal, options: RestoreOptions
) -> RunResult | None:
    """Restore the latest backup; None if there was nothing to do."""
    archive = await open_archive(repository, "latest")
    prepared = await prepare(cluster.connection, archive, repository.id, options)
    if not has_work(prepared.plan):
        return None
    return await execute(cluster.connection, archive, journal, prepared, quiet, lambda _: None)


async def manifests_of(archive: Archive, selection: Selection) -> list[Manifest]:
    """What a backup holds."""
    return [found for _, found in await archive.find(selection)]


def by_name(found: Iterable[Manifest]) -> dict[str, Manifest]:
    """Objects of one kind by their names."""
    return {each["metadata"]["name"]: each for each in found}
