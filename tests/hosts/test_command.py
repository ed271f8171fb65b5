import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from shipkeeper.hosts.command import CommandError, LocalCommand


def command(directory: Path, line: str) -> LocalCommand:
    return LocalCommand(directory / "record", line, {"NODE_NAME": "node-1"})


async def test_it_runs_with_the_nodes_name_and_gives_its_end(tmp_path: Path) -> None:
    result = await command(tmp_path, 'echo "on $NODE_NAME"; exit 3').run()
    assert result.exit_code == 3
    assert result.tail == "on node-1"


async def test_an_ended_command_is_not_run_again(tmp_path: Path) -> None:
    line = f"echo x >> {tmp_path}/count"
    await command(tmp_path, line).run()
    assert (await command(tmp_path, line).run()).exit_code == 0
    assert (tmp_path / "count").read_text() == "x\n"


async def test_what_it_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    line = f"sleep 60 & echo $! > {tmp_path}/pid"
    async with asyncio.timeout(10):
        assert (await command(tmp_path, line).run()).exit_code == 0
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


async def test_a_command_whose_starter_was_killed_is_waited_for(tmp_path: Path) -> None:
    line = f"echo x >> {tmp_path}/count; until [ -e {tmp_path}/go ]; do sleep 0.05; done; exit 7"
    program = (
        "import asyncio, sys; from pathlib import Path;"
        "from shipkeeper.hosts.command import LocalCommand;"
        "asyncio.run(LocalCommand(Path(sys.argv[1]) / 'record', sys.argv[2], {}).run())"
    )
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), line
    )
    async with asyncio.timeout(20):
        while not (tmp_path / "count").exists():
            await asyncio.sleep(0.02)
    starter.kill()
    await starter.wait()
    waiting = asyncio.create_task(command(tmp_path, line).run())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    (tmp_path / "go").touch()
    assert (await waiting).exit_code == 7
    assert (tmp_path / "count").read_text() == "x\n"


async def test_a_killed_command_is_reported_as_lost(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        await command(tmp_path, "kill -9 $$").run()
    assert caught.value.reason == "CommandLost"


async def test_a_lost_command_is_not_started_again(tmp_path: Path) -> None:
    line = f"echo x >> {tmp_path}/count; kill -9 $$"
    for _ in range(2):
        with pytest.raises(CommandError, match="without leaving its exit code"):
            await command(tmp_path, line).run()
    assert (tmp_path / "count").read_text() == "x\n"


async def test_its_output_is_shown_while_it_runs_and_kept_masked(tmp_path: Path) -> None:
    lines: list[str] = []
    running = asyncio.create_task(
        LocalCommand(
            tmp_path / "record",
            f'echo "with $KEY"; until [ -e {tmp_path}/go ]; do sleep 0.05; done; printf end',
            {},
            secrets={"KEY": "s3cr3t-value"},
            show=lines.append,
        ).run()
    )
    async with asyncio.timeout(20):
        while not lines:
            await asyncio.sleep(0.02)
    assert not running.done()
    raw = tmp_path / "record" / "output.raw"
    assert raw.stat().st_mode & 0o077 == 0
    (tmp_path / "go").touch()
    assert (await running).tail == "with •••\nend"
    assert lines == ["with •••", "end"]
    assert not raw.exists()


@pytest.mark.parametrize("stubborn", [False, True])
async def test_one_that_takes_too_long_is_ended_with_its_children(
    tmp_path: Path, stubborn: bool
) -> None:
    line = (
        f"{'trap : TERM; ' * stubborn}sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600'; sleep 600"
    )
    hanging = LocalCommand(tmp_path / "record", line, {}, time_limit=1.0, end_grace=0.5)
    with pytest.raises(CommandError) as caught:
        await hanging.run()
    assert caught.value.reason == "CommandTimedOut"
    assert not is_alive((tmp_path / "pid").read_text().strip())
    # The limit counts from the start: who comes later does not give it more time.
    with pytest.raises(CommandError, match="longer than 1 s"):
        await hanging.run()


def is_alive(pid: str) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_what_killed_it_is_named(tmp_path: Path) -> None:
    result = await command(tmp_path, "sh -c 'kill -9 $$'; exit $?").run()
    assert result.ending == "was killed by SIGKILL"
    assert (await command(tmp_path / "b", "exit 3").run()).ending == "ended with exit code 3"
