"""`shipkeeper backup list|show|get|diff|export`: what is in a repository."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from shipkeeper.backup.archive import Archive, ObjectNotInBackupError, open_archive
from shipkeeper.backup.comparing import ArchiveSide, LiveSide, compare
from shipkeeper.backup.contents import Contents, ContentsError, decode_contents
from shipkeeper.backup.difference import comparison_report
from shipkeeper.backup.folder import export_folder
from shipkeeper.backup.manifest import Manifest
from shipkeeper.backup.opening import open_repository
from shipkeeper.backup.report import (
    BackupRow,
    Named,
    backup_row,
    backups_report,
    contents_report,
    objects_report,
)
from shipkeeper.backup.selection import Selection, require_known_kinds
from shipkeeper.cli.backup_flags import EVERYTHING, HERE, RepositoryFlags, SelectionFlags
from shipkeeper.cli.flags import CURRENT, Cluster, DryRun, Output, Selector
from shipkeeper.cli.identity import identity_of
from shipkeeper.cli.output import say, write
from shipkeeper.cli.output import show as show_report
from shipkeeper.engine.report import Report, item_list
from shipkeeper.errors import EXIT_FINDINGS, IncompleteError, ShipkeeperError
from shipkeeper.kube.connection import connect
from shipkeeper.model.words import counted
from shipkeeper.store.errors import NoSuchBackupError
from shipkeeper.store.repository import LATEST, Repository
from shipkeeper.store.values import Backup

Chosen = Annotated[
    str, Parameter(name=("--backup", "-b"), help="A backup, the beginning of its name, or latest.")
]


async def list_backups(
    *,
    output: Output = None,
    repository: RepositoryFlags = HERE,
    cluster: Cluster = CURRENT,
) -> None:
    """List the backups of a repository, oldest first; with --context those of that cluster alone.

    Snapshots of etcd do not tell which cluster they are of: with --context they are left out.
    """
    where = await identity_of(cluster) if cluster.context else ""
    async with open_repository(repository.place()) as opened:
        rows = [_row(each) for each in await opened.backups() if _is_of(each, where)]
    show_report(backups_report(rows, datetime.now(UTC)), output)


async def show(
    backup: str = "latest", /, *, output: Output = None, repository: RepositoryFlags = HERE
) -> None:
    """Show what a backup holds, of which moment, and what it lacks."""
    place = repository.place()
    async with open_repository(place) as opened:
        row = _row(await opened.find(backup))
        if place.identity and row.contents is not None:
            volumes = await (await open_archive(opened, row.name)).volumes()
            row = msgspec.structs.replace(row, volumes=volumes)
    show_report(contents_report(row, datetime.now(UTC)), output)


def _is_of(backup: Backup, cluster: str) -> bool:
    contents = _contents(backup) if cluster else None
    return not cluster or (contents is not None and contents.cluster == cluster)


def _row(backup: Backup) -> BackupRow:
    return backup_row(backup, _contents(backup))


def _contents(backup: Backup) -> Contents | None:
    if backup.kind:
        return None
    try:
        return decode_contents(backup.summary, backup.name)
    except ContentsError:
        return None


async def get(
    kind: str,
    /,
    *names: str,
    backup: Chosen = "latest",
    namespace: Annotated[str, Parameter(name=("--namespace", "-n"), help="The namespace.")] = "",
    all_namespaces: Annotated[
        bool, Parameter(name=("--all-namespaces", "-A"), help="In every namespace (the default).")
    ] = False,
    selector: Selector = "",
    output: Output = None,
    repository: RepositoryFlags = HERE,
) -> None:
    """Get objects out of a backup, as they were; with -o yaml or json whole."""
    selection = Selection(
        kinds=(kind,),
        names=tuple(f"{kind}/{name}" for name in names),
        namespaces=(namespace,) if namespace and not all_namespaces else (),
        cluster_scoped=True,
        selector=selector,
    )
    async with open_repository(repository.place(), reads=True) as opened:
        archive = await open_archive(opened, backup)
        require_known_kinds(selection, [each.kind for each in archive.contents.kinds])
        report = await _found(archive, selection, whole=output in ("json", "yaml"))
    missing = {*names} - {name.rpartition("/")[2] for name in report.names}
    if missing:
        raise ObjectNotInBackupError(
            f"backup {archive.backup.name} has no {kind} {', '.join(sorted(missing))}",
            reason="NotInBackup",
            hint=f"see what there is with: shipkeeper backup get {kind}",
        )
    show_report(report, output)


async def _found(archive: Archive, selection: Selection, *, whole: bool) -> Report:
    """The objects that are meant, as kubectl shows one or many; names alone unless `whole`."""
    (of,) = archive.kinds(selection)
    named: list[Named] = []
    manifests: list[Manifest] = []
    if whole or selection.selector:
        async for batch in archive.objects(of, selection):
            named += [_named(stored.namespace, stored.name, stored.size) for stored, _ in batch]
            manifests += [manifest for _, manifest in batch]
    else:
        async for stored in archive.names(of, selection):
            named += [_named(each.namespace, each.name, each.size) for each in stored]
    report = objects_report(of.kind, named)
    if not whole:
        return report
    value: Any = (
        manifests[0] if len(manifests) == 1 == len(selection.names) else item_list(manifests)
    )
    return Report(value=value, body=report.body, names=report.names)


def _named(namespace: str, name: str, size: int) -> Named:
    return Named(namespace=namespace, name=name, size=size)


async def diff(
    old: str = "latest",
    new: str = "",
    /,
    *,
    everything: Annotated[
        bool, Parameter(name="--all", help="Also what is never restored: Events, Leases, …")
    ] = False,
    output: Output = None,
    objects: SelectionFlags = EVERYTHING,
    repository: RepositoryFlags = HERE,
    cluster: Cluster = CURRENT,
) -> None:
    """Compare a backup with another one, or with the cluster if no other is named.

    With --context `latest` is the newest backup of that cluster, whoever else has backups there.
    Defaults, status and what servers set are no differences; exit code 4 if there are any.
    """
    selection = objects.selection()
    async with open_repository(repository.place(), reads=True) as opened:
        if old == LATEST and not new and cluster.context:
            old = await _newest_of(opened, cluster)
        before = ArchiveSide(await open_archive(opened, old))
        if new:
            after = ArchiveSide(await open_archive(opened, new))
            found = await compare(before, after, selection, everything=everything)
        else:
            async with connect(cluster.options()) as connection:
                live = LiveSide(connection)
                found = await compare(before, live, selection, everything=everything)
    show_report(comparison_report(found), output)
    if found.not_compared:
        names = ", ".join(found.not_compared)
        raise IncompleteError(
            f"could not be compared: {names}", reason="NotCompared", hint="see why above"
        )
    if found.changes:
        raise DifferencesFoundError(
            f"{counted(len(found.changes), 'difference')} from {found.old} to {found.new}",
            reason="Differences",
        )


async def _newest_of(opened: Repository, cluster: Cluster) -> str:
    where = await identity_of(cluster)
    found = [each.name for each in await opened.backups() if _is_of(each, where)]
    if not found:
        raise NoSuchBackupError(f"no backup of this cluster in {opened.access.blobs.url}")
    return found[-1]


class DifferencesFoundError(ShipkeeperError):
    """Two sides that were compared are not the same."""

    exit_code = EXIT_FINDINGS


async def export(
    folder: Path,
    /,
    *,
    backup: Chosen = "latest",
    secrets: Annotated[bool, Parameter(help="Also Secrets, for everyone to read.")] = False,
    dry_run: DryRun = "none",
    objects: SelectionFlags = EVERYTHING,
    repository: RepositoryFlags = HERE,
) -> None:
    """Write what can be restored of a backup as clean YAML, one object a file."""
    is_dry = dry_run != "none"
    async with open_repository(repository.place(), reads=True) as opened:
        archive = await open_archive(opened, backup)
        done = await export_folder(
            archive, folder, objects.selection(), secrets=secrets, dry_run=is_dry
        )
    suffix = " (dry run)" if is_dry else ""
    write(f"{counted(done.written, 'object')} exported to {folder}{suffix}\n")
    if done.removed:
        write(f"{counted(done.removed, 'stale file')} removed{suffix}\n")
    if done.secrets_left_out:
        say(f"{counted(done.secrets_left_out, 'Secret')} left out; take them along with --secrets")
