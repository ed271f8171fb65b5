"""What a Job does for one Restore: what the operator would do for it, until nothing is left to do.

It leads by a Lease of its own that belongs to the Restore: whatever becomes of nodes and of pods,
one process at a time writes in its journal.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import msgspec

from shipkeeper.engine.election import leading
from shipkeeper.engine.progress import Event, Note
from shipkeeper.engine.tenure import LeaseKey
from shipkeeper.kube.connection import connect
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import LEASES
from shipkeeper.kube.writer import Writer
from shipkeeper.operator.api.backups import BACKUP_REPOSITORY
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.api.restores import RESTORE, RestoreStatus
from shipkeeper.operator.backups.restore_job_standing import needs_nobody
from shipkeeper.operator.backups.restoring import RestoreReconciler
from shipkeeper.operator.controller import Controller
from shipkeeper.operator.measures import Measures
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.run import OperatorOptions
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import FINALIZER


async def serve_restore(
    options: OperatorOptions, name: str, uid: str, say: Callable[[str], None]
) -> None:
    """Do what is next for the Restore of a name and a UID; LockLostError if another process does.

    Cancelled, it stops where it is, and the next one goes on there.
    """

    def tell(event: Event) -> None:
        if isinstance(event, Note):
            say(event.message)

    async with connect(options.connection) as connection:
        reader, writer = Reader(connection), Writer(connection)
        key = LeaseKey(namespace=options.namespace, name=f"restore-{uid}")
        await _make_lease(writer, key, name, uid)
        identity = f"a Job's process {secrets.token_hex(4)}"
        async with leading(reader, writer, key, identity, tell=tell, times=options.times) as tenure:
            scene = Scene(
                connection=connection,
                footing=tenure,
                follows_setback=tenure.follows_setback,
                namespace=options.namespace,
                node="",
                is_job=True,
                directory=options.directory,
                times=options.times,
                measures=Measures(),
                say=say,
            )
            await _see_through(scene, name, uid)
        # Whoever stood by as it went with the Restore has made it anew, as nobody's.
        if not await _is_there(reader, name, uid):
            with suppress(NotFoundError):
                await writer.delete(LEASES, key.name, namespace=key.namespace)


async def _is_there(reader: Reader, name: str, uid: str) -> bool:
    try:
        return (await reader.get(RESTORE.resource, name)).uid == uid
    except NotFoundError:
        return False


async def _make_lease(writer: Writer, key: LeaseKey, name: str, uid: str) -> None:
    """Make the Lease, so that it goes with the Restore."""
    owner = {
        "apiVersion": RESTORE.api_version,
        "kind": RESTORE.kind,
        "name": name,
        "uid": uid,
    }
    manifest = {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, "ownerReferences": [owner]},
        "spec": {},
    }
    with suppress(ConflictError):
        await writer.create(LEASES, manifest, namespace=key.namespace)


async def _see_through(scene: Scene, name: str, uid: str) -> None:
    async with AsyncExitStack() as stack:

        async def follow(kind: Kind[Any], name: str = "") -> Controller:
            return await stack.enter_async_context(
                Controller(
                    kind, scene.reader, WorkQueue(), scene.measures, scene.complain, name=name
                )
            )

        repositories = await follow(BACKUP_REPOSITORY)
        restores = await follow(RESTORE, name)
        inner = RestoreReconciler(
            scene, restores.queue, restores.following.objects, repositories.following.objects
        )
        watched = _Watched(inner, uid)
        # One that is gone before anybody looked has no change that has it looked at.
        restores.queue.add(name)
        working = asyncio.create_task(restores.work(watched))
        done = asyncio.create_task(watched.done.wait())
        try:
            await asyncio.wait((working, done), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for each in (working, done):
                each.cancel()
            await asyncio.gather(working, done, return_exceptions=True)


class _Watched:
    """Has one Restore reconciled, and notices when there is nothing more to do for it."""

    def __init__(self, inner: RestoreReconciler, uid: str) -> None:
        self.done = asyncio.Event()
        self._inner = inner
        self._uid = uid

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look at the Restore; whatever was told of it came back by the watch before it is done."""
        ours = found if found is not None and found.uid == self._uid else None
        again = await self._inner.reconcile(key, ours)
        if ours is None or _is_done(ours):
            self.done.set()
        return again

    async def stop(self) -> None:
        """Stop what goes on."""
        await self._inner.stop()


def _is_done(found: CustomObject) -> bool:
    status = msgspec.json.decode(found.status, type=RestoreStatus)
    is_deleted = found.metadata.deletion_timestamp is not None
    if is_deleted or status.finished_at is not None:
        return FINALIZER not in found.metadata.finalizers
    return needs_nobody(status, found.metadata.generation)
