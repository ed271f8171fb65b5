"""Objects as they are in a cluster now, kind by kind."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Any

import msgspec

from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.manifest import Manifest
from shipkeeper.backup.pages import one_ahead, pages
from shipkeeper.backup.selection import Selection
from shipkeeper.kube.connection import Connection
from shipkeeper.model.base import KubeStruct


class _Identity(KubeStruct, frozen=True, kw_only=True):
    uid: str = ""
    deletion_timestamp: datetime | None = None


class _Identified(KubeStruct, frozen=True, kw_only=True):
    metadata: _Identity


_IDENTITIES = msgspec.json.Decoder(_Identified)
_MANIFESTS = msgspec.json.Decoder(dict[str, Any])


class LiveObject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One object: who it is, and its JSON unless only that was asked for."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    is_terminating: bool
    body: bytes

    @property
    def manifest(self) -> Manifest:
        """The object, whole."""
        head = {"apiVersion": self.kind.api_version, "kind": self.kind.kind}
        return {**head, **_MANIFESTS.decode(self.body)}


async def live_objects(
    connection: Connection, kind: Kind, *, selector: str = "", with_bodies: bool = True
) -> AsyncGenerator[list[LiveObject]]:
    """All objects of a kind, page by page, as they are now."""
    async with aclosing(one_ahead(pages(connection, kind, selector=selector))) as listed:
        async for page in listed:
            yield [
                _live(kind, each.namespace, each.name, each.body, with_bodies)
                for each in page.objects
            ]


def _live(
    kind: Kind, namespace: str, name: str, body: memoryview | bytes, with_bodies: bool
) -> LiveObject:
    metadata = _IDENTITIES.decode(body).metadata
    return LiveObject(
        kind=kind,
        namespace=namespace,
        name=name,
        uid=metadata.uid,
        is_terminating=metadata.deletion_timestamp is not None,
        # A copy: a view would keep the whole page.
        body=bytes(body) if with_bodies else b"",
    )


def are_chosen(found: list[LiveObject], selection: Selection) -> list[LiveObject]:
    """Those that a selection means, by their names."""
    return [each for each in found if selection.has_key(each.kind, each.namespace, each.name)]
