import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.hosts.masking import Masking
from shipkeeper.hosts.output import OutputLog


def log(path: Path, shown: list[str]) -> OutputLog:
    return OutputLog(path, Masking(["swordfish"]), shown.append)


def test_a_line_is_shown_when_it_is_whole(tmp_path: Path) -> None:
    shown: list[str] = []
    output = log(tmp_path / "log", shown)
    output.take(b"one\ntw")
    assert shown == ["one"]
    output.take(b"o\nswordf")
    output.take(b"ish")
    assert shown == ["one", "two"]
    output.finish()
    assert shown == ["one", "two", "•••"]
    assert output.taken == 17


def test_it_goes_on_where_an_earlier_one_ended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\n•••\ntorn")
    shown: list[str] = []
    output = log(path, shown)
    output.take(b"one\n-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx\n")
    assert shown == ["•••", "•••", "x"]
    assert path.read_text() == "one\n•••\n•••\n•••\nx\n"


def test_what_would_steer_a_terminal_is_taken_out(tmp_path: Path) -> None:
    shown: list[str] = []
    log(tmp_path / "log", shown).take(
        b"\x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07\n 10%\r 50%\r100%\r\ntab\there\n"
    )
    assert shown == ["red bell", "100%", "tab\there"]


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    shown: list[str] = []
    log(tmp_path / "log", shown).take(b"\xff\xfe ok \xc3\xa4\n")
    assert shown == ["\ufffd\ufffd ok ä"]


def test_endless_output_without_line_feeds_is_cut(tmp_path: Path) -> None:
    shown: list[str] = []
    output = log(tmp_path / "log", shown)
    for _ in range(3):
        output.take(b"x" * 50_000)
    output.take(b"\nshort\n")
    assert shown == ["x" * 65536, "x" * 65536, "x" * 18928, "short"]


@settings(deadline=None)
@given(st.text(), st.integers(0, 70_000), st.lists(st.integers(0, 70_000)))
def test_how_the_bytes_come_does_not_matter(text: str, more: int, cuts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        whole: list[str] = []
        parts: list[str] = []
        data = (text + "ä" * more).encode()
        first = log(Path(directory, "a"), whole)
        first.take(data)
        first.finish()
        second = log(Path(directory, "b"), parts)
        for cut in cuts:
            second.take(data[:cut])
            data = data[cut:]
        second.take(data)
        second.finish()
    assert parts == whole
