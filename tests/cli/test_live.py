"""The live table on a terminal: it is drawn, makes way for the words, and leaves nothing behind."""

import asyncio
import os
import pty
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.cli.run import SHIPKEEPER
from tests.cli.user import User
from tests.nodes.world import World


def run_on_terminal(user: User, *arguments: str) -> str:
    """Everything that a command wrote to a terminal of 24 lines and 100 columns."""
    ours, theirs = pty.openpty()
    environment = {
        "KUBECONFIG": str(user.kubeconfig),
        "XDG_STATE_HOME": str(user.state),
        "TERM": "xterm",
        "COLUMNS": "100",
        "LINES": "24",
    }
    running = subprocess.Popen(
        [SHIPKEEPER, *arguments],
        env={**os.environ, **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    # Once the command has ended the other end is closed, which reading says with an OSError.
    with suppress(OSError):
        while chunk := os.read(ours, 65536):
            written += chunk
    os.close(ours)
    assert running.wait(60) == 0
    return written.decode()


async def test_words_and_table_share_a_terminal(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1, stops_after=1.0)
    await world.up(world.deployment("web", 2), world.budget("web", max_unavailable=1))
    # Only now, so that both pods have to move, one after the other.
    await world.add_nodes(1)
    user = User(world.sandbox, tmp_path)
    written = await asyncio.to_thread(run_on_terminal, user, "drain", name)
    for text in ("NODE", "STATE", f"{name}   Draining", "others of PodDisruptionBudget web"):
        assert text in written
    lines = [line.rpartition("\x1b[2K")[2] for line in written.split("\r\n")]
    for line in (f"node/{name} cordoned", f"node/{name} drained"):
        assert line in lines
    # The cursor is shown again.
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert '{"time"' not in written
