"""Every stored blob flipped, cut, grown, dropped, swapped, and strangers added: found and named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shipkeeper.store.errors import DamagedError
from shipkeeper.store.findings import Finding
from shipkeeper.store.location import open_location
from shipkeeper.store.prune import GRACE, prune
from shipkeeper.store.repository import Repository
from shipkeeper.store.verify import verify
from tests.store.stock import READER, WRITER, load, new_repository, plain, reopen, sample, save


@pytest.fixture(scope="module")
async def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Backups that share packs, one forgotten, one prune over, another backup since."""
    folder = tmp_path_factory.mktemp("original") / "repository"
    repository = await new_repository(open_location(str(folder)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shipkeeper.store.writer.SEGMENT_BYTES", 4096)
        patch.setattr("shipkeeper.store.upkeep.SMALL_BYTES", 0)
        gone = await save(repository, {**sample(60), **sample(200, seed=2, section="b")})
        await save(repository, sample(60))
        await repository.forget([gone.name])
        await prune(repository, GRACE * 0)
        await prune(repository, GRACE * 0)
        await save(repository, {**sample(60), **sample(30, seed=3, section="c")})
    assert (await verify(await reopen(open_location(str(folder))))).findings == ()
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "repository"))


Change = Callable[[bytes], bytes]

CHANGES: dict[str, Change] = {
    "first byte": lambda b: bytes([b[0] ^ 1]) + b[1:],
    "middle byte": lambda b: (
        b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 0x80]) + b[len(b) // 2 + 1 :]
    ),
    "last byte": lambda b: b[:-1] + bytes([b[-1] ^ 1]),
    "cut": lambda b: b[:-1],
    "grown": lambda b: b + b"\0",
    "emptied": lambda b: b"",
}


async def findings(folder: Path, *, keys: str) -> list[Finding]:
    """What verify finds; an open that fails names the blob too."""
    writer = WRITER if keys != "none" else None
    reader = READER if keys == "both" else None
    blobs = open_location(str(folder))
    try:
        repository = await Repository.open(blobs, writer=writer, reader=reader)
    except DamagedError as error:
        return [Finding(reason="Altered", blob="config", message=error.message)]
    return list((await verify(repository)).findings)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("keys", ["both", "writer", "none"])
@pytest.mark.parametrize("change", CHANGES)
async def test_an_altered_blob_is_named(folder: Path, change: str, keys: str) -> None:
    for name in files(folder):
        path = folder / name
        content = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes(CHANGES[change](content))
        found = await findings(folder, keys=keys)
        assert [f for f in found if f.blob == name and not f.harmless], (name, found)
        path.write_bytes(content)
    assert await findings(folder, keys=keys) == []


@pytest.mark.parametrize("keys", ["both", "none"])
async def test_a_dropped_blob_is_named(folder: Path, keys: str) -> None:
    names = files(folder)
    backups = {Path(name).name for name in names if name.startswith("backups/")}
    for name in names:
        if name == "config":
            continue
        (folder / name).rename(folder.parent / "dropped")
        found = [f for f in await findings(folder, keys=keys) if not f.harmless]
        (folder.parent / "dropped").rename(folder / name)
        assert found, name
        if name.startswith("index/"):
            assert any(f.blob == name or f.backups for f in found), (name, found)
            continue
        blob = name if not name.startswith("forgotten/") else name.replace("forgotten", "backups")
        assert blob in {f.blob for f in found}, (name, found)
        if name.startswith("packs/"):
            assert {b for f in found for b in f.backups} <= backups
            assert any(f.backups for f in found), name


async def test_swapped_blobs_are_named(folder: Path) -> None:
    for kind in ("packs", "index", "backups"):
        one, other = [name for name in files(folder) if name.startswith(kind)][:2]
        first, second = (folder / one).read_bytes(), (folder / other).read_bytes()
        (folder / one).write_bytes(second)
        (folder / other).write_bytes(first)
        named = {f.blob for f in await findings(folder, keys="none") if not f.harmless}
        assert {one, other} <= named
        (folder / one).write_bytes(first)
        (folder / other).write_bytes(second)


async def test_added_blobs_are_named(folder: Path) -> None:
    record = next(name for name in files(folder) if name.startswith("backups/"))
    strangers = {
        "README": b"hello",
        "config2": b"",
        f"packs/ab/{'ab' * 32}": b"not a pack",
        "packs/loose": b"",
        f"index/{'ab' * 32}": b"not an index",
        "backups/0123456789ab": (folder / record).read_bytes(),
        "forgotten/0123456789ab": b"unsigned",
        "doomed/0123456789ab": b"unsigned",
        "dictionaries/more": b"",
    }
    for name, content in strangers.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        found = await findings(folder, keys="both")
        assert name in {f.blob for f in found if not f.harmless}, (name, found)
        (folder / name).unlink()
    (folder / "partial").mkdir(exist_ok=True)
    (folder / "partial/left").write_bytes(b"half")
    [left] = await findings(folder, keys="both")
    assert (left.blob, left.harmless) == ("partial/left", True)


@pytest.mark.parametrize("how", ["gone", "cut"])
async def test_the_next_backup_heals_a_lost_pack(folder: Path, how: str) -> None:
    for name in [name for name in files(folder) if name.startswith("packs/")]:
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        if how == "cut":
            (folder / name).write_bytes(content[:-1])
    content = {**sample(60), **sample(30, seed=3, section="c")}
    backup = await save(await reopen(open_location(str(folder))), content)
    assert await load(await reopen(open_location(str(folder))), backup) == plain(content)
    broken = {b for f in await findings(folder, keys="both") for b in f.backups}
    assert backup.name not in broken
    assert len(broken) == 2
