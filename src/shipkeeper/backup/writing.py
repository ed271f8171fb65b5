"""Making one object be in the target as the backup has it; done again, it changes nothing."""

import asyncio
from datetime import timedelta
from typing import Any

from shipkeeper.backup.kinds import Kind, defined_kinds
from shipkeeper.backup.manifest import Manifest, part, parts
from shipkeeper.backup.order import ADOPTED
from shipkeeper.backup.owners import Owners
from shipkeeper.backup.restore_options import Existing
from shipkeeper.backup.restore_plan import Action
from shipkeeper.backup.semantic import are_equal, merge_patch
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.backoff import backoff
from shipkeeper.kube.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnreachableError,
)
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import FIELD_MANAGER, Writer

_ATTEMPTS = 12
_FIRST_DELAY = timedelta(milliseconds=100)
_POLL_SECONDS = 0.1
_GONE_WITHIN = timedelta(minutes=2)
_ESTABLISHED_WITHIN = timedelta(minutes=1)
_DEFINITION = ("apiextensions.k8s.io", "CustomResourceDefinition")
_SERVER_TIMEOUTS = frozenset({"ServerTimeout", "Timeout"})
# What the API server says while something that it waits for itself is about to come.
_PASSING_WORDS = (
    "error looking up service account",
    "no API token found",
    "could not find the requested resource",
    "status unknown for quota",
)


class RestoreError(ShipkeeperError):
    """An object could not be brought into the state that the backup has it in."""


class ObjectWriter:
    """Creates, updates, recreates; remembers the UIDs of what it made."""

    def __init__(self, reader: Reader, writer: Writer, owners: Owners, existing: Existing) -> None:
        self._reader = reader
        self._writer = writer
        self._owners = owners
        self._existing = existing

    async def write(self, action: Action, kind: Kind, wanted: Manifest) -> None:
        """Do what was planned for an object; raises what the API server refused it with."""
        adopted = await self._owners.adopt(wanted)
        match action:
            case Action.CREATE:
                uid = await self._create(kind, adopted)
            case Action.UPDATE:
                uid = await self._update(kind, adopted)
            case Action.RECREATE:
                uid = await self._recreate(kind, adopted)
            case _:
                raise ValueError(action)
        self._owners.remember(kind, adopted, uid)
        if kind.group_kind == _DEFINITION:
            await self._await_established(kind, adopted)

    async def _create(self, kind: Kind, wanted: Manifest) -> str:
        attempt = 1
        given = _for_adoption(wanted) if kind.group_kind in ADOPTED else wanted
        while True:
            try:
                made = await self._writer.create(kind.resource, given, namespace=_place(wanted))
            except ConflictError:
                return await self._appeared(kind, wanted)
            except (ApiError, UnreachableError) as error:
                if not _is_passing(error) or attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(backoff(attempt, first=_FIRST_DELAY).total_seconds())
                attempt += 1
            else:
                return made.uid

    async def _appeared(self, kind: Kind, wanted: Manifest) -> str:
        """An object of that name came since the plan was made: ours, a controller's, or not.

        Ours was made by an attempt that was killed, or whose answer got lost.
        """
        live = await self._read(kind, wanted)
        if live is None:
            return await self._create(kind, wanted)
        if _is_ours(live) or are_equal(live, wanted, kind.group) or _is_controlled(live):
            return str(live["metadata"]["uid"])
        if self._existing is not Existing.SKIP or _is_default_account(kind, wanted):
            return await self._update(kind, wanted)
        raise RestoreError(
            "somebody made another one of that name meanwhile",
            reason="AppearedMeanwhile",
            hint="look at both, then restore it with --existing update",
        )

    async def _update(self, kind: Kind, wanted: Manifest) -> str:
        for attempt in range(1, _ATTEMPTS + 1):
            live = await self._read(kind, wanted)
            if live is None:
                return await self._create(kind, wanted)
            patch = merge_patch(live, wanted, kind.group)
            if not patch:
                return str(live["metadata"]["uid"])
            metadata = patch.setdefault("metadata", {})
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
            if "ownerReferences" in metadata:
                metadata["ownerReferences"] = wanted["metadata"].get("ownerReferences")
            try:
                await self._patch(kind, wanted, patch)
            except ConflictError:
                await asyncio.sleep(backoff(attempt, first=_FIRST_DELAY).total_seconds())
            else:
                return str(live["metadata"]["uid"])
        raise RestoreError(
            "changes faster than it can be patched",
            reason="Contended",
            hint="see who keeps writing it, then run the same command again",
        )

    async def _patch(self, kind: Kind, wanted: Manifest, patch: dict[str, Any]) -> None:
        name = wanted["metadata"]["name"]
        await self._writer.patch(kind.resource, name, patch, namespace=_place(wanted))

    async def _recreate(self, kind: Kind, wanted: Manifest) -> str:
        live = await self._read(kind, wanted)
        if live is not None:
            if are_equal(live, wanted, kind.group):
                return str(live["metadata"]["uid"])
            await self.delete(kind, wanted, live["metadata"]["uid"])
            await self._await_gone(kind, wanted, live["metadata"]["uid"])
        return await self._create(kind, wanted)

    async def delete(self, kind: Kind, named: Manifest, uid: str) -> None:
        """Delete just the object of this UID; one that is gone, or another one by now, is fine."""
        name, namespace = named["metadata"]["name"], _place(named)
        try:
            await self._writer.delete(kind.resource, name, namespace=namespace, uid=uid)
        except (NotFoundError, ConflictError):
            return

    async def _await_gone(self, kind: Kind, named: Manifest, uid: str) -> None:
        try:
            async with asyncio.timeout(_GONE_WITHIN.total_seconds()):
                while (live := await self._read(kind, named)) is not None:
                    if live["metadata"]["uid"] != uid:
                        return
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise RestoreError(
                f"was deleted to be made again, and is not gone after {_GONE_WITHIN}",
                reason="StillThere",
                hint="see which finalizers it waits for, then run the same command again",
            ) from error

    async def _await_established(self, kind: Kind, definition: Manifest) -> None:
        """Wait until the API server serves every version of a definition."""
        name = definition["metadata"]["name"]
        try:
            async with asyncio.timeout(_ESTABLISHED_WITHIN.total_seconds()):
                # The poll is a handful of small requests; a watch for each would be no fewer.
                while not _is_established(await self._read(kind, definition)):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
                for defined in defined_kinds(definition):
                    await self._await_served(defined)
        except TimeoutError as error:
            raise RestoreError(
                f"is not Established after {_ESTABLISHED_WITHIN}",
                reason="NotEstablished",
                hint=f"see why: kubectl describe customresourcedefinition {name}",
            ) from error

    async def _await_served(self, kind: Kind) -> None:
        while True:
            try:
                await self._reader.connection.send(
                    "GET", kind.resource.path(), query={"limit": "1"}
                )
            except NotFoundError:
                await asyncio.sleep(_POLL_SECONDS)
            except ForbiddenError:
                return  # Who may not list it cannot see this; creating will tell.
            else:
                return

    async def _read(self, kind: Kind, named: Manifest) -> Manifest | None:
        try:
            return await self._reader.get_raw(
                kind.resource, named["metadata"]["name"], _place(named)
            )
        except NotFoundError:
            return None


def _for_adoption(wanted: Manifest) -> Manifest:
    """The object without its controller, which comes later and takes it by its labels."""
    references = parts(wanted, "metadata", "ownerReferences")
    others = [each for each in references if not each.get("controller")]
    metadata = {**wanted["metadata"], "ownerReferences": others}
    return {**wanted, "metadata": metadata}


def _place(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", ""))


def _is_ours(live: Manifest) -> bool:
    managers = parts(live, "metadata", "managedFields")
    return any(each.get("manager") == FIELD_MANAGER for each in managers)


def _is_controlled(live: Manifest) -> bool:
    return any(each.get("controller") for each in parts(live, "metadata", "ownerReferences"))


def _is_default_account(kind: Kind, wanted: Manifest) -> bool:
    """A controller makes it as soon as its namespace is there."""
    return kind.group_kind == ("", "ServiceAccount") and wanted["metadata"]["name"] == "default"


def _is_established(definition: Manifest | None) -> bool:
    conditions = parts(part(definition or {}, "status"), "conditions")
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _is_passing(error: ApiError | UnreachableError) -> bool:
    """Whether the same request may be granted in a moment."""
    if isinstance(error, UnreachableError):
        # What was made although its answer got lost is found by its name.
        return error.reason == "Unreachable"
    is_awaited = any(words in error.message for words in _PASSING_WORDS)
    return is_awaited or error.status.reason in _SERVER_TIMEOUTS
