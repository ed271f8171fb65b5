"""`shipkeeper etcd save`: a snapshot of a member, into a file."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipkeeper.cli.etcd_flags import HERE, MemberFlags
from shipkeeper.cli.output import say, show, write
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.report import Report
from shipkeeper.etcd import save as saving
from shipkeeper.etcd.status_report import human_size

_DRAW_EVERY = 0.2  # seconds
_WRITE_EVERY = 5.0


def save(
    file: Path,
    /,
    *,
    dry_run: ClientDryRun = "none",
    output: Output = None,
    members: MemberFlags = HERE,
) -> None:
    """Save a snapshot of a member into a file, over mutual TLS.

    The file is readable by its owner alone, and appears when it is whole and its sha256 was
    checked. When the stream breaks, the next of the endpoints is asked.
    """
    endpoints, credentials = members.members()
    if dry_run == "client":
        write(f"snapshot {file} saved from {endpoints[0]} (dry run)\n")
        return
    with _progress() as progress:
        saved = saving.save(endpoints, credentials, file, say=say, progress=progress)
    said = f"snapshot {file} saved from {saved.endpoint}: {human_size(saved.size)}, sha256 checked"
    show(Report(value=saved, body=(said,), names=(f"snapshot/{file.name}",)), output)


@contextmanager
def _progress() -> Generator[Callable[[int, int], None]]:
    """Yield what takes the bytes that came and those to come; a drawn line is wiped at the end."""
    is_terminal = sys.stderr.isatty()
    every = _DRAW_EVERY if is_terminal else _WRITE_EVERY
    told = time.monotonic()

    def tell(came: int, remaining: int) -> None:
        nonlocal told
        if time.monotonic() - told < every:
            return
        told = time.monotonic()
        if is_terminal:
            sys.stderr.write(f"\r\x1b[K{human_size(came)} of {human_size(came + remaining)}")
            sys.stderr.flush()
        else:
            line = {
                "time": datetime.now(UTC),
                "type": "progress",
                "bytes": came,
                "ofBytes": came + remaining,
            }
            say(msgspec.json.encode(line).decode())

    try:
        yield tell
    finally:
        if is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
