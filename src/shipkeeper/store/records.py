"""The records of backups: which are visible, what they say."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Iterable, Mapping

import msgspec

from shipkeeper.store.access import Access
from shipkeeper.store.blobs import BlobInfo, create_same, listed
from shipkeeper.store.documents import (
    BACKUPS,
    DOOMED,
    FORGOTTEN,
    BackupBody,
    BackupDocument,
    DoomedDocument,
    ForgottenDocument,
    base,
)
from shipkeeper.store.errors import (
    AccessDeniedError,
    BlobMissingError,
    DamagedError,
    ForgottenError,
)
from shipkeeper.store.sealing import lock, unlock
from shipkeeper.store.values import Backup

_PURPOSE = b"shipkeeper backup 1"
_AT_ONCE = 8
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A visible backup's record. `document` is None when its blob is damaged."""

    name: str
    stored: BlobInfo
    document: BackupDocument | None

    @property
    def created(self) -> dt.datetime:
        """The store's clock at the backup's end."""
        if self.document is None:
            return self.stored.modified
        return _EPOCH + dt.timedelta(microseconds=self.document.created_us)

    def body(self, access: Access) -> BackupBody:
        """The part that takes a key; DamagedError."""
        if self.document is None:
            raise DamagedError(f"{self.stored.name} is not what was written")
        plain = unlock(access.index_key, self.document.locked, _PURPOSE)
        return msgspec.msgpack.decode(plain, type=BackupBody)

    def backup(self, access: Access) -> Backup:
        """What callers see."""
        if self.document is None or access.secret is None:
            return Backup(name=self.name, created=self.created, damaged=self.document is None)
        body = self.body(access)
        return Backup(
            name=self.name,
            created=self.created,
            summary=body.summary,
            figures=body.figures,
            kind=body.kind,
        )


def microseconds(moment: dt.datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def locked_body(access: Access, body: BackupBody) -> bytes:
    """A record's locked part."""
    return lock(access.index_key, msgspec.msgpack.encode(body), _PURPOSE)


def check_record(access: Access, stored: BlobInfo, content: bytes) -> Record:
    """A record out of its bytes."""
    name = base(stored.name)
    try:
        document = access.seal.open(content, BACKUPS, name, BackupDocument)
    except DamagedError:
        document = None
    return Record(name=name, stored=stored, document=document)


async def visible(access: Access) -> dict[str, BlobInfo]:
    """The blobs of the backups that are there and not forgotten, by the backups' names."""
    forgotten = {base(name) for name in await listed(access.blobs, FORGOTTEN)}
    found = await listed(access.blobs, BACKUPS)
    return {base(name): info for name, info in found.items() if base(name) not in forgotten}


async def read_records(access: Access, infos: Iterable[BlobInfo]) -> list[Record]:
    """Records, oldest first; what went away in the meantime is left out."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(info: BlobInfo) -> Record | None:
        async with slots:
            try:
                return check_record(access, info, await access.blobs.read(info.name))
            except BlobMissingError:
                return None

    found = await asyncio.gather(*(one(info) for info in infos))
    return sorted((r for r in found if r), key=lambda record: (record.created, record.name))


async def latest_created(access: Access, found: Mapping[str, BlobInfo]) -> dt.datetime:
    """When the newest of these backups was made; 1970 when there is none."""
    if not found:
        return _EPOCH
    newest = max(found.values(), key=lambda info: info.modified)
    # The store's times may be whole seconds: every record of that second counts.
    close = [i for i in found.values() if newest.modified - i.modified <= dt.timedelta(seconds=1)]
    records = await read_records(access, close)
    return max((record.created for record in records), default=_EPOCH)


async def require_not_forgotten(access: Access, name: str) -> None:
    """ForgottenError if a note hides the backup of that name, be it there or still to come."""
    try:
        await access.blobs.info(f"{FORGOTTEN}/{name}")
    except BlobMissingError:
        return
    raise ForgottenError(name)


async def forget(access: Access, name: str) -> None:
    """Hide a backup by a signed note, then remove its record where the store lets us."""
    note = access.sign(FORGOTTEN, name, ForgottenDocument(backup=name))
    await create_same(access.blobs, f"{FORGOTTEN}/{name}", note)
    # Under an object lock the record stays; the note alone hides it.
    with contextlib.suppress(AccessDeniedError):
        await access.blobs.remove(f"{BACKUPS}/{name}")


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A prune's mark: blobs that no backup needed when it was stored."""

    stored: BlobInfo
    document: DoomedDocument


async def read_marks(access: Access) -> list[Mark]:
    """Every mark; DamagedError, for nothing may be written or swept beside an unknown one."""
    marks: list[Mark] = []
    for info in (await listed(access.blobs, DOOMED)).values():
        try:
            content = await access.blobs.read(info.name)
        except BlobMissingError:
            continue
        document = access.seal.open(content, DOOMED, base(info.name), DoomedDocument)
        marks.append(Mark(stored=info, document=document))
    return marks
