"""Tar streams taken apart and put together: against GNU tar itself, and on any file with holes."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.backup.volumes.member import BLOCK, Member, TarError, padded
from shipkeeper.backup.volumes.programs import TAR_FLAGS
from shipkeeper.backup.volumes.tar_stream import END, PIECE_BYTES, Part, Splitter, grid

MIB = 1024 * 1024
EXTENTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12)


def tar(folder: Path) -> bytes:
    words = ("tar", *TAR_FLAGS, "-C", str(folder), "-cf", "-", ".")
    return subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout


def split(stream: bytes, chunk: int) -> list[Part]:
    splitter = Splitter()
    chunks = [stream[at : at + chunk] for at in range(0, len(stream), chunk)]
    parts = [part for each in chunks for part in splitter.feed(each)]
    splitter.finish()
    return parts


def join(parts: list[Part]) -> bytes:
    stream, size = b"", 0
    for part in parts:
        if isinstance(part, Member):
            stream += bytes(padded(size) - size) + part.headers
            size = 0
        else:
            stream += part
            size += len(part)
    return stream + bytes(padded(size) - size) + END


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every kind of file that a volume has."""
    made = tmp_path / "volume"
    (made / "d").mkdir(parents=True)
    (made / "empty").touch()
    (made / "small").write_text("small")
    (made / "large").write_bytes(os.urandom(2 * MIB + 5))
    (made / "d" / ("n" * 180)).write_text("a long name")
    (made / "new\nline é").write_text("a strange name")
    os.link(made / "small", made / "d" / "hard")
    (made / "soft").symlink_to("small")
    os.mkfifo(made / "pipe")
    os.setxattr(made / "small", "user.mark", b"value\n=3 x")
    with (made / ("s" * 120)).open("wb") as sparse:
        sparse.seek(3 * MIB)
        sparse.write(os.urandom(MIB + MIB // 2))
        sparse.truncate(9 * MIB)
    return made


@pytest.mark.parametrize("chunk", [511, 65536, 10**9])
def test_what_was_taken_apart_is_the_same_tar_again(folder: Path, chunk: int) -> None:
    stream = tar(folder)
    parts = split(stream, chunk)
    names = {part.name for part in parts if isinstance(part, Member)}
    expected = {b"./" + os.fsencode(path.relative_to(folder)) for path in folder.rglob("*")}
    assert {name.rstrip(b"/") for name in names} == expected | {b"."}
    assert all(len(part) <= PIECE_BYTES for part in parts if isinstance(part, bytes))
    again = folder.parent / "again"
    again.mkdir()
    subprocess.run(("tar", "--xattrs", "-C", again, "-xf", "-"), input=join(parts), check=True)
    assert tar(again) is not None
    assert split(tar(again), MIB) == split(stream, MIB)


def test_two_streams_of_the_same_files_have_the_same_parts(folder: Path) -> None:
    assert split(tar(folder), MIB) == split(tar(folder), MIB)


def test_a_change_in_front_does_not_move_the_pieces_behind(folder: Path) -> None:
    before = {part for part in split(tar(folder), MIB) if isinstance(part, bytes)}
    (folder / "d" / "another").write_bytes(b"x" * 777)
    sparse = folder / ("s" * 120)
    with sparse.open("r+b") as file:
        file.write(b"data where a hole was")
    after = {part for part in split(tar(folder), MIB) if isinstance(part, bytes)}
    # The new file, the hole's new data, and the map of the sparse file.
    assert len(after - before) == 3


@given(EXTENTS, st.integers(1, 20))
def test_each_cell_of_a_file_is_one_piece(steps: list[tuple[int, int]], cell: int) -> None:
    at, extents, expected = 0, list[tuple[int, int]](), dict[int, int]()
    for gap, length in steps:
        extents.append((at + gap, length))
        for offset in range(at + gap, at + gap + length):
            expected[offset // cell] = expected.get(offset // cell, 0) + 1
        at += gap + length
    assert list(grid(extents, cell)) == list(expected.values())


@pytest.mark.parametrize("cut", [0, BLOCK // 2, 3 * BLOCK, 70_000])
def test_a_stream_that_is_cut_off_is_noticed(folder: Path, cut: int) -> None:
    stream = tar(folder)
    with pytest.raises(TarError, match="cut off"):
        split(stream[:cut], MIB)


def test_what_is_no_tar_is_refused() -> None:
    with pytest.raises(TarError):
        split(b"Permission denied" * 100, MIB)
