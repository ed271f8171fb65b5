import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from shipkeeper.sandbox import process
from shipkeeper.sandbox.process import ProcessIdentity

from .client import wait_until

GRACE = timedelta(seconds=10)


def start(log: Path, *command: str) -> ProcessIdentity:
    started: list[ProcessIdentity] = []
    process.start(command, log, os.environ, started.append)
    return started[0]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "process.log"


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that nobody may touch."""
    with subprocess.Popen(["sleep", "600"]) as child:
        yield child
        child.kill()


def test_process_has_its_own_session_and_a_private_log(log: Path) -> None:
    started = start(log, "sh", "-c", "echo spoken; echo loudly >&2; exec sleep 600")
    try:
        wait_until(lambda: log.read_text() == "spoken\nloudly\n")
        assert os.getsid(started.pid) == started.pid
        assert log.stat().st_mode & 0o077 == 0
    finally:
        process.stop(started, GRACE)


def test_stopped_process_is_gone_not_a_zombie(log: Path) -> None:
    started = start(log, "sleep", "600")
    assert started.is_alive
    process.stop(started, GRACE)
    assert not started.is_alive
    assert not Path(f"/proc/{started.pid}").exists()


def test_process_that_ignores_sigterm_is_killed(log: Path) -> None:
    started = start(log, "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done")
    wait_until(lambda: log.read_text() == "deaf\n")
    process.stop(started, timedelta(seconds=0.2))
    assert not started.is_alive


def test_zombie_is_not_alive(log: Path) -> None:
    started = start(log, "true")
    wait_until(lambda: not started.is_alive)
    assert Path(f"/proc/{started.pid}").exists()
    process.stop(started, GRACE)
    assert not Path(f"/proc/{started.pid}").exists()


@pytest.mark.parametrize("changed", [{"started_ticks": 1}, {"boot_id": "another"}])
def test_recycled_pid_is_never_signalled(
    log: Path, bystander: subprocess.Popen[bytes], changed: dict[str, str | int]
) -> None:
    started = start(log, "sleep", "600")
    process.stop(started, GRACE)
    stat = Path(f"/proc/{bystander.pid}/stat").read_text()
    recycled = msgspec.structs.replace(
        started, pid=bystander.pid, started_ticks=int(stat.rpartition(")")[2].split()[19])
    )
    assert recycled.is_alive
    recycled = msgspec.structs.replace(recycled, **changed)
    assert not recycled.is_alive
    process.stop(recycled, timedelta(0))
    with pytest.raises(subprocess.TimeoutExpired):
        bystander.wait(0.3)


def test_program_does_not_begin_when_its_parent_dies_before_recording_it(
    log: Path, tmp_path: Path
) -> None:
    note, mark = tmp_path / "note", tmp_path / "mark"
    parent = f"""
import os, signal
from pathlib import Path
from shipkeeper.sandbox import process

def remember(identity):
    Path({str(note)!r}).write_text(str(identity.pid))
    os.kill(os.getpid(), signal.SIGKILL)

process.start(["touch", {str(mark)!r}], Path({str(log)!r}), os.environ, remember)
"""
    log.parent.mkdir()
    ended = subprocess.run([sys.executable, "-c", parent], check=False, timeout=600)
    assert ended.returncode == -9
    wait_until(lambda: not _runs(int(note.read_text())))
    assert not mark.exists()


def _runs(pid: int) -> bool:
    try:
        return "(sh)" in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_recorded_identity_survives_json(log: Path) -> None:
    started = start(log, "sleep", "600")
    try:
        stored = msgspec.json.encode(started)
        assert json.loads(stored)["pid"] == started.pid
        assert msgspec.json.decode(stored, type=ProcessIdentity).is_alive
    finally:
        process.stop(started, GRACE)
