"""How backups, their contents and their objects look. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shipkeeper.backup.contents import Contents, Moment
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.outline import Outline
from shipkeeper.engine.report import Column, Report, Table, item_list
from shipkeeper.model.duration import format_age
from shipkeeper.store.values import Backup

_BACKUPS = (
    Column("NAME"),
    Column("AGE"),
    Column("OBJECTS"),
    Column("KINDS", wide=True),
    Column("SIZE"),
    Column("ADDED"),
    Column("STATE"),
    Column("VERSION", wide=True),
    Column("REVISION", wide=True),
)
_KINDS = (
    Column("KIND"),
    Column("API-VERSION"),
    Column("OBJECTS"),
    Column("MOMENT"),
    Column("REVISION", wide=True),
)
_UNREADABLE = (Column("UNREADABLE"), Column("REASON"), Column("MESSAGE"))
_OBJECTS = (Column("NAMESPACE"), Column("NAME"), Column("SIZE"))
_SEALED = "<sealed>"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class BackupRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A backup in a list; what only a key tells is None without one."""

    name: str
    created: datetime
    state: str
    contents: Contents | None
    content_bytes: int | None
    added_bytes: int | None


class Named(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An object of a backup by its name; `size` in bytes of JSON."""

    namespace: str
    name: str
    size: int


def backup_row(backup: Backup, contents: Contents | None) -> BackupRow:
    """A backup, with its summary if that could be opened."""
    figures = backup.figures
    return BackupRow(
        name=backup.name,
        created=backup.created,
        state="Damaged" if backup.damaged else _state(contents),
        contents=contents,
        content_bytes=figures.content_bytes if figures else None,
        added_bytes=figures.added_bytes if figures else None,
    )


def _state(contents: Contents | None) -> str:
    if contents is None:
        return _SEALED
    return "Complete" if contents.is_complete else "Incomplete"


def backups_report(rows: Sequence[BackupRow], now: datetime) -> Report:
    """The list of backups."""
    return Report(
        value=item_list(rows),
        body=(Table(_BACKUPS, tuple(_cells(row, now) for row in rows)),),
        names=tuple(f"backup/{row.name}" for row in rows),
    )


def _cells(row: BackupRow, now: datetime) -> tuple[str, ...]:
    contents = row.contents
    return (
        row.name,
        format_age(now - row.created),
        str(contents.objects) if contents else _SEALED,
        str(sum(each.objects > 0 for each in contents.kinds)) if contents else _SEALED,
        _size(row.content_bytes),
        _size(row.added_bytes),
        row.state,
        contents.version if contents else _SEALED,
        contents.revision if contents else _SEALED,
    )


def outline_report(outline: Outline) -> Report:
    """What a backup would take: each kind, and how many objects it has."""
    kinds = tuple(
        (
            kind.name,
            kind.api_version,
            str(seen.objects),
            str(Moment.APART if kind.name in outline.apart else Moment.COMMON),
            seen.revision,
        )
        for kind, seen in outline.kinds
    )
    missing = tuple((each.what, each.reason, each.message) for each in outline.unreadable)
    return Report(
        value=outline,
        body=(Table(_KINDS, kinds), Table(_UNREADABLE, missing)),
        names=tuple(f"kind/{kind.name}" for kind, _ in outline.kinds),
    )


def contents_report(row: BackupRow, now: datetime) -> Report:
    """One backup: of what and when, its kinds, and what it lacks."""
    contents = row.contents
    head = Table(_BACKUPS, (_cells(row, now),))
    if contents is None:
        return Report(value=row, body=(head,), names=(f"backup/{row.name}",))
    kinds = tuple(
        (
            each.kind.name,
            each.kind.api_version,
            str(each.objects),
            str(each.moment),
            each.revision,
        )
        for each in contents.kinds
        if each.objects
    )
    missing = tuple((each.what, each.reason, each.message) for each in contents.unreadable)
    where = f"cluster {contents.cluster} at {contents.server}, revision {contents.revision}"
    return Report(
        value=row,
        body=(head, where, Table(_KINDS, kinds), Table(_UNREADABLE, missing)),
        names=(f"backup/{row.name}",),
    )


def objects_report(kind: Kind, objects: Sequence[Named]) -> Report:
    """The names of a kind's objects in a backup."""
    rows = tuple((each.namespace or "-", each.name, _size(each.size)) for each in objects)
    return Report(
        value=item_list(objects),
        body=(Table(_OBJECTS, rows),),
        names=tuple(f"{kind.name}/{each.name}" for each in objects),
    )


def _size(count: int | None) -> str:
    """Bytes in the largest unit that leaves a number above one (`1.5 MiB`)."""
    if count is None:
        return _SEALED
    amount = float(count)
    for unit in _UNITS[:-1]:
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} {_UNITS[-1]}"
