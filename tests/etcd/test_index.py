"""The index of a snapshot: read in haste or with care it is the same, and no stale one is used."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipkeeper.etcd import sweep
from shipkeeper.etcd.bolt.database import Database
from shipkeeper.etcd.browse import Browser
from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.errors import DamagedError
from shipkeeper.etcd.index import Index, open_index
from shipkeeper.etcd.indexing import build_index
from shipkeeper.etcd.snapshot import open_snapshot
from tests.etcd import databases
from tests.etcd.databases import SIZE, deleted, written
from tests.etcd.world import run

CONFIG_MAP = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"n":"%d"}}'


def entries() -> Iterator[tuple[bytes, bytes]]:
    """Keys of all lengths with some revisions each, some of them deleted."""
    chance = random.Random(3)
    names = [f"/registry/configmaps/shop/{'n' * length}" for length in (1, 80, 101, 102, 300)]
    names += ["/registry/configmaps/shop/" + "x" * 20_000, "/registry/pods/a/b", "no-slash", "/"]
    names += ["/registry/configmaps/shop", "/registry/configmaps/shop/n/deeper"]
    for main in range(2, 300):
        for sub in range(chance.randrange(1, 3)):
            key = chance.choice(names)
            if chance.random() < 0.2:
                yield deleted(main, key, sub)
            else:
                yield written(main, key, CONFIG_MAP % main + b" " * chance.randrange(6000), sub)


DATABASE = databases.grown(list(entries()))


def carefully(data: bytes) -> bytes:
    """The index that the reader makes that looks at everything."""
    return b"".join(build_index(Database(data, len(data)), carefully=True))


def swept(data: bytes, processes: int | None = None) -> list[sweep.Swept] | None:
    database = Database(data, len(data))
    bucket = database.bucket(b"key")
    assert bucket
    return sweep.sweep(database, bucket, processes=processes)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_sweep_by_any_number_of_processes_finds_what_care_finds(processes: int) -> None:
    shares = swept(DATABASE, processes)
    assert shares
    assert len(shares) == processes
    found = build_index(Database(DATABASE, len(DATABASE)), processes=processes)
    assert b"".join(found) == carefully(DATABASE)


def die(*_: object) -> None:
    os._exit(9)


def test_a_process_that_dies_costs_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_answer", die)
    assert swept(DATABASE, 2) is None
    found = build_index(Database(DATABASE, len(DATABASE)), processes=2)
    assert b"".join(found) == carefully(DATABASE)


def test_a_sweep_takes_no_page_that_care_would_refuse() -> None:
    chance = random.Random(7)
    refused = 0
    for _ in range(400):
        data = bytearray(DATABASE)
        page = chance.randrange(len(data) // SIZE) * SIZE
        data[page + chance.randrange(200)] ^= 1 << chance.randrange(8)
        try:
            expected = carefully(bytes(data))
        except DamagedError:
            refused += 1
            with pytest.raises(DamagedError):
                build_index(Database(bytes(data), len(data)))
        else:
            assert b"".join(build_index(Database(bytes(data), len(data)))) == expected
    assert refused > 40


def test_folders_count_what_lives() -> None:
    index = Index(b"".join(build_index(Database(DATABASE, len(DATABASE)))))
    newest: dict[bytes, bool] = {}
    for row in index.latest():
        newest[row.key] = not row.is_gone
    living = [key for key, lives in newest.items() if lives]
    found = [row for folder in index.folders for row in index.living(folder)]
    assert [row.key for row in found] == living
    assert sum(folder.living for folder in index.folders) == len(living)
    assert [index.history(row.key)[-1] for row in found] == found
    for folder in index.folders:
        for row in index.living(folder):
            assert row.key.rpartition(b"/")[0] == folder.name


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = tmp_path / "snapshot.db"
    found.write_bytes(DATABASE)
    return found


def test_an_index_that_was_damaged_is_made_anew(file: Path, tmp_path: Path) -> None:
    with open_snapshot(file) as snapshot:
        before = list(open_index(snapshot).latest())
        (kept,) = (tmp_path / "cache").rglob("*.index")
        whole = kept.read_bytes()
        chance = random.Random(1)
        for size in (len(whole), len(whole) // 2, 10, 0):
            damaged = bytearray(whole[:size])
            if size == len(whole):
                damaged[chance.randrange(60, size)] ^= 1
            kept.write_bytes(damaged)
            assert list(open_index(snapshot).latest()) == before
            assert kept.read_bytes() == whole
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_snapshot_that_was_replaced_has_another_index(file: Path) -> None:
    with open_snapshot(file) as snapshot:
        assert Browser(snapshot, Keys()).find("configmaps")
    other = databases.of(written(2, "/registry/pods/a/b", CONFIG_MAP % 1))
    file.unlink()
    file.write_bytes(other.ljust(len(DATABASE), b"\0"))
    with open_snapshot(file) as snapshot:
        browser = Browser(snapshot, Keys())
        assert [each.name for each in browser.find("pods")] == ["b"]
        assert browser.find("configmaps") == []


def test_few_indexes_are_kept(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache/shipkeeper/etcd-index"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"{number:02d}.index").write_bytes(b"old")
        os.utime(folder / f"{number:02d}.index", (number, number))
    with open_snapshot(file) as snapshot:
        open_index(snapshot)
    kept = {each.name for each in folder.iterdir()}
    youngest = {f"{number:02d}.index" for number in range(11, 30)}
    assert youngest < kept
    assert len(kept) == 20


def test_no_cache_is_no_harm(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    done = run("ls", str(file), "pods", "-o", "name")
    assert (done.returncode, done.stdout) == (0, "pods/b\n")
