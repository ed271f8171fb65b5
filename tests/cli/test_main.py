"""The command itself: its version, its help, its bugs, and readers that go away."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import shipkeeper
from shipkeeper.cli import run as running
from shipkeeper.cli.main import main
from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.run import SHIPKEEPER


def test_the_version_needs_nothing_else() -> None:
    probe = (
        "import sys; from shipkeeper.cli.main import main; main(['--version']); "
        "print([m for m in ('cyclopts', 'kubernetes', 'msgspec', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == f"shipkeeper {shipkeeper.__version__}\n[]\n"


@pytest.mark.skipif(bool(os.geteuid()), reason="only root makes a PID namespace")
def test_the_first_process_of_a_container_heeds_sigterm_while_it_starts() -> None:
    probe = (
        "import os, signal; from shipkeeper.cli.main import main; main(['--version']); "
        "assert os.getpid() == 1; os.kill(1, signal.SIGTERM); print('it was not heard')"
    )
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", probe]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert done.stdout == f"shipkeeper {shipkeeper.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["drain", "--help"], ["sandbox", "--help"]])
def test_help_is_data(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "Usage: shipkeeper" in said.out
    assert said.err == ""


def test_help_names_every_flag_of_kubectl_drain(capsys: pytest.CaptureFixture[str]) -> None:
    kubectl = Path(sys.executable).parent / "kubectl"
    theirs = subprocess.run(
        [kubectl, "drain", "--help"], capture_output=True, text=True, check=True
    )
    flags = {
        word.partition("=")[0]
        for line in theirs.stdout.splitlines()
        for word in line.split()[:2]
        if line.startswith("    -") and word.startswith("--")
    }
    assert len(flags) == 11
    main(["drain", "--help"])
    ours = capsys.readouterr().out
    assert [flag for flag in sorted(flags) if f"{flag}" not in ours] == []


def test_a_bug_is_one_line_and_its_traceback_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(running, "app", broken)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["nodes"]) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: this is a bug in shipkeeper: KeyError: 'surprise'"
    (saved,) = (tmp_path / "shipkeeper" / "crashes").iterdir()
    assert str(saved) in hint
    assert "in broken" in saved.read_text()
    monkeypatch.setenv("SHIPKEEPER_DEBUG", "1")
    assert main(["nodes"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_before_anything_began(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "app", interrupted)
    assert main(["nodes"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_reader_that_went_away_is_no_error(newest: Sandbox) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [SHIPKEEPER, "sandbox", "kubeconfig", newest.name],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_output_that_cannot_be_written_is_said(newest: Sandbox) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [SHIPKEEPER, "sandbox", "kubeconfig", newest.name],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write the output: No space left on device\nhint: ")
