"""`shipkeeper backup init|create|import`: what adds to a repository."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from shipkeeper.backup import take as taking
from shipkeeper.backup.contents import Contents, Unreadable
from shipkeeper.backup.folder import import_folder
from shipkeeper.backup.opening import create_repository, open_repository
from shipkeeper.backup.outline import outline
from shipkeeper.backup.report import backup_row, contents_report, outline_report
from shipkeeper.backup.volumes.record import State, VolumeRecord
from shipkeeper.backup.volumes.saving import VolumeSaving, foretell
from shipkeeper.cli.backup_flags import (
    EVERYTHING,
    HERE,
    RepositoryFlags,
    SelectionFlags,
    default_identity,
    default_key,
)
from shipkeeper.cli.backup_progress import progress_line
from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.output import say, show, write
from shipkeeper.cli.volume_flags import LISTED, OVER_SSH, HostFlags, VolumeFlags
from shipkeeper.errors import IncompleteError, UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.model.words import counted
from shipkeeper.store.documents import is_name

DryRun = Annotated[
    Literal["none", "client"],
    Parameter(requires_equals=True, help="client: show what would be done, and do nothing."),
]


async def init(
    *,
    recipient: Annotated[
        tuple[str, ...],
        Parameter(help="Seal to this age recipient (age1…) instead of a new identity."),
    ] = (),
    dry_run: DryRun = "none",
    repository: RepositoryFlags = HERE,
) -> None:
    """Make a repository, the key to add backups with, and the identity to read them with."""
    named = replace(
        repository,
        key=repository.key or str(default_key()),
        identity=repository.identity or str(default_identity()),
    )
    place = named.place()
    if dry_run == "client":
        write(f"repository {place.url} created (dry run)\n")
        return
    made = await create_repository(place, recipient)
    write(f"repository {place.url} created: {made}\n")
    say(f"the key to add backups is {place.key}")
    if not recipient:
        say(f"the identity to read them is {place.identity}: keep a copy of it elsewhere")


async def create(
    *,
    id_: Annotated[
        str,
        Parameter(name="--id", help="Its name in the repository, of 12 hex digits; else any."),
    ] = "",
    dry_run: DryRun = "none",
    output: Output = None,
    objects: SelectionFlags = EVERYTHING,
    volumes: VolumeFlags = LISTED,
    hosts: HostFlags = OVER_SSH,
    repository: RepositoryFlags = HERE,
    cluster: Cluster = CURRENT,
) -> None:
    """Back a cluster up: every kind that it serves, all of one moment, and the volumes asked for.

    Exit code 3, and the names of what is missing, if a part of it could not be read.
    """
    if id_ and not is_name(id_):
        raise UsageError(
            f"no name of a backup: {id_}", reason="NoName", hint="give 12 hex digits, or none"
        )
    selection, options = objects.selection(), volumes.options()
    place = repository.place()
    async with connect(cluster.options()) as connection:
        if dry_run == "client":
            planned = msgspec.structs.replace(
                await outline(connection, selection),
                volumes=await foretell(connection, selection, options),
            )
            show(outline_report(planned), output)
            _complain(_lacking(planned.unreadable, "would be"))
            return
        async with open_repository(place) as opened, opened.writing(id_) as writer:
            saving = VolumeSaving(connection, hosts.opening, options)
            with progress_line() as progress:
                made, contents = await taking.take(connection, writer, selection, progress, saving)
    row = backup_row(made, contents, saving.records)
    show(contents_report(row, datetime.now(UTC)), output)
    _complain(incompleteness(contents, saving.records))


async def import_(
    folder: Path,
    /,
    *,
    dry_run: DryRun = "none",
    output: Output = None,
    repository: RepositoryFlags = HERE,
) -> None:
    """Make a backup of the YAML files that `shipkeeper backup export` wrote."""
    async with open_repository(repository.place()) as opened:
        made, contents = await import_folder(opened, folder, dry_run=dry_run == "client")
    if made is None:
        write(f"{counted(contents.objects, 'object')} imported (dry run)\n")
    else:
        show(contents_report(backup_row(made, contents), datetime.now(UTC)), output)


def incompleteness(
    contents: Contents, volumes: Sequence[VolumeRecord] = ()
) -> IncompleteError | None:
    """What a backup lacks, if it does."""
    scattered = tuple(
        Unreadable(
            what=each.kind.name,
            reason="OwnMoment",
            message="is of a moment of its own, as the server kept none for long enough",
        )
        for each in contents.scattered
    )
    unsaved = tuple(
        Unreadable(what=each.volume.id, reason=each.reason, message=each.message)
        for each in volumes
        if each.state is not State.LISTED and each.reason
    )
    return _lacking((*contents.unreadable, *scattered, *unsaved), "is")


def _lacking(missing: tuple[Unreadable, ...], word: str) -> IncompleteError | None:
    if not missing:
        return None
    return IncompleteError(
        f"the backup {word} incomplete: "
        + "; ".join(f"{each.what}: {each.message}" for each in missing),
        reason=missing[0].reason,
        hint="mend what it names, or leave it out (--exclude-kind, --volume), then run it again",
    )


def _complain(error: IncompleteError | None) -> None:
    if error is not None:
        raise error
