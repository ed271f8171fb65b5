"""What a repository promises, on every backend."""

import asyncio

import pytest

from shipkeeper.store import prune
from shipkeeper.store.blobs import Blobs, listed
from shipkeeper.store.errors import (
    BlobExistsError,
    BlobMissingError,
    NoRepositoryError,
    NoSuchBackupError,
    RepositoryExistsError,
)
from shipkeeper.store.keys import new_writer_key
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Entry
from shipkeeper.store.verify import verify
from tests.store.stock import (
    CANARY,
    READER,
    WRITER,
    load,
    new_repository,
    plain,
    reopen,
    sample,
    save,
)


async def test_blobs_are_created_once(blobs: Blobs) -> None:
    await blobs.create("a/b/one", b"first")
    with pytest.raises(BlobExistsError):
        await blobs.create("a/b/one", b"other")
    assert await blobs.read("a/b/one") == b"first"
    assert await blobs.read_range("a/b/one", 1, 3) == b"ir"
    info = await blobs.info("a/b/one")
    assert info.size == 5
    assert await listed(blobs, "a") == {"a/b/one": info} == await listed(blobs, "")
    assert await listed(blobs, "b") == {}
    await blobs.remove("a/b/one")
    await blobs.remove("a/b/one")
    for missing in (blobs.read("a/b/one"), blobs.info("a/b/one"), blobs.read_range("c", 0, 1)):
        with pytest.raises(BlobMissingError):
            await missing


async def test_of_racing_creations_one_wins(blobs: Blobs) -> None:
    contents = [bytes([number]) * 1000 for number in range(8)]
    results = await asyncio.gather(
        *(blobs.create("race", content) for content in contents), return_exceptions=True
    )
    [winner] = [n for n, result in enumerate(results) if result is None]
    assert await blobs.read("race") == contents[winner]


async def test_a_repository_gives_back_what_it_was_given(blobs: Blobs) -> None:
    with pytest.raises(NoRepositoryError):
        await reopen(blobs)
    repository = await new_repository(blobs)
    with pytest.raises(RepositoryExistsError):
        await Repository.create(blobs, new_writer_key(), [READER.recipient])
    content = {**sample(1500), "empty": [], "v1/configmaps": [(b"a", b""), (b"b", b"x" * 300_000)]}
    first = await save(repository, content, b"first")
    second = await save(repository, content, b"second")
    assert first.figures
    assert second.figures
    assert first.figures.entries == 1502
    assert second.figures.new_objects == 0
    assert second.figures.added_bytes < 0.02 * first.figures.added_bytes
    assert second.created > first.created
    repository = await reopen(blobs)
    assert await repository.backups() == [first, second]
    assert await repository.find("latest") == second == await repository.find(second.name[:8])
    for backup in (first, second):
        assert await load(repository, backup) == plain(content)
    report = await verify(repository)
    assert report.findings == ()
    assert (report.depth, report.backups) == ("content", 2)
    assert report.objects > 1502
    for name in await listed(blobs, ""):
        stored = await blobs.read(name)
        assert CANARY not in stored
        assert b"v1/" not in stored or name.startswith("dictionaries/")


async def test_forgotten_bytes_go_and_kept_bytes_stay(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = await new_repository(blobs)
    kept = sample(300, seed=1)
    gone = await save(repository, {**kept, **sample(2000, seed=2, section="gone")})
    before = await listed(blobs, "packs")
    staying = await save(repository, kept)
    await repository.forget([gone.name])
    with pytest.raises(NoSuchBackupError):
        await repository.find(gone.name)
    monkeypatch.setattr("shipkeeper.store.upkeep.SMALL_BYTES", 0)
    no_grace = prune.GRACE * 0
    foreseen = await prune.plan(repository, no_grace)
    marked = await prune.prune(repository, no_grace)
    assert set(foreseen.mark) == set(marked.marked)
    swept = await prune.prune(repository, no_grace)
    assert set(before) <= set(swept.swept)
    assert sum(i.size for i in (await listed(blobs, "packs")).values()) < 0.5 * sum(
        info.size for info in before.values()
    )
    repository = await reopen(blobs)
    assert await load(repository, staying) == plain(kept)
    assert (await verify(repository)).findings == ()


async def test_two_writers_at_once(blobs: Blobs) -> None:
    await new_repository(blobs)
    content = sample(400)
    repositories = [await reopen(blobs) for _ in range(2)]
    backups = await asyncio.gather(*(save(r, content) for r in repositories))
    repository = await reopen(blobs)
    assert {b.name for b in await repository.backups()} == {b.name for b in backups}
    for backup in backups:
        assert await load(repository, backup) == plain(content)
    assert (await verify(repository)).findings == ()


async def test_an_abandoned_backup_is_invisible(blobs: Blobs) -> None:
    repository = await new_repository(blobs)
    async with repository.writing() as writer:
        await writer.put([b"x" * 200_000])
        with pytest.raises(ValueError, match="not put"):
            await writer.append("s", [Entry(b"m", (b"0" * 32,), 1)])
    assert await repository.backups() == []
    assert [f for f in (await verify(repository)).findings if not f.harmless] == []


async def test_the_writer_needs_no_key_that_reads(blobs: Blobs) -> None:
    await Repository.create(blobs, WRITER, [READER.recipient])
    alone = await Repository.open(blobs, writer=WRITER)
    await save(alone, sample(50), b"mine")
    again = await save(alone, sample(50), b"again")
    assert again.figures
    assert again.figures.new_objects == 0
    assert [b.summary for b in await alone.backups()] == [b"mine", b"again"]
    keyless = await Repository.open(blobs)
    assert [b.summary for b in await keyless.backups()] == [None, None]
    for repository in (alone, keyless):
        report = await verify(repository)
        assert (report.depth, report.backups, report.findings) == ("structure", 2, ())
