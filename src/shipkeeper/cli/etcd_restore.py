"""`shipkeeper etcd restore`: a data directory for a new member, out of a snapshot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Group, Parameter

from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.etcd_reading import SnapshotName, as_file
from shipkeeper.cli.output import show
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.report import Report
from shipkeeper.errors import UsageError
from shipkeeper.etcd import restore as restoring
from shipkeeper.etcd.membership import DEFAULT_NAME, DEFAULT_PEER_URL, DEFAULT_TOKEN, checked_url
from shipkeeper.etcd.restore import RestoreRequest


@Parameter(name="*", group=Group("The new member", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class MemberFlags:
    """The member to be made, as etcd's own tools ask for it."""

    name: Annotated[str, Parameter(help="The member's name (default).")] = DEFAULT_NAME
    initial_cluster: Annotated[
        str, Parameter(help="Every member, as NAME=URL,NAME=URL; by default this one alone.")
    ] = ""
    initial_cluster_token: Annotated[
        str, Parameter(help="The token that the new cluster's members share (etcd-cluster).")
    ] = DEFAULT_TOKEN
    initial_advertise_peer_urls: Annotated[
        str, Parameter(help=f"This member's URLs for its peers ({DEFAULT_PEER_URL}).")
    ] = DEFAULT_PEER_URL
    data_dir: Annotated[str, Parameter(help="The directory to make (NAME.etcd).")] = ""
    wal_dir: Annotated[str, Parameter(help="Another directory for the log.")] = ""
    bump_revision: Annotated[
        int, Parameter(help="Raise the revision by so much; 1000000000 is a good choice.")
    ] = 0
    mark_compacted: Annotated[
        bool, Parameter(help="Tell watchers that all before is gone; goes with --bump-revision.")
    ] = False
    skip_hash_check: Annotated[
        bool, Parameter(help="Take a file without a sha256, as from a data directory.")
    ] = False

    def request(self) -> RestoreRequest:
        """What is asked for, but for the snapshot; UsageError if it makes no sense."""
        if self.bump_revision < 0 or bool(self.bump_revision) != self.mark_compacted:
            raise UsageError(
                "--bump-revision (above 0) and --mark-compacted go together",
                reason="HalfBump",
                hint="give both, or neither",
            )
        return RestoreRequest(
            snapshot=Path(),
            name=self.name,
            initial_cluster=self.initial_cluster or f"{self.name}={DEFAULT_PEER_URL}",
            initial_cluster_token=self.initial_cluster_token,
            initial_advertise_peer_urls=tuple(
                checked_url(url) for url in self.initial_advertise_peer_urls.split(",")
            ),
            data_dir=Path(self.data_dir or f"{self.name}.etcd"),
            wal_dir=Path(self.wal_dir) if self.wal_dir else None,
            bump_revision=self.bump_revision,
            skip_hash_check=self.skip_hash_check,
        )


_ALONE = MemberFlags()


def restore(
    file: SnapshotName,
    /,
    *,
    member: MemberFlags = _ALONE,
    dry_run: ClientDryRun = "none",
    output: Output = None,
    repository: RepositoryFlags = HERE,
) -> None:
    """Make the data directory of a new member out of a snapshot, for one member or several.

    Every member of a cluster must be restored from the same snapshot, with the same
    --initial-cluster and --initial-cluster-token. A directory that is there is refused.
    """
    request, is_dry = member.request(), dry_run == "client"
    with as_file(file, repository) as snapshot:
        found = msgspec.structs.replace(request, snapshot=snapshot)
        done = restoring.restore(found, dry_run=is_dry)
    said = (
        f"member {done.name} ({done.member_id}) of {done.members} restored into {done.data_dir} "
        f"at revision {done.revision}{' (dry run)' if is_dry else ''}"
    )
    show(Report(value=done, body=(said,), names=(f"member/{done.name}",)), output)
