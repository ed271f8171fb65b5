"""`shipkeeper etcd fetch`: a snapshot of the backup repository, as a file."""

import asyncio
from pathlib import Path

from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.etcd_reading import REPO, receive
from shipkeeper.cli.output import write
from shipkeeper.cli.output_flags import ClientDryRun
from shipkeeper.etcd.files import appearing
from shipkeeper.etcd.status_report import human_size


def fetch(
    name: str,
    file: Path,
    /,
    *,
    dry_run: ClientDryRun = "none",
    repository: RepositoryFlags = HERE,
) -> None:
    """Write a snapshot of the repository (its name, or latest) into a file, as it was saved.

    The file is readable by its owner alone, and appears when its sha256 was checked. `recover`
    needs one, and so do etcd's own tools.
    """
    short = name.removeprefix(REPO)
    place = repository.place()
    if dry_run == "client":
        write(f"snapshot {short} of {place.url} fetched into {file} (dry run)\n")
        return
    with appearing(file) as target:
        told = asyncio.run(receive(short, repository, target.write))
    write(f"snapshot {short} of {place.url} fetched into {file}: {human_size(told.size)}\n")
