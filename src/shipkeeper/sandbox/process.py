"""Detached processes: started, recognised and stopped without mistaking one for another."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from shipkeeper.sandbox.errors import SandboxError

# Waits on its standard input until the parent has noted its pid, then becomes the program. When
# the parent dies before that, the read fails and nothing is left running that nobody knows of.
_GATE = 'read -r _ && exec "$@" </dev/null'

_AFTER_KILL = timedelta(seconds=10)
_POLL_SECONDS = 0.01

# Children of this very process stay zombies until they are waited for.
_children: dict[int, subprocess.Popen[bytes]] = {}


class ProcessIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """One process for all time: its pid is used again one day, but not with this start and boot."""

    pid: int
    started_ticks: int
    boot_id: str

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return self.boot_id == _boot_id() and _started_ticks(self.pid) == self.started_ticks


def start(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    remember: Callable[[ProcessIdentity], None],
) -> None:
    """Start a program in a session of its own, to outlive this process; it appends to `log`.

    The program begins only after `remember` has returned, so what runs is always recorded.
    """
    _reap()
    log.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    gate, opener = os.pipe()
    with os.fdopen(descriptor) as output, os.fdopen(gate) as waiting, os.fdopen(opener, "w") as go:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _GATE, command[0], *command],
            stdin=waiting,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
        _children[child.pid] = child
        remember(_identify(child.pid))
        go.write("\n")


def stop(process: ProcessIdentity, grace: timedelta) -> None:
    """Ask a process to end (SIGTERM), end it after `grace` (SIGKILL), and see it gone.

    SandboxError when it outlives even that.
    """
    # Not by pidfd, which would close the last gap between looking and signalling: the Pythons
    # that uv installs are built without it.
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, _AFTER_KILL)):
        if process.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        if has_ended(process, patience):
            _reap()
            return
    raise SandboxError(
        f"process {process.pid} does not end even when it is killed",
        reason="ProcessNotKilled",
        hint=f"look at its state in /proc/{process.pid}/status, then try again",
    )


def has_ended(process: ProcessIdentity, within: timedelta) -> bool:
    """Wait for the end of a process; false when it still runs after `within`."""
    deadline = time.monotonic() + within.total_seconds()
    while process.is_alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _reap() -> None:
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            # Another thread may have seen the same.
            _children.pop(pid, None)


def _identify(pid: int) -> ProcessIdentity:
    return ProcessIdentity(pid=pid, started_ticks=_started_ticks(pid) or 0, boot_id=_boot_id())


def _started_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it has ended (proc(5), stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name comes second, in parentheses, and may hold anything, even parentheses.
    state, *fields = stat.rpartition(")")[2].split()
    threads, started = int(fields[16]), int(fields[18])
    # A zombie with threads is still on its way out, and holds its ports.
    return None if state in "ZX" and threads <= 1 else started


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
