"""Getting objects back: range reads of their segments, decrypted, and checked against their ids."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag

from shipkeeper.store.access import Access
from shipkeeper.store.documents import pack_path
from shipkeeper.store.errors import DamagedError
from shipkeeper.store.index import Index
from shipkeeper.store.pack import Segment, decrypt
from shipkeeper.store.sealing import unseal
from shipkeeper.store.values import ObjectId

_CACHE_BYTES = 32 * 1024 * 1024
_GAP_BYTES = 256 * 1024
_MOST_BYTES = 8 * 1024 * 1024
_AT_ONCE = 4

_Objects = dict[ObjectId, bytes]


class ObjectReader:
    """Reads objects by id; keeps some opened segments in memory, as neighbours are often next."""

    def __init__(self, access: Access, index: Index) -> None:
        self._access = access
        self._index = index
        self._keys: dict[bytes, bytes] = {}
        self._cache: OrderedDict[Segment, _Objects] = OrderedDict()
        self._cached = 0
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def read(self, ids: Sequence[ObjectId]) -> list[bytes]:
        """The objects' bytes in order; DamagedError, naming the pack, when one cannot be had."""
        segments = {self._segment(id_) for id_ in ids}
        found: _Objects = {}
        for segment in segments & self._cache.keys():
            self._cache.move_to_end(segment)
            found.update(self._cache[segment])
        missing = segments - self._cache.keys()
        for opened in await asyncio.gather(*map(self._fetch, _runs(missing))):
            for segment, objects in opened:
                self._remember(segment, objects)
                found.update(objects)
        return [found[id_] for id_ in ids]

    def _segment(self, id_: ObjectId) -> Segment:
        segment = self._index.where.get(id_)
        if segment is None:
            lost = ", ".join(self._index.unreadable)
            raise DamagedError(
                f"object {id_.hex()} is in no pack of {self._access.blobs.url}"
                + (f" (damaged: {lost})" if lost else "")
            )
        return segment

    async def _fetch(self, run: Sequence[Segment]) -> list[tuple[Segment, _Objects]]:
        path, start = pack_path(run[0].pack), run[0].offset
        end = run[-1].offset + run[-1].stored
        async with self._slots:
            content = await self._access.blobs.read_range(path, start, end)
            return await asyncio.to_thread(self._open_run, run, content, start)

    def _open_run(
        self, run: Sequence[Segment], content: bytes, start: int
    ) -> list[tuple[Segment, _Objects]]:
        view = memoryview(content)
        return [
            (s, self.open_segment(s, view[s.offset - start : s.offset - start + s.stored]))
            for s in run
        ]

    def open_segment(self, segment: Segment, stored: bytes | memoryview) -> _Objects:
        """A segment's objects out of its stored bytes; DamagedError when anything differs."""
        path = pack_path(segment.pack)
        try:
            plain = decrypt(self._key(segment), segment.number, bytes(stored))
            dictionary = self._access.dictionary
            raw = zstandard.ZstdDecompressor(
                dict_data=zstandard.ZstdCompressionDict(dictionary) if dictionary else None
            ).decompress(plain, max_output_size=segment.raw)
        except (InvalidTag, zstandard.ZstdError) as error:
            raise DamagedError(f"{path}: segment {segment.number} is damaged") from error
        objects = _cut(raw, segment)
        for id_, body in objects.items():
            if blake3(body, key=self._access.id_key).digest() != id_:
                raise DamagedError(f"{path}: object {id_.hex()} is not what its id says")
        return objects

    def _key(self, segment: Segment) -> bytes:
        key = self._keys.get(segment.sealed_key)
        if key is None:
            key = unseal(segment.sealed_key, self._access.reading.identity)
            self._keys[segment.sealed_key] = key
        return key

    def _remember(self, segment: Segment, objects: _Objects) -> None:
        self._cache[segment] = objects
        self._cached += segment.raw
        while self._cached > _CACHE_BYTES and len(self._cache) > 1:
            oldest, _ = self._cache.popitem(last=False)
            self._cached -= oldest.raw


def _cut(raw: bytes, segment: Segment) -> _Objects:
    objects: _Objects = {}
    start = 0
    for id_, length in zip(segment.ids, segment.lengths, strict=True):
        objects[id_] = raw[start : start + length]
        start += length
    return objects


def _runs(segments: Iterable[Segment]) -> list[list[Segment]]:
    """Segments that lie close together in a pack come in one request."""
    runs: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: (s.pack, s.offset)):
        last = runs[-1][-1] if runs else None
        near = (
            last is not None
            and last.pack == segment.pack
            and segment.offset - (last.offset + last.stored) <= _GAP_BYTES
            and segment.offset + segment.stored - runs[-1][0].offset <= _MOST_BYTES
        )
        if near:
            runs[-1].append(segment)
        else:
            runs.append([segment])
    return runs
