"""How backups, their contents and their objects look. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shipkeeper.backup.contents import Contents, Moment
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.outline import Outline
from shipkeeper.backup.volumes.record import VolumeRecord
from shipkeeper.backup.volumes.report import counts_line, size, unnamed_line, volumes_table
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
_OTHER_KINDS = {"etcd": "EtcdSnapshot"}


class BackupRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A backup in a list; what only a key tells is None without one.

    `volumes` need the key that reads, or to be just made; None in lists.
    """

    name: str
    created: datetime
    state: str
    contents: Contents | None
    content_bytes: int | None
    added_bytes: int | None
    volumes: tuple[VolumeRecord, ...] | None = None


class Named(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An object of a backup by its name; `size` in bytes of JSON."""

    namespace: str
    name: str
    size: int


def backup_row(
    backup: Backup, contents: Contents | None, volumes: tuple[VolumeRecord, ...] | None = None
) -> BackupRow:
    """A backup, with its summary and its volumes if those could be opened."""
    figures = backup.figures
    return BackupRow(
        name=backup.name,
        created=backup.created,
        state=_state(backup, contents),
        contents=contents,
        content_bytes=figures.content_bytes if figures else None,
        added_bytes=figures.added_bytes if figures else None,
        volumes=volumes,
    )


def _state(backup: Backup, contents: Contents | None) -> str:
    if backup.damaged:
        return "Damaged"
    if backup.kind:
        return _OTHER_KINDS.get(backup.kind, backup.kind)
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
    unknown = "-" if row.state in _OTHER_KINDS.values() else _SEALED
    return (
        row.name,
        format_age(now - row.created),
        str(contents.objects) if contents else unknown,
        str(sum(each.objects > 0 for each in contents.kinds)) if contents else unknown,
        _known_size(row.content_bytes),
        _known_size(row.added_bytes),
        row.state,
        contents.version if contents else unknown,
        contents.revision if contents else unknown,
    )


def _known_size(count: int | None) -> str:
    return _SEALED if count is None else size(count)


def outline_report(outline: Outline) -> Report:
    """What a backup would take: each kind with how many objects it has, and the volumes."""
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
        body=(
            Table(_KINDS, kinds),
            *_volumes(outline.volumes),
            Table(_UNREADABLE, missing),
        ),
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
        body=(
            head,
            where,
            Table(_KINDS, kinds),
            counts_line(contents.volumes),
            *_volumes(row.volumes or ()),
            Table(_UNREADABLE, missing),
        ),
        names=(f"backup/{row.name}",),
    )


def _volumes(records: Sequence[VolumeRecord]) -> tuple[Table | str, ...]:
    return (volumes_table(records), unnamed_line(records))


def objects_report(kind: Kind, objects: Sequence[Named]) -> Report:
    """The names of a kind's objects in a backup."""
    rows = tuple((each.namespace or "-", each.name, size(each.size)) for each in objects)
    return Report(
        value=item_list(objects),
        body=(Table(_OBJECTS, rows),),
        names=tuple(f"{kind.name}/{each.name}" for each in objects),
    )
