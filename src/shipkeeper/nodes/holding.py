"""Holding other tools off while a run works on nodes: kured's lock, and medik8s' leases.

`Holding` takes kured's lock for the length of the run and a lease on each node from its cordon to
its uncordon, renews them, and gives everything back as it was. What was there before is kept in an
annotation beside the lock, so that a run that was killed can be given back from anywhere. Both run
out by themselves when nobody renews them.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from shipkeeper.engine.progress import Note, Sink
from shipkeeper.errors import BlockedError, ShipkeeperError
from shipkeeper.kube.errors import ConflictError, ForbiddenError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import DAEMON_SETS, LEASES, NAMESPACES, NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.daemonset import DaemonSet
from shipkeeper.model.lease import Lease
from shipkeeper.model.node import Node
from shipkeeper.nodes.holds import LEASE_HOLDER, is_valid_lease
from shipkeeper.nodes.kured import KuredLock, find_locks, is_kured, lock_of
from shipkeeper.nodes.outside import MEDIK8S_NAMESPACE, lease_name

BEFORE_ANNOTATION = "shipkeeper.dev/kured-lock-before"
TTL = timedelta(hours=1)
_RENEW_EVERY = TTL / 3
_PATIENCE = timedelta(minutes=30)
_LOOK_EVERY = 5.0  # seconds


class Holding:
    """What one run holds of other tools' locks; nothing if those tools are not there."""

    def __init__(
        self, reader: Reader, writer: Writer, run: str, tell: Sink, *, ignore: bool = False
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._run = run
        self._tell = tell
        self._ignore = ignore
        self._identity = f"{LEASE_HOLDER}/{run}"
        self._locks: list[KuredLock] = []
        self._has_leases = False
        self._held: dict[str, Lease] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Find the locks; nothing is taken yet."""
        self._locks = list(find_locks(await self._daemon_sets()))
        self._has_leases = await self._knows_leases()
        if self._locks or self._has_leases:
            self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Renew no more; what was not released runs out, unless the run is gone on with."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def begin(self) -> None:
        """Take kured's lock; BlockedError if kured itself holds it for too long."""
        for lock in list(self._locks):
            await self._take_lock(lock)

    async def take(self, node: str) -> None:
        """Take the lease on a node; BlockedError if somebody else holds it."""
        if not self._has_leases or node in self._held:
            return
        try:
            await self._take_lease(await self._reader.get(NODES, node))
        except ForbiddenError as error:
            self._has_leases = False
            self._warn(f"the lease on node {node} cannot be taken: {error.message}")

    async def give_back(self, node: str) -> None:
        """Give the lease on a node back, also one that an earlier attempt took."""
        if not self._has_leases:
            return
        try:
            lease = await self._reader.get(LEASES, lease_name(node), MEDIK8S_NAMESPACE)
        except (NotFoundError, ForbiddenError):
            return
        await self._drop_lease(lease)
        self._held.pop(node, None)

    async def release(self) -> None:
        """Give everything back that this run holds, whoever of its attempts took it."""
        for lock in self._locks:
            await self._best_effort(self._release_lock(lock))
        if self._has_leases:
            await self._best_effort(self._release_leases())
        self._held.clear()

    async def _daemon_sets(self) -> list[DaemonSet]:
        try:
            return (await self._reader.list(DAEMON_SETS)).items
        except ForbiddenError:
            return []

    async def _knows_leases(self) -> bool:
        try:
            await self._reader.get(NAMESPACES, MEDIK8S_NAMESPACE)
        except (NotFoundError, ForbiddenError):
            return False
        return True

    async def _take_lock(self, lock: KuredLock) -> None:
        clock = asyncio.get_running_loop().time
        deadline, said = clock() + _PATIENCE.total_seconds(), ""
        while True:
            try:
                daemon_set = await self._reader.get(DAEMON_SETS, lock.name, lock.namespace)
                held = _held_words(lock_of(daemon_set))
                if not held:
                    await self._write_lock(daemon_set)
                    return None
            except NotFoundError:
                return None
            except ConflictError:
                continue
            except ForbiddenError as error:
                self._warn(f"kured is not held off, and may reboot nodes: {error.message}")
                self._locks.remove(lock)
                return None
            if self._ignore or clock() > deadline:
                return self._give_lock_up(lock, held)
            if held != said:
                self._tell(Note(f"waiting: {held}"))
                said = held
            await asyncio.sleep(_LOOK_EVERY)

    def _give_lock_up(self, lock: KuredLock, held: str) -> None:
        if not self._ignore:
            raise BlockedError(
                held,
                reason="HeldByKured",
                hint="wait until kured is done; or go on meanwhile with --ignore-holds",
            )
        self._warn(f"{held}; it is not waited for")
        self._locks.remove(lock)

    async def _write_lock(self, daemon_set: DaemonSet) -> None:
        """Write our lock over a free one, and keep what was there."""
        lock = lock_of(daemon_set)
        annotations: dict[str, Any] = {
            lock.annotation: lock.taken_by(self._run, datetime.now(UTC), TTL)
        }
        # What an earlier run of ours kept is what was there before all of them.
        is_ours = any(each.is_ours for each in lock.holders)
        if lock.value is not None and not is_ours:
            annotations[BEFORE_ANNOTATION] = lock.value
        await self._annotate(daemon_set, annotations)

    async def _release_lock(self, lock: KuredLock) -> None:
        while True:
            try:
                daemon_set = await self._reader.get(DAEMON_SETS, lock.name, lock.namespace)
                if not is_kured(daemon_set) or not lock_of(daemon_set).is_held_by(self._run):
                    return
                before = daemon_set.metadata.annotations.get(BEFORE_ANNOTATION)
                await self._annotate(daemon_set, {lock.annotation: before, BEFORE_ANNOTATION: None})
            except NotFoundError:
                return
            except ConflictError:
                continue
            else:
                return

    async def _annotate(self, daemon_set: DaemonSet, annotations: dict[str, Any]) -> None:
        metadata = {
            "resourceVersion": daemon_set.metadata.resource_version,
            "annotations": annotations,
        }
        await self._writer.patch(
            DAEMON_SETS, daemon_set.name, {"metadata": metadata}, namespace=daemon_set.namespace
        )

    async def _take_lease(self, node: Node) -> None:
        name = lease_name(node.name)
        while True:
            try:
                lease = await self._reader.get(LEASES, name, MEDIK8S_NAMESPACE)
            except NotFoundError:
                lease = None
            self._require_free(node.name, lease)
            try:
                self._held[node.name] = await self._write_lease(node, lease)
            except ConflictError:
                continue
            except NotFoundError:
                if lease is not None:
                    continue
                # Where it would be is gone meanwhile: nobody holds anything there any more.
                self._has_leases = False
            return

    def _require_free(self, node: str, lease: Lease | None) -> None:
        holder = lease.spec.holder_identity if lease is not None else ""
        if lease is None or not holder or holder.startswith(LEASE_HOLDER) or self._ignore:
            return
        if is_valid_lease(lease, datetime.now(UTC)):
            raise BlockedError(
                f"{holder} holds the lease {lease.key} on node {node}",
                reason="HeldByLease",
                hint="wait until it is done, or go on all the same with --ignore-holds",
            )

    async def _write_lease(self, node: Node, lease: Lease | None) -> Lease:
        """Take the lease as medik8s' operators do: owned by its node, deleted when it is over."""
        owner = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}
        transitions = (lease.spec.lease_transitions or 0) + 1 if lease is not None else 0
        spec = {**_renewal(self._identity), "leaseTransitions": transitions}
        spec["acquireTime"] = spec["renewTime"]
        metadata: dict[str, Any] = {"ownerReferences": [owner]}
        if lease is None:
            metadata |= {"name": lease_name(node.name), "namespace": MEDIK8S_NAMESPACE}
            head = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
            manifest = {**head, "metadata": metadata, "spec": spec}
            return await self._writer.create(LEASES, manifest, namespace=MEDIK8S_NAMESPACE)
        return await self._patch_lease(lease, {"metadata": metadata, "spec": spec})

    async def _patch_lease(self, lease: Lease, patch: dict[str, Any]) -> Lease:
        version = {"resourceVersion": lease.metadata.resource_version}
        patch = {**patch, "metadata": {**patch.get("metadata", {}), **version}}
        return await self._writer.patch(LEASES, lease.name, patch, namespace=lease.namespace)

    async def _release_leases(self) -> None:
        for lease in (await self._reader.list(LEASES, namespace=MEDIK8S_NAMESPACE)).items:
            await self._drop_lease(lease)

    async def _drop_lease(self, lease: Lease) -> None:
        if lease.spec.holder_identity != self._identity:
            return
        try:
            await self._writer.delete(LEASES, lease.name, namespace=lease.namespace, uid=lease.uid)
        except (NotFoundError, ConflictError):
            return

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_EVERY.total_seconds())
            for lock in self._locks:
                await self._best_effort(self._renew_lock(lock))
            for node, lease in list(self._held.items()):
                await self._best_effort(self._renew_lease(node, lease))

    async def _renew_lock(self, lock: KuredLock) -> None:
        daemon_set = await self._reader.get(DAEMON_SETS, lock.name, lock.namespace)
        if lock_of(daemon_set).is_held_by(self._run):
            await self._write_lock(daemon_set)
        else:
            self._warn(f"somebody took kured's lock on DaemonSet {lock.key} from this run")

    async def _renew_lease(self, node: str, lease: Lease) -> None:
        self._held[node] = await self._patch_lease(lease, {"spec": _renewal(self._identity)})

    async def _best_effort(self, what: Any) -> None:
        """Everything that is held runs out by itself, so that a failure is said, and no more."""
        try:
            await what
        except ShipkeeperError as error:
            self._warn(f"other tools' locks: {error.message}")

    def _warn(self, message: str) -> None:
        self._tell(Note(message, is_warning=True))


def _held_words(lock: KuredLock) -> str:
    """Whom of kured's own a lock belongs to, in words; empty if it is free for us."""
    others = lock.others(datetime.now(UTC))
    named = ", ".join(f"node {each.node} since {each.created:%FT%TZ}" for each in others)
    return f"kured holds its lock on DaemonSet {lock.key}: {named}" if named else ""


def _renewal(identity: str) -> dict[str, Any]:
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": int(TTL.total_seconds()),
        "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
