"""How the volumes of a backup look. Pure."""

from collections.abc import Iterable, Sequence

from shipkeeper.backup.volumes.record import State, VolumeCounts, VolumeRecord
from shipkeeper.engine.report import Column, Table
from shipkeeper.model.words import counted

_VOLUMES = (
    Column("VOLUME"),
    Column("TYPE"),
    Column("WAY"),
    Column("STATE"),
    Column("FILES"),
    Column("SIZE"),
    Column("WHERE", wide=True),
    Column("PODS", wide=True),
    Column("REASON"),
    Column("MESSAGE"),
)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
# What would fill the table and tell nothing: what nobody could lose, and nobody asked for.
_QUIET = frozenset({"Ephemeral", "NotAsked"})


def volumes_table(records: Iterable[VolumeRecord]) -> Table:
    """Each volume that says something; `-o json` has the rest as well."""
    shown = [
        each for each in records if each.state is not State.LISTED or each.reason not in _QUIET
    ]
    return Table(_VOLUMES, tuple(_cells(each) for each in shown))


def unnamed_line(records: Sequence[VolumeRecord]) -> str:
    """How many volumes the table leaves out."""
    quiet = [each for each in records if each.state is State.LISTED and each.reason in _QUIET]
    if not quiet:
        return ""
    return (
        f"{counted(len(quiet), 'volume')} more, such as emptyDirs and directories of nodes that no "
        "pod asks to have saved: see -o json"
    )


def counts_line(counts: VolumeCounts) -> str:
    """What is known of the volumes without a key that reads."""
    if not counts.listed:
        return ""
    kept = f"{counted(counts.files, 'file')}, {size(counts.content_bytes)}"
    return (
        f"{counted(counts.listed, 'volume')}: {counts.saved} saved, "
        f"{counts.failed} not or in part; {kept}"
    )


def _cells(record: VolumeRecord) -> tuple[str, ...]:
    volume, files, snapshot = record.volume, record.files, record.snapshot
    kept = size(files.content_bytes) if files else snapshot.restore_size if snapshot else ""
    return (
        volume.id,
        volume.type or "-",
        str(volume.way),
        str(record.state),
        str(files.files) if files else "-",
        kept or "-",
        volume.place or "-",
        ",".join(volume.pods) or "-",
        record.reason or "-",
        record.message or "-",
    )


def size(count: int) -> str:
    """Bytes in the largest unit that leaves a number above one (`1.5 MiB`)."""
    amount = float(count)
    for unit in _UNITS[:-1]:
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} {_UNITS[-1]}"
