"""Saving volumes: hooks around them, files and snapshots side by side, each with its record."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.finding import Finding, find_volumes
from shipkeeper.backup.volumes.groups import Group, grouped
from shipkeeper.backup.volumes.hooking import run_hook
from shipkeeper.backup.volumes.hooks import Hook, HookFlags, Hooks, OnError, hooks_of
from shipkeeper.backup.volumes.reading import read_files
from shipkeeper.backup.volumes.record import (
    SECTION,
    State,
    Volume,
    VolumeCounts,
    VolumeRecord,
    Wanted,
    Way,
    encode_record,
)
from shipkeeper.backup.volumes.snapshots import Snapshots
from shipkeeper.backup.volumes.world import World, observe
from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.host import Host
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.model.node import Node
from shipkeeper.store.values import Entry
from shipkeeper.store.writer import BackupWriter

_AT_ONCE = 4
_GROUPS_AT_ONCE = 8


class Hosts(Protocol):
    """The way to the hosts of nodes."""

    def of(self, node: Node) -> Host:
        """The host of a node."""
        ...


OpenHosts = Callable[[Connection], AbstractAsyncContextManager[Hosts]]
"""Opens the way to hosts, and clears away at the end what it needed there."""


class VolumeOptions(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is done about volumes; `snapshot_timeout` in seconds."""

    wanted: Wanted = Wanted.LISTED
    finding: Finding = Finding()
    hooks: HookFlags = HookFlags()
    snapshot_timeout: float = 600.0


class VolumeProgress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far the saving of volumes is."""

    volume: str
    files: int
    content_bytes: int


class VolumeSaving:
    """Saves the volumes of a cluster into a backup; `records` are what became of each."""

    def __init__(
        self, connection: Connection, open_hosts: OpenHosts, options: VolumeOptions
    ) -> None:
        self._connection = connection
        self._open_hosts = open_hosts
        self._options = options
        self.records: tuple[VolumeRecord, ...] = ()

    async def save(
        self,
        writer: BackupWriter,
        selection: Selection,
        tell: Callable[[VolumeProgress], None],
    ) -> VolumeCounts:
        """Find, list, and if that is asked for save them; what cannot be is in its record."""
        if self._options.wanted is Wanted.NONE:
            return VolumeCounts()
        world = await observe(self._connection, selection)
        found = find_volumes(world, selection, self._options.finding)
        records = {each.id: _listed(each) for each in found}
        failed_hooks = 0
        if self._options.wanted is Wanted.ALL:
            async with self._open_hosts(self._connection) as hosts:
                round_ = _Round(self._connection, hosts, writer, world, self._options, tell)
                records |= await round_.save([each for each in found if each.is_asked])
                failed_hooks = round_.failed_hooks
        self.records = tuple(records[id_] for id_ in sorted(records))
        await writer.append(SECTION, [Entry(encode_record(each), (), 0) for each in self.records])
        return _counts(self.records, failed_hooks)


async def foretell(
    connection: Connection, selection: Selection, options: VolumeOptions
) -> tuple[VolumeRecord, ...]:
    """The volumes that would be listed, and how each could be saved; writes nothing."""
    if options.wanted is Wanted.NONE:
        return ()
    world = await observe(connection, selection)
    return tuple(map(_listed, find_volumes(world, selection, options.finding)))


def _listed(volume: Volume) -> VolumeRecord:
    return VolumeRecord(
        volume=volume, state=State.LISTED, reason=volume.reason, message=volume.message
    )


def _counts(records: Sequence[VolumeRecord], failed_hooks: int) -> VolumeCounts:
    states = [each.state for each in records]
    files = [each.files for each in records if each.files is not None]
    return VolumeCounts(
        listed=len(records),
        saved=states.count(State.SAVED),
        failed=states.count(State.FAILED) + states.count(State.PARTIAL),
        hooks_failed=failed_hooks,
        files=sum(each.files for each in files),
        content_bytes=sum(each.content_bytes for each in files),
    )


class _Round:
    """One saving of all volumes that are asked for."""

    def __init__(
        self,
        connection: Connection,
        hosts: Hosts,
        writer: BackupWriter,
        world: World,
        options: VolumeOptions,
        tell: Callable[[VolumeProgress], None],
    ) -> None:
        self._connection = connection
        self._hosts = hosts
        self._writer = writer
        self._world = world
        self._options = options
        self._tell = tell
        self._nodes = {node.name: node for node in world.nodes}
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._groups = asyncio.Semaphore(_GROUPS_AT_ONCE)
        # A disk that two streams are read from is slower than one after the other.
        self._one_a_node: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._snapshots = Snapshots(
            Reader(connection),
            Writer(connection),
            world.snapshot_version or "v1",
            options.snapshot_timeout,
        )
        self.failed_hooks = 0

    async def save(self, volumes: Sequence[Volume]) -> dict[str, VolumeRecord]:
        """What became of each; those that share a pod with hooks are saved between its hooks."""
        groups = grouped(volumes, self._hooks(volumes))
        tasks = [asyncio.create_task(self._group(each)) for each in groups]
        try:
            done = await asyncio.gather(*tasks)
        except BaseException:
            # The hooks that come after are run all the same.
            for task in tasks:
                if not task.cancelling():
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return {record.volume.id: record for records in done for record in records}

    def _hooks(self, volumes: Iterable[Volume]) -> dict[str, Hooks]:
        """The hooks of each pod that uses one of these volumes."""
        users = {pod for each in volumes if each.way is not Way.NONE for pod in each.pods}
        found = {
            pod.key: hooks_of(pod, self._options.hooks)
            for pod in self._world.pods
            if pod.key in users
        }
        return {key: hooks for key, hooks in found.items() if hooks != Hooks()}

    async def _group(self, group: Group) -> list[VolumeRecord]:
        async with self._groups:
            complaints: dict[str, str] = {}
            refused: dict[str, str] = {}
            try:
                for pod, hooks in group.hooks.items():
                    if hooks.before is not None:
                        await self._hook(pod, hooks.before, "before", complaints, refused)
                records = await asyncio.gather(
                    *(self._volume(each, refused) for each in group.volumes)
                )
            finally:
                for pod, hooks in group.hooks.items():
                    if hooks.after is not None:
                        await self._hook(pod, hooks.after, "after", complaints, {})
        return [_with_complaints(each, complaints) for each in records]

    async def _hook(
        self, pod: str, hook: Hook, when: str, complaints: dict[str, str], refused: dict[str, str]
    ) -> None:
        try:
            await run_hook(self._connection, hook, when)
        except ShipkeeperError as error:
            self.failed_hooks += 1
            complaints[pod] = "; ".join(filter(None, (complaints.get(pod), error.message)))
            if hook.on_error is OnError.FAIL:
                refused[pod] = error.message

    async def _volume(self, volume: Volume, refused: dict[str, str]) -> VolumeRecord:
        began = datetime.now(UTC)
        because = [refused[pod] for pod in volume.pods if pod in refused]
        if because:
            return _failed(volume, "HookFailed", because[0], began)
        if volume.way is Way.NONE:
            return _failed(volume, volume.reason, volume.message, began)
        try:
            async with self._gate, self._one_a_node[volume.node or volume.id]:
                record = await self._saved(volume)
        except ShipkeeperError as error:
            return _failed(volume, error.reason, error.message, began)
        return msgspec.structs.replace(record, began_at=began, ended_at=datetime.now(UTC))

    async def _saved(self, volume: Volume) -> VolumeRecord:
        if volume.way is Way.SNAPSHOT:
            class_ = self._world.snapshot_classes[volume.driver]
            snapshot = await self._snapshots.take(volume, class_, self._writer.name)
            return VolumeRecord(volume=volume, state=State.SAVED, snapshot=snapshot)
        node = self._nodes.get(volume.node)
        if node is None:
            return _failed(volume, "NodeGone", f"there is no node {volume.node}", None)
        files = bytes_ = 0

        def count(more_files: int, more_bytes: int) -> None:
            nonlocal files, bytes_
            files, bytes_ = files + more_files, bytes_ + more_bytes
            self._tell(VolumeProgress(volume=volume.id, files=files, content_bytes=bytes_))

        saved = await read_files(
            self._hosts.of(node), volume.root, self._writer, f"{SECTION}/{volume.id}", count
        )
        return VolumeRecord(
            volume=volume,
            state=State.SAVED if saved.is_whole else State.PARTIAL,
            reason="" if saved.is_whole else "FilesChanged" if saved.changed else "FilesMissing",
            message=saved.trouble,
            files=saved,
        )


def _failed(volume: Volume, reason: str, message: str, began: datetime | None) -> VolumeRecord:
    return VolumeRecord(
        volume=volume, state=State.FAILED, reason=reason, message=message, began_at=began
    )


def _with_complaints(record: VolumeRecord, complaints: dict[str, str]) -> VolumeRecord:
    """A record that also says which hooks of its pods failed."""
    said = [complaints[pod] for pod in record.volume.pods if pod in complaints]
    if not said:
        return record
    new = [each for each in said if each not in record.message]
    message = "; ".join(filter(None, (record.message, *new)))
    return msgspec.structs.replace(record, reason=record.reason or "HookFailed", message=message)
