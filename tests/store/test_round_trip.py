"""Any content comes back; a change costs what it changes; reading one object reads little."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.store.documents import needs, segments_in
from shipkeeper.store.errors import DamagedError
from shipkeeper.store.tree import Branch, Leaf, TreeBuilder, decode_node
from shipkeeper.store.values import MAX_OBJECT_BYTES, Entry
from tests.store.shelf import Shelf
from tests.store.stock import Content, load, new_repository, plain, reopen, sample, save

PAIRS = st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=3000)), max_size=30)
CONTENTS = st.dictionaries(st.text(max_size=20), PAIRS, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(CONTENTS, min_size=1, max_size=3))
def test_any_contents_come_back(contents: list[Content]) -> None:
    async def run() -> None:
        shelf = Shelf()
        repository = await new_repository(shelf)
        backups = [await save(repository, content) for content in contents]
        repository = await reopen(shelf)
        for backup, content in zip(backups, contents, strict=True):
            assert await load(repository, backup) == plain(content)

    asyncio.run(run())


@given(st.sets(st.tuples(st.sampled_from([b"a" * 32, b"b" * 32, b"c" * 32]), st.integers(0, 300))))
def test_needs_are_bitmaps(segments: set[tuple[bytes, int]]) -> None:
    assert set(segments_in(needs(segments))) == segments


@settings(deadline=None)
@given(st.integers(0, 3000), st.data())
def test_a_change_moves_the_nodes_on_its_own_path_alone(count: int, data: st.DataObject) -> None:
    entries = [Entry(b"name-%06d" % n, (b"%032d" % n,), n) for n in range(count)]
    before, root = tree(entries)
    assert flat(before, root) == entries
    at = data.draw(st.integers(0, count))
    changed = [*entries[:at], Entry(b"new", (), 0), *entries[at:]]
    after, root = tree(changed)
    assert flat(after, root) == changed
    assert len(after.keys() - before.keys()) <= 2 * (1 + depth(after, root))


Nodes = dict[bytes, bytes]


def tree(entries: list[Entry]) -> tuple[Nodes, bytes]:
    nodes: Nodes = {}

    def store(node: bytes) -> bytes:
        id_ = str(hash(node)).encode().rjust(32)
        nodes[id_] = node
        return id_

    builder = TreeBuilder(store)
    builder.append(entries)
    section = builder.finish("section")
    assert (section.entries, section.content_bytes) == (len(entries), sum(e.size for e in entries))
    return nodes, section.root


def flat(nodes: Nodes, id_: bytes) -> list[Entry]:
    node = decode_node(nodes[id_])
    if isinstance(node, Leaf):
        return list(node.items)
    return [entry for child in node.items for entry in flat(nodes, child.id)]


def depth(nodes: Nodes, id_: bytes) -> int:
    node = decode_node(nodes[id_])
    return 1 + depth(nodes, node.items[0].id) if isinstance(node, Branch) else 0


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x92\x00", b"\x92\x01\x91\x05"])
def test_a_node_that_is_none(content: bytes) -> None:
    with pytest.raises(DamagedError):
        decode_node(content)


async def test_one_changed_object_costs_little() -> None:
    repository = await new_repository(Shelf())
    content = sample(5000)
    first = await save(repository, content)
    [(section, pairs)] = content.items()
    changed = [*pairs[:2500], (pairs[2500][0], b"changed"), *pairs[2501:]]
    second = await save(repository, {section: changed})
    assert first.figures
    assert second.figures
    assert second.figures.new_objects < 6
    # Nodes of the tree are cut by a keyed hash: how large they are differs between repositories.
    assert second.figures.added_bytes < 0.05 * first.figures.added_bytes
    assert await load(repository, second) == {section: changed}


async def test_reading_one_object_reads_its_segment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    repository = await new_repository(shelf)
    [pairs] = sample(20_000).values()
    async with repository.writing() as writer:
        ids = await writer.add("s", [m for m, _ in pairs], [b for _, b in pairs])
        await writer.commit(b"")
    repository = await reopen(shelf)
    await repository.read([])
    read: list[int] = []
    whole = shelf.read_range

    async def counted(name: str, start: int, end: int) -> bytes:
        read.append(end - start)
        return await whole(name, start, end)

    monkeypatch.setattr(shelf, "read_range", counted)
    assert await repository.read([ids[7777]]) == [pairs[7777][1]]
    assert len(read) == 1
    assert read[0] < 128 * 1024


async def test_views_large_objects_and_many_parts() -> None:
    repository = await new_repository(Shelf())
    page = bytes(range(256)) * 8192
    async with repository.writing() as writer:
        ids = await writer.put([memoryview(page)[:100], page, bytearray(b"z" * 10)])  # type: ignore[list-item]
        await writer.append("files", [Entry(b"big", (ids[1], ids[0]), len(page) + 100)])
        with pytest.raises(ValueError, match="at most"):
            await writer.put([bytes(MAX_OBJECT_BYTES + 1)])
        with pytest.raises(ValueError, match="parts"):
            await writer.append("files", [Entry(b"m", (ids[0],) * 5000, 0)])
        await writer.commit(b"")
    assert await repository.read(ids[:2]) == [page[:100], page]
