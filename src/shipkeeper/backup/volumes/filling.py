"""Bringing volumes back: files into directories of hosts, snapshots into claims."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress

from shipkeeper.backup.archive import Archive
from shipkeeper.backup.manifest import Manifest
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.strip import strip
from shipkeeper.backup.volumes.destination import Return, place_of, suffix
from shipkeeper.backup.volumes.finding import Finding, find_volumes
from shipkeeper.backup.volumes.new_claim import new_claim
from shipkeeper.backup.volumes.programs import Root, VolumeError
from shipkeeper.backup.volumes.record import VolumeRecord, Way
from shipkeeper.backup.volumes.report import size
from shipkeeper.backup.volumes.saving import Hosts
from shipkeeper.backup.volumes.snapshots import Snapshots, data_source
from shipkeeper.backup.volumes.world import SNAPSHOT_VERSIONS, observe
from shipkeeper.backup.volumes.writing import write_files
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.node import Node
from shipkeeper.model.words import counted

_AT_ONCE = 4
_POLL_SECONDS = 1.0
_TELL_SECONDS = 5.0


class Filler:
    """Fills the volumes of one restore; `bound_within` is how long a claim may take, in seconds."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        archive: Archive,
        records: Mapping[str, VolumeRecord],
        hosts: Hosts,
        run: str,
        options: RestoreOptions,
        tell: Sink,
        bound_within: float = 300.0,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._archive = archive
        self._records = records
        self._hosts = hosts
        self._run = run
        self._options = options
        self._tell = tell
        self._bound_within = bound_within
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._one_a_node: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def data_sources(self) -> Mapping[str, str]:
        """The snapshot that each claim is made from that comes back by one, by the claims' keys."""
        return {
            f"{self._mapped(each.volume.namespace)}/{each.volume.claim}": _restored(each)
            for each in self._records.values()
            if each.snapshot
        }

    def _mapped(self, namespace: str) -> str:
        return self._options.namespaces.get(namespace, namespace)

    async def provide(self, id_: str) -> None:
        """Have the snapshot that a claim will be made from."""
        record = self._records[id_]
        if record.snapshot is None:
            raise TypeError(f"{id_} was not saved as a snapshot")
        snapshots = Snapshots(self._reader, self._writer, await self._version(), self._bound_within)
        await snapshots.provide(
            record.snapshot, self._mapped(record.volume.namespace), self._archive.backup.name
        )

    async def fill(self, id_: str, place: str, *, fresh: bool) -> None:
        """Bring a volume back to a place, or where its claim has it by then; VolumeError."""
        record = self._records[id_]
        if record.files is None:
            await self.provide(id_)
            await self._claim_of_snapshot(record)
            return
        name, root = place_of(place) if place else await self._mounted(record)
        node = await self._reader.get(NODES, name)
        host = self._hosts.of(node)
        async with self._gate, self._one_a_node[name]:
            await write_files(
                self._archive.source,
                record.files,
                host,
                root,
                f"{self._run}/{id_}",
                fresh=fresh,
                makes=fresh or record.volume.type == "hostPath",
                count=_Told(id_, self._tell),
            )
        if self._options.volumes is Return.NEW_CLAIM:
            await self._claim_of_files(record, node, root)

    async def _mounted(self, record: VolumeRecord) -> tuple[str, Root]:
        """Where a volume is by now; waits until its claim is bound and something mounts it."""
        volume = record.volume
        namespace = self._mapped(volume.namespace)
        selection = Selection(namespaces=(namespace,)) if namespace else Selection()
        wanted = f"claim/{namespace}/{volume.claim}" if volume.claim else volume.id
        why = "it is not there"
        try:
            async with asyncio.timeout(self._bound_within):
                while True:
                    world = await observe(self._reader.connection, selection)
                    for each in find_volumes(world, selection, Finding()):
                        if each.id == wanted:
                            if each.way is Way.FILES:
                                return each.node, each.root
                            why = each.message
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise VolumeError(
                f"its place is not known after {self._bound_within:g} s: {why}",
                reason="NotMounted",
                hint="let a pod use it, then run the same command again; "
                "or name a place with --volume-map",
            ) from error

    async def _claim_of_files(self, record: VolumeRecord, node: Node, root: Root) -> None:
        """A volume where the files are, and another claim beside the one that is there."""
        claim, name, namespace = await self._claim(record)
        volume, made = new_claim(
            claim,
            name,
            namespace,
            (node.name, node.metadata.labels),
            root,
            self._options.storage_classes,
        )
        for resource, manifest, place in (
            (PERSISTENT_VOLUMES, volume, ""),
            (PERSISTENT_VOLUME_CLAIMS, made, namespace),
        ):
            with suppress(ConflictError):
                await self._writer.create(resource, manifest, namespace=place)

    async def _claim_of_snapshot(self, record: VolumeRecord) -> None:
        """Another claim of what the snapshot has, beside the one that is there."""
        claim, name, namespace = await self._claim(record)
        metadata = {"name": name, "namespace": namespace}
        made = data_source({**claim, "metadata": metadata}, _restored(record))
        with suppress(ConflictError):
            await self._writer.create(PERSISTENT_VOLUME_CLAIMS, made, namespace=namespace)

    async def _claim(self, record: VolumeRecord) -> tuple[Manifest, str, str]:
        """A volume's claim as the backup has it, and the name and the namespace of a new one."""
        volume = record.volume
        name = f"persistentvolumeclaims/{volume.namespace}/{volume.claim}"
        found = await self._archive.find(Selection(names=(name,)))
        if not found:
            raise VolumeError(
                "the backup has not its claim",
                reason="ClaimMissing",
                hint="make one by hand",
            )
        new_name = f"{volume.claim}-{suffix(self._archive.backup.name)}"
        return strip(found[0][1], ""), new_name, self._mapped(volume.namespace)

    async def _version(self) -> str:
        for version in SNAPSHOT_VERSIONS:
            with suppress(NotFoundError):
                path = f"/apis/snapshot.storage.k8s.io/{version}"
                await self._reader.connection.send("GET", path)
                return version
        raise VolumeError(
            "the cluster knows no VolumeSnapshots",
            reason="NoSnapshots",
            hint="install the snapshot CRDs and the driver's snapshotter first",
        )


class _Told:
    """Says now and then how far the files of one volume are."""

    def __init__(self, volume: str, tell: Sink) -> None:
        self._volume = volume
        self._tell = tell
        self._files = self._bytes = 0
        self._due = time.monotonic() + _TELL_SECONDS

    def __call__(self, files: int, bytes_: int) -> None:
        self._files += files
        self._bytes += bytes_
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _TELL_SECONDS
            what = f"{counted(self._files, 'file')}, {size(self._bytes)}"
            self._tell(Note(f"{self._volume}: {what} so far"))


def _restored(record: VolumeRecord) -> str:
    return f"{record.snapshot.name}-restored" if record.snapshot else ""


def by_id(records: tuple[VolumeRecord, ...]) -> dict[str, VolumeRecord]:
    """Records by the ids of their volumes."""
    return {each.volume.id: each for each in records}
