import asyncio
import sys
from pathlib import Path

import pytest

from shipkeeper.hosts.errors import HostUnreachableError
from shipkeeper.hosts.record import Keeping, State
from shipkeeper.hosts.remote import RemoteOptions
from shipkeeper.hosts.ssh import SshHost
from tests.hosts.field import PATIENT, Field, count
from tests.hosts.proxy import Proxy


async def test_a_dropped_connection_loses_nothing(field: Field) -> None:
    script = """
    echo x >> MARKS/count
    for word in one two three four; do
        until [ -e MARKS/$word ]; do sleep 0.05; done
        echo $word
    done
    exit 7
    """
    words = ["one", "two", "three", "four"]
    async with Proxy(field.server.port) as proxy:
        field.server.know(field.server.known_line(f"[127.*]:{proxy.port}"))
        running = asyncio.create_task(field.command(script, login={"port": proxy.port}).run())
        for done, word in enumerate(words[:3], start=1):
            field.mark(word)
            await field.until(lambda done=done: field.shown == words[:done])
            proxy.cut()
            await field.until(lambda done=done: len(field.troubles) == done)
        assert {error.reason for error in field.troubles} == {"ConnectionLost"}
        field.mark("four")
        assert (await running).exit_code == 7
    assert field.shown == words
    assert count(field) == "x\n"


async def test_sshd_may_be_restarted_meanwhile(field: Field) -> None:
    running = asyncio.create_task(field.command(PATIENT).run())
    await field.until(lambda: field.shown == ["first"])
    await field.server.stop()
    await field.until(lambda: {e.reason for e in field.troubles} >= {"HostUnreachable"})
    field.mark("go")
    await field.server.start()
    assert (await running).exit_code == 7
    assert field.shown == ["first", "second"]
    assert count(field) == "x\n"


async def test_a_host_that_never_comes_back_is_given_up(field: Field) -> None:
    options = RemoteOptions(reconnect_limit=0.5, reconnect_base=0.05)
    running = asyncio.create_task(field.command(PATIENT, options=options).run())
    await field.marked("begun")
    await field.server.stop()
    with pytest.raises(HostUnreachableError):
        await running
    assert field.troubles


async def test_patience_begins_anew_with_each_absence(field: Field) -> None:
    limit = 0.5
    options = RemoteOptions(reconnect_limit=limit, reconnect_base=0.01)
    async with Proxy(field.server.port) as proxy:
        field.server.know(field.server.known_line(f"[127.*]:{proxy.port}"))
        login = {"port": proxy.port}
        running = asyncio.create_task(field.command(PATIENT, options=options, login=login).run())
        await field.until(lambda: field.shown == ["first"])
        await asyncio.sleep(2 * limit)
        proxy.cut()
        await field.until(lambda: len(field.troubles) == 1)
        field.mark("go")
        assert (await running).exit_code == 7


async def test_a_host_that_was_never_reached_is_not_waited_for(field: Field) -> None:
    await field.server.stop()
    with pytest.raises(HostUnreachableError):
        await field.command(PATIENT).run()
    assert not field.troubles
    # Who comes again knows that nothing was begun.
    with pytest.raises(HostUnreachableError):
        await field.command(PATIENT, is_resumed=True).run()
    assert not field.troubles


async def test_a_host_where_it_was_begun_from_elsewhere_is_waited_for(
    field: Field, tmp_path: Path
) -> None:
    elsewhere = asyncio.create_task(field.command(PATIENT).run())
    await field.marked("begun")
    elsewhere.cancel()
    await field.server.stop()
    field.local = tmp_path / "here"
    command = field.command(PATIENT, is_resumed=True)
    assert command.is_open
    running = asyncio.create_task(command.run())
    await field.until(lambda: bool(field.troubles))
    await field.server.start()
    field.mark("go")
    assert (await running).exit_code == 7
    assert count(field) == "x\n"
    assert not command.is_open


_PROGRAM = """
import asyncio, os, signal, sys
from pathlib import Path
from shipkeeper.hosts.options import SshOptions
from shipkeeper.hosts.remote import RemoteCommand
from shipkeeper.hosts.ssh import SshHost
from shipkeeper.hosts.ssh_session import SshSession

port, home, local, script, die_at = sys.argv[1:]
calls, execute = [], SshSession.execute

async def mortal(self, program, output):
    calls.append(program)
    if die_at == f"before {len(calls)}":
        os.kill(os.getpid(), signal.SIGKILL)
    if die_at == f"amid {len(calls)}":
        asyncio.get_running_loop().call_later(0.02, os.kill, os.getpid(), signal.SIGKILL)
    answer = await execute(self, program, output)
    if die_at == f"after {len(calls)}":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

SshSession.execute = mortal
options = SshOptions(user="root", port=int(port), identities=(Path(home) / "user_key",),
    use_agent=False, known_hosts=Path(home) / "known_hosts", connect_timeout=60.0)
command = RemoteCommand(SshHost("127.0.0.1", options), "run-1/node-1", script, Path(local))
asyncio.run(command.run())
"""


async def separate(field: Field, script: str, die_at: str = "") -> asyncio.subprocess.Process:
    """Run a command from a process of its own, which may kill itself."""
    server = field.server
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, str(server.port), str(server.home)),
        *(str(field.local), script.replace("MARKS", str(field.marks)), die_at),
    )


async def test_after_sigkill_it_is_followed_not_started_again(field: Field) -> None:
    first = await separate(field, PATIENT)
    output = field.local / "output.log"
    await field.until(lambda: output.exists() and output.read_text() == "first\n")
    first.kill()
    await first.wait()
    again = field.command(PATIENT)
    assert (await again.look()).state == State.RUNNING
    running = asyncio.create_task(again.run())
    field.mark("go")
    assert (await running).exit_code == 7
    assert field.shown == ["second"]
    assert output.read_text() == "first\nsecond\n"
    assert count(field) == "x\n"


async def test_sigkill_at_every_call_starts_it_once(field: Field) -> None:
    script = "echo x >> MARKS/count; echo start; sleep 1; echo end"
    moments = [f"{when} {call}" for call in (1, 2, 3) for when in ("before", "amid", "after")]
    codes = [await (await separate(field, script, moment)).wait() for moment in moments]
    assert codes[:4] == [-9, -9, -9, -9]
    assert (await field.command(script).run()).exit_code == 0
    assert count(field) == "x\n"
    assert (field.local / "output.log").read_text() == "start\nend\n"


async def test_a_program_cut_off_in_transit_starts_nothing(field: Field) -> None:
    program = Keeping(name="run-1/node-1").begin(f"touch {field.marks}/count", {"A": "b"})
    async with SshHost("127.0.0.1", field.server.options()).session() as session:
        for part in range(1, 20):
            await session.execute(program[: len(program) * part // 20], lambda _: None)
    assert not list((field.server.root / "var/lib").iterdir())


async def test_two_at_once_start_it_once(field: Field) -> None:
    ends = await asyncio.gather(*(field.command(PATIENT).look() for _ in range(2)))
    assert {end.state for end in ends} == {State.NEVER}
    both = [asyncio.create_task(field.command(PATIENT).run()) for _ in range(2)]
    await field.marked("begun")
    field.mark("go")
    assert [result.exit_code for result in await asyncio.gather(*both)] == [7, 7]
    assert count(field) == "x\n"
