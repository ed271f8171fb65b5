"""`shipkeeper etcd restore`: a data directory for a new member, out of a snapshot."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.etcd_reading import SnapshotName, as_file
from shipkeeper.cli.output import show
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.report import Report
from shipkeeper.errors import UsageError
from shipkeeper.etcd import restore as restoring
from shipkeeper.etcd.membership import DEFAULT_NAME, DEFAULT_PEER_URL, DEFAULT_TOKEN, checked_url
from shipkeeper.etcd.restore import RestoreRequest


def restore(
    file: SnapshotName,
    /,
    *,
    name: Annotated[str, Parameter(help="The member's name (default).")] = DEFAULT_NAME,
    initial_cluster: Annotated[
        str, Parameter(help="Every member, as NAME=URL,NAME=URL; by default this one alone.")
    ] = "",
    initial_cluster_token: Annotated[
        str, Parameter(help="The token that the new cluster's members share (etcd-cluster).")
    ] = DEFAULT_TOKEN,
    initial_advertise_peer_urls: Annotated[
        str, Parameter(help=f"This member's URLs for its peers ({DEFAULT_PEER_URL}).")
    ] = DEFAULT_PEER_URL,
    data_dir: Annotated[str, Parameter(help="The directory to make (NAME.etcd).")] = "",
    wal_dir: Annotated[str, Parameter(help="Another directory for the log.")] = "",
    bump_revision: Annotated[
        int, Parameter(help="Raise the revision by so much; 1000000000 is a good choice.")
    ] = 0,
    mark_compacted: Annotated[
        bool, Parameter(help="Tell watchers that all before is gone; goes with --bump-revision.")
    ] = False,
    skip_hash_check: Annotated[
        bool, Parameter(help="Take a file without a sha256, as from a data directory.")
    ] = False,
    dry_run: ClientDryRun = "none",
    output: Output = None,
    repository: RepositoryFlags = HERE,
) -> None:
    """Make the data directory of a new member out of a snapshot, for one member or several.

    Every member of a cluster must be restored from the same snapshot, with the same
    --initial-cluster and --initial-cluster-token. A directory that is there is refused.
    """
    if bump_revision < 0 or bool(bump_revision) != mark_compacted:
        raise UsageError(
            "--bump-revision (above 0) and --mark-compacted go together",
            reason="HalfBump",
            hint="give both, or neither",
        )
    request = RestoreRequest(
        snapshot=Path(),
        name=name,
        initial_cluster=initial_cluster or f"{name}={DEFAULT_PEER_URL}",
        initial_cluster_token=initial_cluster_token,
        initial_advertise_peer_urls=tuple(
            checked_url(url) for url in initial_advertise_peer_urls.split(",")
        ),
        data_dir=Path(data_dir or f"{name}.etcd"),
        wal_dir=Path(wal_dir) if wal_dir else None,
        bump_revision=bump_revision,
        skip_hash_check=skip_hash_check,
    )
    is_dry = dry_run == "client"
    with as_file(file, repository) as snapshot:
        found = msgspec.structs.replace(request, snapshot=snapshot)
        done = restoring.restore(found, dry_run=is_dry)
    said = (
        f"member {done.name} ({done.member_id}) of {done.members} restored into {done.data_dir} "
        f"at revision {done.revision}{' (dry run)' if is_dry else ''}"
    )
    show(Report(value=done, body=(said,), names=(f"member/{done.name}",)), output)
