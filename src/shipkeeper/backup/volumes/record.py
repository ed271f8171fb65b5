"""What a backup says of each volume: what it is, and what became of it. Pure."""

from datetime import datetime
from enum import StrEnum

import msgspec

from shipkeeper.backup.volumes.programs import Root

BACKUP_LABEL = "shipkeeper.dev/backup"
"""On snapshots that we made; its value is the name of the backup that they belong to."""
SECTION = "volumes"
"""The store's section that lists them; the files of each are in one of its own."""


class Wanted(StrEnum):
    """What a backup does about volumes."""

    NONE = "none"
    LISTED = "listed"
    ALL = "all"


class Way(StrEnum):
    """How a volume is saved."""

    FILES = "Files"
    SNAPSHOT = "Snapshot"
    NONE = "None"


class State(StrEnum):
    """What became of a volume."""

    LISTED = "Listed"
    SAVED = "Saved"
    PARTIAL = "Partial"
    """Saved but for files that are missing, or torn; `message` names them."""
    FAILED = "Failed"
    """Asked for, and not saved; `message` says why."""


class Volume(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A volume of the cluster.

    `id` is `claim/NAMESPACE/NAME`, `hostpath/NODE/PATH` or `nfs/SERVER/PATH`; `type` is the
    field's name in its spec (`hostPath`, `local`, `csi`); `node` is where its files are read. `way`
    is how it could be saved, and if it cannot, `reason` and `message` say why. `is_asked` tells
    volumes that are saved by themselves from directories of nodes that somebody must ask for.
    """

    id: str
    type: str
    way: Way
    namespace: str = ""
    claim: str = ""
    volume: str = ""
    node: str = ""
    root: Root = Root()
    driver: str = ""
    pods: tuple[str, ...] = ()
    is_asked: bool = True
    reason: str = ""
    message: str = ""

    @property
    def place(self) -> str:
        """`NODE:PATH`, or the driver that keeps it."""
        return f"{self.node}:{self.root}" if self.node else self.driver


class SavedFiles(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The files of a volume in the store.

    Of `changed` nothing but a torn copy could be had, `missing` could not be read, `left_out` are
    sockets and other file systems mounted below; each is a name and what is the matter with it.
    `content_bytes` are without holes, `stream_bytes` those of the tar stream they come back by.
    """

    section: str
    files: int
    content_bytes: int
    stream_bytes: int
    read_again: int = 0
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def again(self) -> str:
        """The section of the files that were read a second time."""
        return f"{self.section}/again"

    @property
    def trouble(self) -> str:
        """What is wrong with it, in words; empty if nothing is."""
        return "; ".join(
            f"{len(names)} {words}: {', '.join(names[:_NAMED])}"
            + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
            for names, words in (
                (self.missing, "could not be read"),
                (self.changed, "changed while read"),
                (self.left_out, "left out"),
            )
            if names
        )

    @property
    def is_whole(self) -> bool:
        """Whether every file is in it as it was at some moment."""
        return not (self.changed or self.missing)


class SavedSnapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A snapshot that a CSI driver keeps; `handle` is the driver's own name of it."""

    namespace: str
    name: str
    driver: str
    handle: str
    snapshot_class: str = ""
    restore_size: str = ""


class VolumeRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One volume of a backup, and what became of it."""

    volume: Volume
    state: State
    reason: str = ""
    message: str = ""
    files: SavedFiles | None = None
    snapshot: SavedSnapshot | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None


class VolumeCounts(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How many volumes a backup lists, and what became of them; none is named here.

    `failed` are those that were asked for and are not there, or not in full.
    `hooks_failed` are commands in pods that did not do what they should before or after.
    """

    listed: int = 0
    saved: int = 0
    failed: int = 0
    hooks_failed: int = 0
    files: int = 0
    content_bytes: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether everything that was asked for was done."""
        return not (self.failed or self.hooks_failed)


def encode_record(record: VolumeRecord) -> bytes:
    """What an entry of the manifest says."""
    return msgspec.json.encode(record)


def decode_record(meta: bytes) -> VolumeRecord:
    """Read it back."""
    return msgspec.json.decode(meta, type=VolumeRecord)


_NAMED = 3
