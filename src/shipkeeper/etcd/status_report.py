"""How a snapshot's figures look: ours, and word for word as etcd's tools of each series. Pure."""

import math
from typing import Final

import msgspec

from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.etcd.status import Status

SERIES: Final = ("3.4", "3.5", "3.6", "3.7")
FORMS: Final = ("table", "json", "simple")

_COUNTS_ENTRIES: Final = ("3.4", "3.5")
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_COLUMNS: Final = (
    Column("HASH"),
    Column("REVISION"),
    Column("KEYS"),
    Column("ENTRIES"),
    Column("SIZE"),
    Column("VERSION"),
    Column("CHECKSUM"),
    Column("BYTES", wide=True),
    Column("PAGE-SIZE", wide=True),
)


def status_report(name: str, status: Status, checksum: str) -> Report:
    """The figures of a snapshot; `checksum` tells of its sha256 trailer."""
    row = (
        f"{status.hash:x}",
        str(status.revision),
        str(status.total_keys),
        str(status.total_entries),
        human_size(status.total_size),
        status.version or "-",
        checksum,
        str(status.total_size),
        str(status.page_size),
    )
    return Report(
        value={**msgspec.to_builtins(status), "checksum": checksum},
        body=(Table(_COLUMNS, (row,)),),
        names=(f"snapshot/{name}",),
    )


def series_of(status: Status) -> str:
    """The series whose tool prints such a snapshot's status as a matter of course."""
    return ".".join(status.version.split(".")[:2]) if status.version else "3.5"


def as_tool_prints(status: Status, form: str, series: str) -> str:
    """The status as etcdctl (3.4) or etcdutl (newer) of a series prints it with `-w`."""
    is_old = series in _COUNTS_ENTRIES
    keys = status.total_entries if is_old else status.total_keys
    if form == "json":
        shown = {
            "hash": status.hash,
            "revision": status.revision,
            "totalKey": keys,
            "totalSize": status.total_size,
        }
        return msgspec.json.encode(
            shown if is_old else {**shown, "version": status.version}
        ).decode()
    cells = [f"{status.hash:x}", str(status.revision), str(keys), human_size(status.total_size)]
    titles = ["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE"]
    if not is_old:
        cells.append(status.version)
        titles.append("VERSION")
    if form == "simple":
        return ", ".join(cells)
    return _boxed(titles, cells) if series == "3.7" else _dashed(titles, cells)


def _dashed(titles: list[str], cells: list[str]) -> str:
    widths = [max(len(title), len(cell)) for title, cell in zip(titles, cells, strict=True)]
    rule = "+".join(["", *("-" * (width + 2) for width in widths), ""])
    head = "|".join(["", *(f" {_centred(t, w)} " for t, w in zip(titles, widths, strict=True)), ""])
    body = "|".join(["", *(f" {c.rjust(w)} " for c, w in zip(cells, widths, strict=True)), ""])
    return "\n".join((rule, head, rule, body, rule))


def _boxed(titles: list[str], cells: list[str]) -> str:
    widths = [max(len(title), len(cell)) for title, cell in zip(titles, cells, strict=True)]
    bars = ["─" * (width + 2) for width in widths]
    head = "│".join(["", *(f" {_centred(t, w)} " for t, w in zip(titles, widths, strict=True)), ""])
    body = "│".join(["", *(f" {c.rjust(w)} " for c, w in zip(cells, widths, strict=True)), ""])
    return "\n".join(
        (f"┌{'┬'.join(bars)}┐", head, f"├{'┼'.join(bars)}┤", body, f"└{'┴'.join(bars)}┘")
    )


def _centred(text: str, width: int) -> str:
    """Text in the middle; of an odd number of spaces the tools put one more behind it."""
    before = (width - len(text)) // 2
    return " " * before + text + " " * (width - len(text) - before)


def human_size(size: int) -> str:
    """Bytes as etcd's tools write them: powers of 1000, one digit behind the point below ten."""
    if size < 10:
        return f"{size} B"
    power = min(int(math.log(size, 1000) + 1e-12), len(_UNITS) - 1)
    value = math.floor(size / 1000**power * 10 + 0.5) / 10
    return f"{value:.1f} {_UNITS[power]}" if value < 10 else f"{value:.0f} {_UNITS[power]}"
