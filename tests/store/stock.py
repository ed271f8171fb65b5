"""Repositories with something in them."""

import random
from collections.abc import Mapping, Sequence

from shipkeeper.store.blobs import Blobs
from shipkeeper.store.keys import ReaderKey, WriterKey, new_reader_key, new_writer_key
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Backup, Entry

CANARY = b"canary-7f0d3a5e-never-in-the-clear"

Content = Mapping[str, Sequence[tuple[bytes, bytes]]]
"""Sections, each a list of (meta, body)."""

READER: ReaderKey = new_reader_key()
WRITER: WriterKey = new_writer_key()


def sample(count: int, *, seed: int = 1, section: str = "v1/secrets") -> Content:
    """Objects of some hundred bytes, the canary in the body and the meta of each."""
    dice = random.Random(seed)
    return {
        section: [
            (
                CANARY + b"/%06d" % number,
                b'{"kind":"Secret","data":"%s"}%s' % (dice.randbytes(100).hex().encode(), CANARY),
            )
            for number in range(count)
        ]
    }


async def new_repository(blobs: Blobs) -> Repository:
    """An empty one, opened with both keys."""
    await Repository.create(blobs, WRITER, [READER.recipient])
    return await reopen(blobs)


async def reopen(blobs: Blobs) -> Repository:
    return await Repository.open(blobs, writer=WRITER, reader=READER)


async def save(repository: Repository, content: Content, summary: bytes = b"{}") -> Backup:
    async with repository.writing() as writer:
        for section, pairs in content.items():
            ids = await writer.put([body for _, body in pairs])
            entries = [
                Entry(meta, (id_,), len(body)) for (meta, body), id_ in zip(pairs, ids, strict=True)
            ]
            await writer.append(section, entries)
        return await writer.commit(summary)


async def load(repository: Repository, backup: Backup) -> dict[str, list[tuple[bytes, bytes]]]:
    """All of a backup, as it was saved."""
    snapshot = await repository.snapshot(backup)
    loaded: dict[str, list[tuple[bytes, bytes]]] = {}
    for section in snapshot.sections:
        pairs = loaded[section.name] = []
        async for entries in snapshot.entries(section.name):
            bodies = await repository.read([part for entry in entries for part in entry.parts])
            pairs += [(entry.meta, body) for entry, body in zip(entries, bodies, strict=True)]
    return loaded


def plain(content: Content) -> dict[str, list[tuple[bytes, bytes]]]:
    """For comparison with `load`."""
    return {section: list(pairs) for section, pairs in content.items()}
