"""Objects as they may be shown to anybody: of a Secret its keys alone. Pure."""

from typing import Any

from shipkeeper.backup.manifest import Manifest, group_of, is_map
from shipkeeper.backup.strip import LAST_APPLIED

HIDDEN = "<hidden>"
SECRET_FIELDS = ("data", "stringData")


def is_secret(manifest: Manifest) -> bool:
    """Whether it is a Secret of the core group."""
    return manifest["kind"] == "Secret" and group_of(manifest) == ""


def masked(manifest: Manifest) -> Manifest:
    """The object without what a Secret holds, nor what was applied as one."""
    if not is_secret(manifest):
        return manifest
    shown = dict(manifest)
    for field in SECRET_FIELDS:
        if field in shown:
            shown[field] = _keys(shown[field])
    metadata = shown.get("metadata")
    if is_map(metadata) and is_map(metadata.get("annotations")):
        notes = {
            key: HIDDEN if key == LAST_APPLIED else value
            for key, value in metadata["annotations"].items()
        }
        shown["metadata"] = {**metadata, "annotations": notes}
    return shown


def _keys(value: Any) -> Any:
    return dict.fromkeys(value, HIDDEN) if is_map(value) else HIDDEN
