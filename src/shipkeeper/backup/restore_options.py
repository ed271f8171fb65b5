"""What is asked of a restore. Pure."""

from enum import StrEnum
from typing import Any

import msgspec

from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.destination import Return


class Existing(StrEnum):
    """What becomes of an object that is there already and differs from the backup's."""

    SKIP = "skip"
    UPDATE = "update"
    RECREATE = "recreate"
    """Updated, or, if its fields cannot be changed, deleted and made again."""


class ObjectPatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON patch for every object of a kind, or (`KIND/NAME`, `KIND/NAMESPACE/NAME`) for one."""

    target: str
    operations: tuple[dict[str, Any], ...]


class RestoreOptions(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which objects come back, changed in which way, and what becomes of those that are there.

    `images` maps the beginnings of image names; `parallel` is how many requests are under way at
    once. Of volumes, `only_volumes` are patterns of ids; `volume_places` maps ids to `NODE:PATH`.
    """

    selection: Selection = Selection()
    existing: Existing = Existing.SKIP
    namespaces: dict[str, str] = {}
    storage_classes: dict[str, str] = {}
    images: dict[str, str] = {}
    patches: tuple[ObjectPatch, ...] = ()
    prune: bool = False
    scaled_to_zero: bool = False
    keep_webhooks: bool = False
    parallel: int = 48
    volumes: Return = Return.NONE
    only_volumes: tuple[str, ...] = ()
    volume_places: dict[str, str] = {}
