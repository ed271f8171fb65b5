"""The repository that the console shows: its list, and the backups of it that were opened."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias
from weakref import WeakValueDictionary

import msgspec

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.catalog import Catalog
from shipkeeper.backup.contents import Contents, ContentsError, decode_contents
from shipkeeper.backup.opening import Place, open_repository
from shipkeeper.backup.report import BackupRow, backup_row
from shipkeeper.backup.verified import Verification, recall, remember
from shipkeeper.errors import ShipkeeperError
from shipkeeper.etcd.archive import KIND as SNAPSHOT
from shipkeeper.store.errors import NoSuchBackupError
from shipkeeper.store.findings import Finding
from shipkeeper.store.repository import LATEST, Repository
from shipkeeper.store.values import Backup
from shipkeeper.store.verify import verify
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.snapshots import (
    PREFIX,
    ListedSnapshot,
    SnapshotCatalog,
    listed_snapshot,
    open_catalog,
)

# Opened backups: the names of some hundred thousand objects take tens of megabytes.
_OPEN = 3
_OPENED_AT_ONCE = 2
Opened: TypeAlias = Catalog | SnapshotCatalog


class Listed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A backup in the list; `verified_at` is None if it was not since it was made."""

    row: BackupRow
    verified_at: datetime | None
    harm: tuple[Finding, ...] = ()


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What a repository holds, the newest first, and the newest verification of it."""

    backups: list[Listed]
    snapshots: list[ListedSnapshot]
    verified: Verification | None


class Verifying(msgspec.Struct, frozen=True, kw_only=True):
    """A verification under way, in bytes; or how one ended without an outcome."""

    done: int
    total: int
    error: dict[str, str] | None = None


class Library:
    """One repository; `directory` keeps when it was verified.

    Only what `shows` lets through is there, by the cluster that a backup is of; empty where that
    is not known, as of snapshots of etcd.
    """

    def __init__(self, place: Place | None, directory: Path, shows: Callable[[str], bool]) -> None:
        self._place = place
        self._shows = shows
        self._directory = directory
        self._repository: Repository | None = None
        self._catalogs: OrderedDict[str, Opened] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._opening = asyncio.Semaphore(_OPENED_AT_ONCE)
        # A snapshot is gigabytes in a file: one is fetched at a time.
        self._fetching = asyncio.Semaphore(1)
        self._task: asyncio.Task[None] | None = None
        self.verifying: Verifying | None = None

    @property
    def place(self) -> Place:
        """Where it is; RefusedError if the console was started without one."""
        if self._place is None:
            raise RefusedError(
                404,
                "this console was started without a repository of backups",
                reason="NoRepository",
                hint="start it with: shipkeeper serve --repo URL; make a repository with: "
                "shipkeeper backup init --repo FOLDER",
            )
        return self._place

    async def repository(self) -> Repository:
        """The repository, opened with the keys that the console was given."""
        if self._repository is None:
            async with open_repository(self.place) as opened:
                self._repository = opened
        return self._repository

    async def shelf(self) -> Shelf:
        """Every backup and every snapshot of etcd."""
        opened = await self.repository()
        known = recall(self._directory, opened.id)
        found = [each for each in (await opened.backups())[::-1] if self._is_shown(each)]
        return Shelf(
            backups=[_listed(each, known) for each in found if each.kind != SNAPSHOT],
            snapshots=[listed_snapshot(each) for each in found if each.kind == SNAPSHOT],
            verified=known and known.about({each.name for each in found}),
        )

    async def opened(self, name: str) -> Opened:
        """What is in a backup, or in a snapshot (`etcd:NAME`).

        NoSuchBackupError, and UsageError without the key that reads.
        """
        repository = await self._reading()
        backup = await self._find(repository, name)
        # Whoever asks for the same takes what the first one reads; nobody else waits for it.
        lock = self._locks.setdefault(backup.name, asyncio.Lock())
        async with lock:
            found = self._catalogs.get(backup.name) or await self._read(repository, backup)
            self._catalogs[backup.name] = found
            self._catalogs.move_to_end(backup.name)
            while len(self._catalogs) > _OPEN:
                self._catalogs.popitem(last=False)
            return found

    async def _find(self, repository: Repository, name: str) -> Backup:
        wanted = name.removeprefix(PREFIX)
        kind = SNAPSHOT if wanted != name else ""
        if name == LATEST:
            shown = [each for each in await repository.backups() if self._is_shown(each)]
            meant = [each.name for each in shown if each.damaged or each.kind == kind]
            wanted = meant[-1] if meant else LATEST
        found = await repository.find(wanted, kind)
        if not self._is_shown(found):
            raise NoSuchBackupError(f"no backup {name!r} of this cluster")
        return found

    def _is_shown(self, backup: Backup) -> bool:
        contents = _contents(backup)
        return self._shows(contents.cluster if contents else "")

    async def _read(self, repository: Repository, backup: Backup) -> Opened:
        if backup.kind != SNAPSHOT:
            async with self._opening:
                return await Catalog.of(await open_archive(repository, backup.name))
        async with self._fetching:
            return await open_catalog(repository, backup)

    async def catalog(self, name: str) -> Catalog:
        """The same of a backup; RefusedError for a snapshot."""
        found = None if name.startswith(PREFIX) else await self.opened(name)
        if not isinstance(found, Catalog):
            raise RefusedError(
                409,
                "objects come out of a snapshot of etcd one by one, by the command line",
                reason="NeedsCommandLine",
                hint="shipkeeper etcd get repo:NAME KIND NAME -n NAMESPACE | kubectl apply -f -",
            )
        return found

    async def _reading(self) -> Repository:
        if not self.place.identity:
            raise RefusedError(
                409,
                "this console was started without the identity that reads backups",
                reason="NoIdentity",
                hint="start it with: shipkeeper serve --repo URL --identity FILE",
            )
        return await self.repository()

    async def begin_verifying(self) -> None:
        """Read and check every byte, beside everything else; one verification at a time."""
        opened = await self.repository()
        if self._task is None or self._task.done():
            self.verifying = Verifying(done=0, total=0)
            self._task = asyncio.create_task(self._verify(opened), name="verify the repository")

    async def _verify(self, opened: Repository) -> None:
        def progress(done: int, total: int) -> None:
            self.verifying = Verifying(done=done, total=total)

        began = datetime.now(UTC)
        try:
            report = await verify(opened, progress)
            with suppress(OSError):
                remember(self._directory, opened.id, began, report)
            self.verifying = None
        except ShipkeeperError as error:
            told = {"reason": error.reason, "message": error.message, "hint": error.hint}
            self.verifying = Verifying(done=0, total=0, error=told)


def _listed(backup: Backup, known: Verification | None) -> Listed:
    is_known = known is not None and known.covers(backup)
    return Listed(
        row=backup_row(backup, _contents(backup)),
        verified_at=known.at if known and is_known else None,
        harm=known.harm_to(backup) if known and is_known else (),
    )


def _contents(backup: Backup) -> Contents | None:
    try:
        return decode_contents(backup.summary, backup.name)
    except ContentsError:
        return None
