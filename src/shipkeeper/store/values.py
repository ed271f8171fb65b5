"""What callers of the store see: entries, sections, backups and their figures."""

import datetime as dt

import msgspec

ObjectId = bytes
"""32 bytes: the keyed BLAKE3 hash of an object's bytes; it reveals nothing without the key."""

MAX_OBJECT_BYTES = 16 * 1024 * 1024
MAX_PARTS = 4096


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of a manifest: the caller's own `meta`, and the objects that hold the content.

    `parts` are the ids of the content's pieces in order: one for a Kubernetes object, one a chunk
    for a file, none for an empty file; at most MAX_PARTS (split longer files over entries). `size`
    is the content's length in bytes.
    """

    meta: bytes
    parts: tuple[ObjectId, ...]
    size: int


class Section(msgspec.Struct, frozen=True, array_like=True):
    """A named, ordered list of entries inside a backup, such as one resource kind."""

    name: str
    root: ObjectId
    entries: int
    content_bytes: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds and what it cost; all sizes in bytes.

    `added_bytes` counts every byte the backup put into the repository but its own record.
    """

    entries: int = 0
    content_bytes: int = 0
    objects: int = 0
    new_objects: int = 0
    added_bytes: int = 0


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A visible backup. `created` is the store's clock at its end, whatever the writer's says.

    `summary` and `figures` are None when the repository was opened without any key, or when the
    backup is `damaged`: its record is not what was written. `kind` is what it holds: empty for a
    cluster's objects, and where that is not known.
    """

    name: str
    created: dt.datetime
    summary: bytes | None = None
    figures: Figures | None = None
    damaged: bool = False
    kind: str = ""
