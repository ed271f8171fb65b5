"""Prune beside writers, killed anywhere, under an object lock: no kept backup ever loses a byte."""

import asyncio
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.store.errors import DamagedError, OutlivedError
from shipkeeper.store.prune import GRACE, plan, prune
from shipkeeper.store.repository import Repository
from shipkeeper.store.verify import verify
from tests.store.shelf import KilledError, Shelf, dying_at
from tests.store.stock import WRITER, load, new_repository, plain, reopen, sample, save


@pytest.fixture(autouse=True, scope="module")
def small_packs() -> object:
    """Small segments and packs, so that little content makes many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shipkeeper.store.writer.SEGMENT_BYTES", 1500)
        patch.setattr("shipkeeper.store.writer.TARGET_BYTES", 4000)
        patch.setattr("shipkeeper.store.prune.TARGET_BYTES", 4000)
        patch.setattr("shipkeeper.store.upkeep.SMALL_BYTES", 1500)
        patch.setattr("shipkeeper.store.upkeep.SMALL_PACKS", 4)
        patch.setattr("shipkeeper.store.upkeep.MANY_INDEXES", 4)
        yield


async def harm(shelf: Shelf) -> list[object]:
    """What a verify with all keys finds that an interrupted run does not explain."""
    report = await verify(await reopen(shelf))
    return [finding for finding in report.findings if not finding.harmless]


async def stocked() -> Shelf:
    """One backup forgotten, one kept that shares a part of its packs; older than the grace."""
    shelf = Shelf()
    repository = await new_repository(shelf)
    gone = await save(repository, {**sample(20), **sample(80, seed=2, section="gone")})
    await save(repository, sample(20))
    shelf.advance(hours=25)
    await repository.forget([gone.name])
    return shelf


async def test_nothing_is_removed_before_the_grace_is_over() -> None:
    shelf = await stocked()
    repository = await reopen(shelf)
    before = set(shelf.names("packs"))
    foreseen = await plan(repository, now=shelf.now)
    assert set(shelf.names("doomed")) == set()
    first = await prune(repository)
    assert first.swept == ()
    assert set(first.marked) == set(foreseen.mark)
    assert before <= set(shelf.names("packs"))
    shelf.advance(hours=23)
    assert (await prune(repository)).swept == ()
    shelf.advance(hours=2)
    last = await prune(repository)
    assert set(last.swept) == set(first.marked)
    assert last.swept_bytes == foreseen.mark_bytes
    assert len(shelf.names("packs")) < len(before) / 2
    assert await harm(shelf) == []
    assert not [f for f in (await verify(repository)).findings if f.reason != "Unfinished"]


async def test_prune_needs_no_key_that_reads() -> None:
    shelf = await stocked()
    [backup] = await (await reopen(shelf)).backups()

    alone = await Repository.open(shelf, writer=WRITER)
    await prune(alone)
    shelf.advance(hours=25)
    assert (await prune(alone)).swept
    assert await load(await reopen(shelf), backup) == plain(sample(20))


async def test_killed_at_any_write_it_harms_nothing_and_a_rerun_converges() -> None:
    original = await stocked()
    await prune(await reopen(original))
    original.advance(hours=25)
    # Sweeping, repacking, indexing and marking, all in one prune.
    repository = await reopen(original)
    gone = await save(repository, sample(60, seed=5, section="also gone"))
    await save(repository, sample(20))
    original.advance(hours=25)
    await repository.forget([gone.name])
    turn = 0
    for turn in range(1000):
        shelf = original.copy()
        shelf.before = dying_at(turn)
        try:
            await prune(await reopen(shelf))
        except KilledError:
            # It died where it was told to; what it left behind is looked at below.
            pass
        else:
            break
        shelf.before = lambda operation, name: None
        assert await harm(shelf) == [], turn
        for _ in range(3):
            await prune(await reopen(shelf))
            assert await harm(shelf) == [], turn
            shelf.advance(hours=25)
        assert (await prune(await reopen(shelf))).marked == ()
        assert (await verify(await reopen(shelf))).findings == (), turn
    assert turn > 8


async def test_a_writer_at_work_keeps_what_it_builds_on() -> None:
    """Its packs are doomed while it runs; it appears in time and the sweep spares them."""
    shelf = await stocked()
    repository = await reopen(shelf)
    [kept] = await repository.backups()
    content = sample(80, seed=2, section="gone")
    async with repository.writing() as writer:
        await prune(await reopen(shelf))
        await writer.add("gone", [m for m, _ in content["gone"]], [b for _, b in content["gone"]])
        shelf.advance(hours=17)
        backup = await writer.commit(b"")
    assert backup.figures
    assert backup.figures.new_objects < 20
    for _ in range(4):
        shelf.advance(hours=25)
        await prune(await reopen(shelf))
        assert await harm(shelf) == []
    repository = await reopen(shelf)
    assert await load(repository, backup) == plain(content)
    assert await load(repository, kept) == plain(sample(20))


async def test_what_a_writer_has_just_stored_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipkeeper.store.writer._INDEX_EVERY", 1)
    monkeypatch.setattr("shipkeeper.store.pipeline.BACKLOG_BYTES", 0)
    shelf = Shelf()
    repository = await new_repository(shelf)
    async with repository.writing() as writer:
        await writer.put([body for _, body in sample(50)["v1/secrets"]])
        await asyncio.sleep(0.1)
        assert shelf.names("packs")
        assert shelf.names("index")
        assert (await prune(await reopen(shelf))).marked == ()
    shelf.advance(hours=25)
    assert set(shelf.names("packs")) <= set((await prune(repository)).marked)
    shelf.advance(hours=25)
    await prune(repository)
    assert shelf.names("packs") == []
    assert (await verify(repository)).findings == ()


async def test_a_writer_that_outlives_the_grace_is_refused() -> None:
    shelf = await stocked()
    repository = await reopen(shelf)
    async with repository.writing() as writer:
        await prune(await reopen(shelf))
        pairs = sample(80, seed=2, section="gone")["gone"]
        await writer.add("gone", [m for m, _ in pairs], [b for _, b in pairs])
        shelf.advance(hours=18)
        with pytest.raises(OutlivedError):
            await writer.commit(b"")
    assert len(await repository.backups()) == 1
    assert await harm(shelf) == []


async def test_later_writers_do_not_build_on_doomed_packs() -> None:
    shelf = await stocked()
    await prune(await reopen(shelf))
    repository = await reopen(shelf)
    again = await save(repository, sample(80, seed=2, section="gone"))
    assert again.figures
    assert again.figures.new_objects > 40
    shelf.advance(hours=25)
    assert (await prune(await reopen(shelf))).swept
    assert await harm(shelf) == []


async def test_under_an_object_lock_nothing_breaks() -> None:
    shelf = await stocked()
    shelf.locked = True
    repository = await reopen(shelf)
    await prune(repository)
    shelf.advance(hours=25)
    result = await prune(repository)
    assert result.refused
    assert result.swept == ()
    [kept] = await repository.backups()
    await repository.forget([kept.name])
    assert await repository.backups() == []
    await save(repository, sample(20))
    assert await harm(shelf) == []


async def test_it_refuses_beside_a_damaged_record() -> None:
    shelf = await stocked()
    [name] = shelf.names("backups")
    content, modified = shelf.blobs[name]
    shelf.blobs[name] = (content[:-1], modified)
    with pytest.raises(DamagedError, match=name):
        await prune(await reopen(shelf))


async def test_a_clock_that_is_wrong_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and orders come from the store; only `plan` asks this machine, and only to foretell."""
    shelf = await stocked()
    shelf.now = dt.datetime(1999, 1, 1, tzinfo=dt.UTC)
    repository = await reopen(shelf)
    late = await save(repository, sample(3, seed=9))
    assert (await repository.backups())[-1] == late
    await prune(repository)
    assert await harm(shelf) == []


STEPS = st.one_of(
    st.tuples(st.just("save"), st.integers(0, 5), st.integers(1, 25)),
    st.tuples(st.just("begin"), st.integers(0, 5), st.integers(1, 25)),
    st.tuples(st.just("end"), st.just(0), st.just(0)),
    st.tuples(st.just("forget"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("prune"), st.sampled_from([0, 1]), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 30), st.just(0)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=4, max_size=14))
def test_whatever_happens_every_visible_backup_is_whole(
    steps: list[tuple[str, int, int]],
) -> None:
    asyncio.run(play(steps))


async def play(steps: list[tuple[str, int, int]]) -> None:
    shelf = Shelf()
    repository = await new_repository(shelf)
    saved: dict[str, object] = {}
    at_work = None
    for step, number, count in steps:
        match step:
            case "save":
                backup = await save(repository, sample(count, seed=number))
                saved[backup.name] = plain(sample(count, seed=number))
            case "begin" if at_work is None:
                context = repository.writing()
                writer = await context.__aenter__()
                content = sample(count, seed=number)
                [pairs] = content.values()
                await writer.add("v1/secrets", [m for m, _ in pairs], [b for _, b in pairs])
                at_work = (context, writer, content)
            case "end" if at_work:
                context, writer, content = at_work
                try:
                    backup = await writer.commit(b"")
                    saved[backup.name] = plain(content)
                except OutlivedError:
                    # A prune took it for given up, and says so: nothing was saved, or lost.
                    pass
                await context.__aexit__(None, None, None)
                at_work = None
            case "forget":
                for backup in (await repository.backups())[number : number + 1]:
                    await repository.forget([backup.name])
                    del saved[backup.name]
            case "prune":
                await prune(await reopen(shelf), GRACE * number)
            case _:
                shelf.advance(hours=number)
    if at_work:
        await at_work[0].__aexit__(None, None, None)
    assert await harm(shelf) == []
    repository = await reopen(shelf)
    assert {b.name: await load(repository, b) for b in await repository.backups()} == saved
