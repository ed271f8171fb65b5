"""Which objects are stored, and where: the index blobs put together in memory."""

import asyncio
from collections.abc import Collection, Sequence

import msgspec

from shipkeeper.store.access import Access
from shipkeeper.store.blobs import BlobInfo, create_same, listed
from shipkeeper.store.documents import INDEX, PACKS, IndexDocument, PackRow, base, needs, pack_path
from shipkeeper.store.errors import BlobMissingError, DamagedError
from shipkeeper.store.pack import Contents, Segment, decode_contents, segments_of
from shipkeeper.store.sealing import content_hash, lock, unlock
from shipkeeper.store.values import ObjectId

_PURPOSE = b"shipkeeper index 1"
_AT_ONCE = 8


class Index:
    """Every object that some present pack holds.

    `unreadable` are index blobs that are damaged: what they list counts as not stored, so a backup
    stores it again, and a reader is told.
    """

    def __init__(self) -> None:
        self.where: dict[ObjectId, Segment] = {}
        self.born: dict[tuple[bytes, int], Segment] = {}
        self.unreadable: list[str] = []

    def learn(self, pack: bytes, contents: Contents) -> None:
        """Add what a pack holds."""
        for segment in segments_of(pack, contents):
            self.born.setdefault((segment.origin, segment.number), segment)
            for id_ in segment.ids:
                self.where[id_] = segment


class IndexBlob(msgspec.Struct, frozen=True, kw_only=True):
    """An index blob, its signature and name checked."""

    name: str
    document: IndexDocument

    def contents(self, access: Access) -> list[Contents]:
        """The tables of contents of its packs; DamagedError."""
        tables = msgspec.msgpack.decode(
            unlock(access.index_key, self.document.locked, _PURPOSE), type=list[bytes]
        )
        if len(tables) != len(self.document.packs):
            raise DamagedError(f"{self.name} contradicts itself")
        return [decode_contents(table) for table in tables]


def pack_row(name: bytes, size: int, contents: Contents) -> PackRow:
    """The line of a pack in an index."""
    held = ((contents.origins[row.origin][0] or name, row.number) for row in contents.segments)
    return PackRow(name, size, needs(held))


async def store_index(
    access: Access,
    packs: Sequence[tuple[PackRow, Contents]],
    *,
    announces: str = "",
    last: bool = False,
    knows: Sequence[str] = (),
    replaces: Sequence[str] = (),
) -> tuple[str, int]:
    """Write an index blob for these packs; returns its name and its size."""
    tables = msgspec.msgpack.encode([msgspec.msgpack.encode(contents) for _, contents in packs])
    document = IndexDocument(
        announces=announces,
        last=last,
        replaces=tuple(replaces),
        knows=tuple(knows),
        packs=tuple(row for row, _ in packs),
        locked=lock(access.index_key, tables, _PURPOSE),
    )
    content = access.sign(INDEX, "", document)
    name = f"{INDEX}/{content_hash(content).hex()}"
    await create_same(access.blobs, name, content)
    return name, len(content)


async def read_index_blob(access: Access, name: str) -> IndexBlob:
    """An index blob; DamagedError when it is not what its name and seal say."""
    content = await access.blobs.read(name)
    return check_index_blob(access, name, content)


def check_index_blob(access: Access, name: str, content: bytes) -> IndexBlob:
    """An index blob out of its bytes; DamagedError when they are not what name and seal say."""
    if content_hash(content).hex() != base(name):
        raise DamagedError(f"{name} is not what was written")
    document = access.seal.open(content, INDEX, "", IndexDocument)
    return IndexBlob(name=name, document=document)


async def read_index_blobs(
    access: Access, names: Collection[str]
) -> tuple[list[IndexBlob], list[str]]:
    """The sound ones, some at a time, and the names of those that are not."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> IndexBlob | None:
        async with slots:
            try:
                return await read_index_blob(access, name)
            except (DamagedError, BlobMissingError):
                return None

    found = await asyncio.gather(*(one(name) for name in sorted(names)))
    sound = [blob for blob in found if blob]
    return sound, sorted(set(names) - {blob.name for blob in sound})


async def load_index(access: Access, without: Collection[str] = ()) -> Index:
    """The index of all packs that are present in full, but those whose paths are in `without`."""
    names = await listed(access.blobs, INDEX)
    present = await listed(access.blobs, PACKS)
    blobs, lost = await read_index_blobs(access, names)
    index = Index()
    index.unreadable = lost
    for blob in blobs:
        _learn_blob(access, index, blob, present, without)
    return index


def _learn_blob(
    access: Access,
    index: Index,
    blob: IndexBlob,
    present: dict[str, BlobInfo],
    without: Collection[str],
) -> None:
    try:
        tables = blob.contents(access)
    except DamagedError:
        index.unreadable.append(blob.name)
        return
    for row, contents in zip(blob.document.packs, tables, strict=True):
        path = pack_path(row.name)
        if path not in without and path in present and present[path].size == row.size:
            index.learn(row.name, contents)
