"""What is different between two sets of objects, in meaning. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from shipkeeper.backup.manifest import Manifest, group_of, is_list, is_map
from shipkeeper.backup.masking import HIDDEN, SECRET_FIELDS, is_secret
from shipkeeper.backup.semantic import Difference, differences
from shipkeeper.backup.strip import LAST_APPLIED
from shipkeeper.engine.report import Column, Report, Table, item_list

_CHANGES = (Column("CHANGE"), Column("KIND"), Column("NAMESPACE"), Column("NAME"), Column("FIELDS"))
_SIGNS = {"Added": "+", "Removed": "-", "Changed": "~"}
_FIELDS_SHOWN = 3
_VALUE_SHOWN = 60  # characters


class Change(StrEnum):
    """What became of an object from the old side to the new."""

    ADDED = "Added"
    REMOVED = "Removed"
    CHANGED = "Changed"


class ObjectChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One object that differs; fields are told of changed ones only."""

    change: Change
    kind: str
    namespace: str
    name: str
    fields: tuple[Difference, ...] = ()

    @property
    def key(self) -> str:
        """`kind/namespace/name`."""
        return f"{self.kind}/{self.namespace}/{self.name}"


class Comparison(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every object that differs, and what could not be compared."""

    old: str
    new: str
    changes: tuple[ObjectChange, ...]
    not_compared: Mapping[str, str] = {}


def compare_objects(kind: str, old: Manifest | None, new: Manifest | None) -> ObjectChange | None:
    """The change from one to the other, both in one API version; None if they mean the same."""
    found = new or old
    if found is None:
        return None
    metadata = found["metadata"]
    change = Change.CHANGED if old and new else Change.ADDED if new else Change.REMOVED
    fields: tuple[Difference, ...] = ()
    if old and new:
        fields = tuple(_masked(found, each) for each in differences(old, new, group_of(found)))
        if not fields:
            return None
    return ObjectChange(
        change=change,
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        fields=fields,
    )


def _masked(manifest: Manifest, found: Difference) -> Difference:
    """Nothing of a Secret is shown but that it differs, nor what was applied as one."""
    if not is_secret(manifest):
        return found
    if found.path[0] in SECRET_FIELDS or LAST_APPLIED in found.path:
        return Difference(path=found.path, old=_mask(found.old), new=_mask(found.new))
    if found.path == ("metadata", "annotations"):
        return Difference(
            path=found.path,
            old=_without_last_applied(found.old),
            new=_without_last_applied(found.new),
        )
    return found


def _without_last_applied(value: Any) -> Any:
    if not is_map(value):
        return value
    return {key: _mask(each) if key == LAST_APPLIED else each for key, each in value.items()}


def _mask(value: Any) -> Any:
    if value is None:
        return None
    if is_map(value):
        return dict.fromkeys(value, HIDDEN)
    return HIDDEN


def comparison_report(comparison: Comparison) -> Report:
    """A line for each object that differs, and under it each field."""
    rows = tuple(
        (
            f"{_SIGNS[each.change]} {each.change}",
            each.kind,
            each.namespace or "-",
            each.name,
            _fields_in_short(each.fields),
        )
        for each in comparison.changes
    )
    details = "\n".join(
        line for each in comparison.changes if each.fields for line in _details(each)
    )
    missing = "\n".join(
        f"not compared: {what}: {why}" for what, why in comparison.not_compared.items()
    )
    return Report(
        value={"old": comparison.old, "new": comparison.new, **item_list(comparison.changes)},
        body=(Table(_CHANGES, rows), details, missing),
        names=tuple(f"{each.kind}/{each.name}" for each in comparison.changes),
    )


def _fields_in_short(fields: Sequence[Difference]) -> str:
    if not fields:
        return "-"
    shown = ",".join(each.field for each in fields[:_FIELDS_SHOWN])
    return f"{shown},…" if len(fields) > _FIELDS_SHOWN else shown


def _details(change: ObjectChange) -> list[str]:
    head = f"{change.kind} {change.namespace + '/' if change.namespace else ''}{change.name}"
    return [
        head,
        *(f"  {each.field}: {_shown(each.old)} -> {_shown(each.new)}" for each in change.fields),
    ]


def _shown(value: Any) -> str:
    if value is None:
        return "<none>"
    text = msgspec.json.encode(value).decode() if is_map(value) or is_list(value) else str(value)
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}…"
