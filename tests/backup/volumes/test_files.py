"""Files of a host saved over SSH and brought back, byte for byte."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from shipkeeper.backup.volumes import programs
from shipkeeper.backup.volumes.programs import STAGE, Root, VolumeError
from shipkeeper.backup.volumes.reading import read_files
from shipkeeper.backup.volumes.record import SavedFiles
from shipkeeper.backup.volumes.writing import Source, write_files
from shipkeeper.hosts.ssh import SshHost
from shipkeeper.store.prune import prune
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import MAX_PARTS, Backup
from shipkeeper.store.verify import verify
from tests.backup.volumes.folder import MIB, furnished, seen
from tests.hosts.sshd import SshServer

SECTION = "volumes/1"


@pytest.fixture
def host(server: SshServer) -> SshHost:
    return SshHost("127.0.0.1", server.options())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A volume's directory; the host shares the machine's file system."""
    return furnished(tmp_path / "volume é")


def ignore(files: int, size: int) -> None:
    """Nobody counts."""


async def save(
    repository: Repository, host: SshHost, folder: Path, count: Callable[[int, int], None] = ignore
) -> tuple[SavedFiles, Backup]:
    async with repository.writing() as writer:
        saved = await read_files(host, Root(path=str(folder)), writer, SECTION, count)
        return saved, await writer.commit(b"")


async def restore(
    repository: Repository,
    saved: tuple[SavedFiles, Backup],
    host: SshHost,
    to: Path,
    *,
    fresh: bool = False,
    of: str = "one",
) -> None:
    source = Source(repository, await repository.snapshot(saved[1]))
    root = Root(path=str(to))
    await write_files(source, saved[0], host, root, of, fresh=fresh, makes=fresh, count=ignore)


@pytest.mark.parametrize("most_parts", [2, MAX_PARTS])
async def test_everything_comes_back_in_place_and_elsewhere(
    repository: Repository,
    host: SshHost,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most_parts: int,
) -> None:
    monkeypatch.setattr("shipkeeper.backup.volumes.reading.MAX_PARTS", most_parts)
    before = seen(folder)
    made = await save(repository, host, folder)
    assert made[0].is_whole
    assert not made[0].trouble
    assert made[0].files == len(before)
    assert (await verify(repository)).findings == ()

    await restore(repository, made, host, tmp_path / "else" / "where", fresh=True)
    assert seen(tmp_path / "else" / "where") == before

    (folder / "d" / "large").write_bytes(b"spoilt")
    (folder / "empty").unlink()
    (folder / ".more").mkdir()
    await restore(repository, made, host, folder)
    assert seen(folder) == before


async def test_the_second_time_almost_nothing_is_stored(
    repository: Repository, host: SshHost, folder: Path
) -> None:
    first = (await save(repository, host, folder))[1].figures
    sizes: list[int] = []
    second = (await save(repository, host, folder, lambda _, size: sizes.append(size)))[1].figures
    assert first
    assert second
    assert first.content_bytes == second.content_bytes == sum(sizes) > 5 * MIB
    assert second.new_objects == 0
    with (folder / "d" / "large").open("r+b") as file:
        file.seek(MIB + 1)
        file.write(b"other")
    third = (await save(repository, host, folder))[1].figures
    assert third
    # One piece of a mebibyte, and what lists it.
    assert third.added_bytes < MIB + 100_000


async def test_a_prune_leaves_the_files_of_backups_that_stay(
    repository: Repository, host: SshHost, folder: Path, tmp_path: Path
) -> None:
    gone = (await save(repository, host, folder))[1].name
    (folder / "d" / "large").write_bytes(os.urandom(MIB))
    kept = await save(repository, host, folder)
    await repository.forget([gone])
    for _ in range(2):
        await prune(repository, timedelta(0))
    assert [each.name for each in await repository.backups()] == [kept[1].name]
    assert (await verify(repository)).findings == ()
    await restore(repository, kept, host, tmp_path / "new", fresh=True)
    assert seen(tmp_path / "new") == seen(folder)


async def test_a_file_that_changes_while_it_is_read_is_read_again(
    repository: Repository, host: SshHost, folder: Path, tmp_path: Path
) -> None:
    growing, link = folder / "d" / "growing", folder / "z-link"
    growing.write_bytes(os.urandom(30 * MIB))
    os.link(growing, link)
    changed = False

    def count(_files: int, size: int) -> None:
        nonlocal changed
        if size > MIB and not changed:
            with growing.open("ab") as file:
                file.write(b"the end")
            changed = True

    made = await save(repository, host, folder, count)
    assert changed
    assert made[0].is_whole
    assert made[0].read_again == 1
    await restore(repository, made, host, tmp_path / "new", fresh=True)
    assert seen(tmp_path / "new") == seen(folder)


async def test_a_file_that_never_stands_still_is_named(
    repository: Repository, host: SshHost, folder: Path
) -> None:
    log = folder / "d" / "log"
    log.write_bytes(os.urandom(20 * MIB))

    async def write() -> None:
        while True:
            with log.open("ab") as file:
                file.write(b"line\n")
            await asyncio.sleep(0.001)

    writing = asyncio.create_task(write())
    saved, _ = await save(repository, host, folder)
    writing.cancel()
    assert not saved.is_whole
    assert saved.changed == ("d/log: file changed as we read it",)
    assert "1 changed while read: d/log" in saved.trouble


async def test_what_cannot_be_read_is_named(
    repository: Repository, server: SshServer, tmp_path: Path
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    shutil.copytree(Path(__file__).parent, folder / "tests")
    for parent in (tmp_path, *tmp_path.parents):
        if parent == Path(tempfile.gettempdir()):
            break
        os.chmod(parent, 0o755)  # noqa: PTH101 - quick, and the loop is the test's own
    (folder / "secret\n").write_text("x")
    (folder / "secret\n").chmod(0o600)
    host = SshHost("127.0.0.1", server.options(user="keeper"))
    saved, _ = await save(repository, host, folder)
    assert saved.missing == ("secret\\n: Cannot open: Permission denied",)
    with pytest.raises(VolumeError, match="is not there") as error:
        await save(repository, host, folder / "not")
    assert error.value.reason == "VolumeNotThere"


async def test_a_restore_that_is_stopped_leaves_the_old_or_says_so(
    repository: Repository, host: SshHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen(folder)
    made = await save(repository, host, folder)
    (folder / "d" / "large").write_bytes(b"old")
    (folder / "more").touch()
    old = seen(folder)
    deaths = deaths_of(programs.exchange(Root(path=str(folder)), "one"))
    assert len(deaths) > 7
    for dying in deaths:
        monkeypatch.setattr("shipkeeper.backup.volumes.writing.exchange", always(dying))
        with pytest.raises(Exception, match=r"\w"):
            await restore(repository, made, host, folder)
        ready = (folder / STAGE / "ready").exists()
        now = {name: found for name, found in seen(folder).items() if not name.startswith(STAGE)}
        is_old = {**now, ".": 0} == {**old, ".": 0}
        is_new = {**now, ".": 0} == {**before, ".": 0}
        assert is_old or is_new or ready
        if ready:
            with pytest.raises(VolumeError, match="was stopped while it exchanged"):
                await save(repository, host, folder)
        monkeypatch.undo()
        await restore(repository, made, host, folder)
        assert seen(folder) == before
        (folder / "d" / "large").write_bytes(b"old")
        (folder / "more").touch()
        old = seen(folder)


def test_an_attempt_that_dies_late_takes_nothing_away(tmp_path: Path) -> None:
    """Its connection was dead for long, and another attempt has unpacked everything meanwhile."""
    saved, folder = tmp_path / "saved", tmp_path / "volume"
    for each in (saved, folder):
        each.mkdir()
    (saved / "kept").write_text("of the backup" * MIB)
    (folder / "kept").write_text("of today")
    tar = subprocess.run(["tar", "-C", saved, "-cf", "-", "."], capture_output=True, check=True)
    root = Root(path=str(folder))

    def unpack(attempt: str) -> subprocess.Popen[bytes]:
        program = programs.stage(root, "one", attempt, 1, fresh=False, makes=False)
        return subprocess.Popen(["sh", "-c", program], stdin=subprocess.PIPE)

    late = unpack("late")
    while not (folder / STAGE / "late").exists():
        time.sleep(0.01)
    newer = unpack("newer")
    newer.communicate(tar.stdout)
    assert newer.returncode == 0
    late.communicate(tar.stdout[:MIB])
    assert late.returncode != 0
    subprocess.run(["sh", "-c", programs.exchange(root, "one")], check=True)
    assert (folder / "kept").read_text() == "of the backup" * MIB


def always(program: str) -> Callable[[Root, str], str]:
    """The same program whatever it is about."""
    return lambda root, of: program


def deaths_of(program: str) -> list[str]:
    """The exchange killed before each of its commands, and among the files that it moves."""
    lines = program.splitlines()
    beginnings = ("[ ", "if", "each .", "rm", "exec", "tar", "sync")
    points = [n for n, line in enumerate(lines) if line.strip().startswith(beginnings)]
    one = "-exec mv -f -t {} -- {{}} \\; -quit; kill -KILL $$"
    return [
        *("\n".join([*lines[:point], "kill -KILL $$", *lines[point:]]) for point in points),
        program.replace('-exec mv -f -t "$2" -- {} +', one.format('"$2"')),
        program.replace(
            "each $stage/new .", f"{{ find $stage/new -mindepth 1 {one.format('.')}; }}"
        ),
    ]


async def test_a_place_that_is_not_empty_or_too_small_is_left_alone(
    repository: Repository, host: SshHost, server: SshServer, folder: Path
) -> None:
    made = await save(repository, host, folder)
    with pytest.raises(VolumeError) as error:
        await restore(repository, made, host, folder, fresh=True)
    assert error.value.reason == "NotEmpty"
    await server.run("echo here >/srv/mine")
    with pytest.raises(VolumeError) as error:
        await restore(repository, made, host, Path("/srv"))
    assert error.value.reason == "NoSpace"
    assert await server.run("cd /srv && cat mine && ls -A") == "here\nmine\n"
