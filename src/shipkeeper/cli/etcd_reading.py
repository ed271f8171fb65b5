"""Flags of whatever reads a snapshot, and the snapshot opened by them."""

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.errors import UsageError
from shipkeeper.etcd.browse import Browser
from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.files import unwritable
from shipkeeper.etcd.snapshot import Snapshot, open_snapshot

if TYPE_CHECKING:
    from shipkeeper.etcd.archive import Summary

REPO: Final = "repo:"
SnapshotName = Annotated[
    str, Parameter(help="A snapshot's file; repo:NAME or repo:latest for one of --repo.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReadingFlags:
    """What is needed to read stored objects."""

    encryption_provider_config: Annotated[
        str, Parameter(help="The API server's EncryptionConfiguration, to open encrypted values.")
    ] = ""
    kubernetes_version: Annotated[
        str, Parameter(help="Of the snapshot's cluster (1.30); by default told by its nodes.")
    ] = ""

    def keys(self) -> Keys:
        """The keys of the configuration; none if none is named."""
        if not self.encryption_provider_config:
            return Keys()
        from shipkeeper.etcd.encryption import decode_keys

        path = Path(self.encryption_provider_config)
        try:
            return decode_keys(path.read_text())
        except OSError as error:
            raise UsageError(
                f"cannot read {path}: {error.strerror}",
                reason="ConfigurationUnreadable",
                hint="name the file that kube-apiserver's --encryption-provider-config names",
            ) from error

    def minor(self) -> int | None:
        """The minor version, if one is given; UsageError if it is none."""
        if not self.kubernetes_version:
            return None
        parts = self.kubernetes_version.removeprefix("v").split(".")
        if len(parts) < 2 or not parts[1].isdigit():
            raise UsageError(
                f"{self.kubernetes_version!r} is no version",
                reason="InvalidVersion",
                hint="a version looks like 1.30",
            )
        return int(parts[1])


PLAIN = ReadingFlags()


@contextmanager
def opened(file: str, repository: RepositoryFlags = HERE) -> Generator[Snapshot]:
    """A snapshot to be read: a file, or `repo:NAME` of the repository, which is fetched before."""
    if not file.startswith(REPO):
        with open_snapshot(Path(file)) as snapshot:
            yield snapshot
        return
    with as_file(file, repository) as path, open_snapshot(path, is_verified=True) as snapshot:
        yield snapshot


@contextmanager
def as_file(file: str, repository: RepositoryFlags = HERE) -> Generator[Path]:
    """The path of a snapshot that may be `repo:NAME`: then of a file that has no other name."""
    if not file.startswith(REPO):
        yield Path(file)
        return
    # A file without a name is gone with this process, however that ends.
    with tempfile.TemporaryFile() as fetched:
        _fetch(file.removeprefix(REPO), repository, fetched)
        yield Path(f"/dev/fd/{fetched.fileno()}")


def _fetch(name: str, repository: RepositoryFlags, target: IO[bytes]) -> None:
    # Here and not above: files are read without it.
    import asyncio

    try:
        asyncio.run(receive(name, repository, target.write))
        target.flush()
    except OSError as error:
        raise unwritable(Path(tempfile.gettempdir()), error) from error


async def receive(
    name: str, repository: RepositoryFlags, write: Callable[[bytes], object]
) -> "Summary":
    """Write a snapshot of a repository; what it tells of it."""
    from shipkeeper.backup.opening import open_repository
    from shipkeeper.etcd.archive import fetch

    async with open_repository(repository.place(), reads=True) as found:
        return await fetch(found, name, write)


@contextmanager
def browsing(
    file: str, reading: ReadingFlags = PLAIN, repository: RepositoryFlags = HERE
) -> Generator[Browser]:
    """A snapshot opened to be looked into."""
    with opened(file, repository) as snapshot:
        yield Browser(snapshot, reading.keys(), reading.minor())
