"""Owners under their new UIDs: a reference to an owner that is gone would delete what is owned."""

import asyncio
from typing import Any

from shipkeeper.backup.convert.chain import modern_kind
from shipkeeper.backup.kinds import Kind, Served
from shipkeeper.backup.manifest import Manifest
from shipkeeper.kube.errors import ForbiddenError, NotFoundError
from shipkeeper.kube.reader import Reader

Place = tuple[str, str, str]


class Owners:
    """The UIDs of objects in the target, by kind, namespace and name; asked for once."""

    def __init__(self, reader: Reader, served: Served) -> None:
        self._reader = reader
        self._served = served
        self._known: dict[Place, asyncio.Future[str]] = {}

    def remember(self, kind: Kind, manifest: Manifest, uid: str) -> None:
        """Note the UID that an object got."""
        found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        found.set_result(uid)
        metadata = manifest["metadata"]
        self._known[kind.name, metadata.get("namespace", ""), metadata["name"]] = found

    async def adopt(self, manifest: Manifest) -> Manifest:
        """The object with its owners' new UIDs; owners that are not there are left out."""
        references = manifest["metadata"].get("ownerReferences")
        if not references:
            return manifest
        namespace = manifest["metadata"].get("namespace", "")
        renewed = [await self._renew(each, namespace) for each in references]
        kept = [each for each in renewed if each is not None]
        metadata = {**manifest["metadata"], "ownerReferences": kept}
        if not kept:
            del metadata["ownerReferences"]
        return {**manifest, "metadata": metadata}

    async def _renew(self, reference: dict[str, Any], namespace: str) -> dict[str, Any] | None:
        group_kind = modern_kind(reference["apiVersion"], reference["kind"])
        versions = self._served.versions(group_kind)
        if not versions:
            return None
        same = (each for each in versions if each.api_version == reference["apiVersion"])
        kind = next(same, versions[0])
        uid = await self._uid(kind, namespace if kind.namespaced else "", reference["name"])
        return {**reference, "apiVersion": kind.api_version, "uid": uid} if uid else None

    async def _uid(self, kind: Kind, namespace: str, name: str) -> str:
        place = (kind.name, namespace, name)
        if place not in self._known:
            self._known[place] = asyncio.ensure_future(self._ask(kind, namespace, name))
        return await asyncio.shield(self._known[place])

    async def _ask(self, kind: Kind, namespace: str, name: str) -> str:
        try:
            return (await self._reader.get(kind.resource, name, namespace)).uid
        except (NotFoundError, ForbiddenError):
            return ""
