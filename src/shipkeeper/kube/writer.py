"""Changing objects: what a step may do."""

from datetime import timedelta
from typing import Any, TypeVar

import msgspec

from shipkeeper.kube.connection import NO_TIME, Requests
from shipkeeper.kube.resources import Resource
from shipkeeper.model.meta import KubeObject

T = TypeVar("T", bound=KubeObject)

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
FIELD_MANAGER = "shipkeeper"


class Writer:
    """Patches, creates, applies and deletes objects; with `dry_run` the server only checks."""

    def __init__(self, connection: Requests, *, dry_run: bool = False) -> None:
        self.connection = connection
        self.dry_run = dry_run

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        patch: dict[str, Any] | list[dict[str, Any]],
        *,
        namespace: str = "",
        subresource: str = "",
        content_type: str = MERGE_PATCH,
    ) -> T:
        """Change the fields that the patch names and return the object as it is then.

        A `metadata.resourceVersion` in the patch makes it conditional (ConflictError).
        """
        path = resource.path(namespace, name, subresource)
        body = await self._send_patch(path, patch, content_type)
        return msgspec.json.decode(body, type=resource.type)

    async def patch_raw(
        self, resource: Resource[T], name: str, patch: dict[str, Any], *, namespace: str = ""
    ) -> Any:
        """Merge a patch into an object and return it with every field it has then."""
        body = await self._send_patch(resource.path(namespace, name), patch, MERGE_PATCH)
        return msgspec.json.decode(body)

    async def _send_patch(self, path: str, patch: object, content_type: str) -> bytes:
        return await self.connection.send(
            "PATCH",
            path,
            query=self._query(fieldManager=FIELD_MANAGER),
            body=patch,
            content_type=content_type,
        )

    async def apply(
        self, resource: Resource[T], manifest: dict[str, Any], *, force: bool = False
    ) -> T:
        """Server-side apply a manifest (at least apiVersion, kind and metadata.name)."""
        metadata = manifest["metadata"]
        body = await self.connection.send(
            "PATCH",
            resource.path(metadata.get("namespace", ""), metadata["name"]),
            query=self._query(fieldManager=FIELD_MANAGER, force=str(force).lower()),
            body=manifest,
            content_type=APPLY_PATCH,
        )
        return msgspec.json.decode(body, type=resource.type)

    async def create(
        self, resource: Resource[T], manifest: dict[str, Any], *, namespace: str = ""
    ) -> T:
        """Create an object; ConflictError if there is one of that name."""
        body = await self.connection.send(
            "POST",
            resource.path(namespace),
            query=self._query(fieldManager=FIELD_MANAGER),
            body=manifest,
        )
        return msgspec.json.decode(body, type=resource.type)

    async def delete(
        self,
        resource: Resource[T],
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        grace_period_seconds: int | None = None,
    ) -> None:
        """Ask for a deletion; with `uid` only of that very object (ConflictError otherwise)."""
        options = delete_options(uid=uid, grace_period_seconds=grace_period_seconds)
        if self.dry_run:
            # Of a deletion with a body the API server does not heed the query.
            options["dryRun"] = ["All"]
        path = resource.path(namespace, name)
        await self.connection.send("DELETE", path, query=self._query(), body=options)

    async def post_subresource(
        self,
        resource: Resource[T],
        name: str,
        subresource: str,
        body: dict[str, Any],
        *,
        namespace: str,
        last_wait: timedelta = NO_TIME,
    ) -> bytes:
        """Post to a subresource (an eviction, a binding) and return the answer's body.

        Who is cancelled while it is on its way waits for the answer that much longer.
        """
        return await self.connection.send(
            "POST",
            resource.path(namespace, name, subresource),
            query=self._query(),
            body=body,
            last_wait=last_wait,
        )

    def _query(self, **parameters: str) -> dict[str, str]:
        return parameters | ({"dryRun": "All"} if self.dry_run else {})


def delete_options(*, uid: str = "", grace_period_seconds: int | None = None) -> dict[str, Any]:
    """A meta/v1 DeleteOptions body; no field is set that was not asked for."""
    options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if uid:
        options["preconditions"] = {"uid": uid}
    if grace_period_seconds is not None:
        options["gracePeriodSeconds"] = grace_period_seconds
    return options
