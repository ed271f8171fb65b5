"""Checking a whole repository: every flipped, missing, swapped or added byte, by name."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence, Set

from shipkeeper.store.access import Access
from shipkeeper.store.blobs import BlobInfo, listed
from shipkeeper.store.crosscheck import cross_check
from shipkeeper.store.depth import Depth
from shipkeeper.store.documents import PACKS, base
from shipkeeper.store.errors import BlobMissingError
from shipkeeper.store.findings import Finding, Report, merged
from shipkeeper.store.inspection import Inspection, inspect
from shipkeeper.store.repository import Repository

_AHEAD = 3


async def verify(
    repository: Repository, progress: Callable[[int, int], None] = lambda done, total: None
) -> Report:
    """Read everything and check it; `progress` hears bytes read and bytes in all.

    Works beside writers: what they add meanwhile is not looked at. With the reader's key every
    object is decrypted; with the writer's alone, or none, hashes and signatures are checked.
    """
    access = repository.access
    found = await listed(access.blobs, "")
    total = sum(info.size for info in found.values())
    packs = [info for name, info in sorted(found.items()) if name.startswith(f"{PACKS}/")]
    others = [info for name, info in sorted(found.items()) if not name.startswith(f"{PACKS}/")]
    seen, done = Inspection(), 0
    async for info, content in _read_ahead(access, others):
        inspect(access, seen, info, content)
        progress(done := done + info.size, total)
    depth = Depth(access, seen)
    async for info, content in _read_ahead(access, packs):
        await asyncio.to_thread(_look_into, access, seen, depth, info, content)
        progress(done := done + info.size, total)
    seen.findings += cross_check(access, seen, set(found))
    visible = [record for name, record in seen.records.items() if name not in seen.forgotten]
    for record in visible:
        await depth.walk(record)
    return Report(
        depth="content" if access.reader else "structure",
        backups=len(visible),
        blobs=len(found),
        bytes=total,
        objects=depth.objects,
        findings=merged(seen.findings),
    )


async def names_of(repository: Repository) -> frozenset[str]:
    """The names of all blobs that are there now."""
    return frozenset(await listed(repository.access.blobs, ""))


async def verify_added(repository: Repository, before: Set[str]) -> tuple[Finding, ...]:
    """Read back what came since `before`; what does not fit its hash or its signature."""
    access, seen = repository.access, Inspection()
    found = await listed(access.blobs, "")
    added = [info for name, info in sorted(found.items()) if name not in before]
    async for info, content in _read_ahead(access, added):
        inspect(access, seen, info, content)
    return tuple(each for each in merged(seen.findings) if not each.harmless)


def _look_into(
    access: Access, seen: Inspection, depth: Depth, info: BlobInfo, content: bytes
) -> None:
    sound = len(seen.packs)
    inspect(access, seen, info, content)
    if len(seen.packs) > sound:
        depth.open_pack(bytes.fromhex(base(info.name)), content)


async def _read_ahead(
    access: Access, infos: Sequence[BlobInfo]
) -> AsyncIterator[tuple[BlobInfo, bytes]]:
    for start in range(0, len(infos), _AHEAD):
        some = infos[start : start + _AHEAD]
        contents = await asyncio.gather(*(_read(access, info) for info in some))
        for info, content in zip(some, contents, strict=True):
            # A prune at work may sweep what was listed.
            if content is not None:
                yield info, content


async def _read(access: Access, info: BlobInfo) -> bytes | None:
    try:
        return await access.blobs.read(info.name)
    except BlobMissingError:
        return None
