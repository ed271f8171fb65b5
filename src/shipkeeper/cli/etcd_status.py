"""`shipkeeper etcd status|verify`: what a snapshot file holds, and whether it is whole."""

from typing import Annotated, Literal

from cyclopts import Parameter

from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.etcd_reading import SnapshotName, opened
from shipkeeper.cli.output import show, write
from shipkeeper.cli.output_flags import Output
from shipkeeper.etcd.snapshot import Snapshot
from shipkeeper.etcd.status import read_status
from shipkeeper.etcd.status_report import as_tool_prints, series_of, status_report


def status(
    file: SnapshotName,
    /,
    *,
    write_out: Annotated[
        Literal["table", "json", "simple"] | None,
        Parameter(name=("--write-out", "-w"), help="Print as etcd's own tool does."),
    ] = None,
    series: Annotated[
        Literal["3.4", "3.5", "3.6", "3.7"] | None,
        Parameter(help="As the tool of this series; by default that of the snapshot."),
    ] = None,
    output: Output = None,
    repository: RepositoryFlags = HERE,
) -> None:
    """Tell hash, revision, keys and size of a snapshot, after a check of its structure.

    With -w exactly as etcdctl (3.4) or etcdutl prints them. The sha256 is left to verify.
    """
    with opened(file, repository) as snapshot:
        found = read_status(snapshot.database())
        checksum = "NotChecked" if snapshot.has_trailer else "None"
    if write_out or series:
        write(as_tool_prints(found, write_out or "table", series or series_of(found)) + "\n")
    else:
        show(status_report(file.rpartition("/")[2], found, checksum), output)


def verify(
    file: SnapshotName,
    /,
    *,
    skip_hash_check: Annotated[
        bool, Parameter(help="Take a file without a sha256, as from a data directory.")
    ] = False,
    output: Output = None,
    repository: RepositoryFlags = HERE,
) -> None:
    """Check every byte of a snapshot: its sha256, the page graph, the order of keys.

    Exit code 4 if anything is not as it was saved.
    """
    with opened(file, repository) as snapshot:
        found = read_status(snapshot.database())
        checksum = _checksum(snapshot, skip=skip_hash_check)
    show(status_report(file.rpartition("/")[2], found, checksum), output)


def _checksum(snapshot: Snapshot, *, skip: bool) -> str:
    if skip and not snapshot.has_trailer:
        return "None"
    snapshot.require_sha256()
    return "Valid"
