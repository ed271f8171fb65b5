import asyncio
from typing import Any

import pytest

from shipkeeper.hosts.errors import (
    CommandLostError,
    CommandTimedOutError,
    HostRebootedError,
)
from shipkeeper.hosts.record import State
from shipkeeper.hosts.remote import RemoteOptions, RemoteResult
from tests.hosts.field import PATIENT, Field, count


async def test_a_hanging_command_is_ended_at_its_limit(field: Field) -> None:
    options = RemoteOptions(time_limit=1, end_grace=5)
    script = "echo $$ > MARKS/pid; sleep 600 & wait"
    with pytest.raises(CommandTimedOutError) as caught:
        await field.command(script, options=options).run()
    assert "longer than 1 s; it was ended" in caught.value.message
    record = await field.command(script).look()
    assert (record.state, record.exit_code) == (State.ENDED, 143)
    assert await field.server.run("pgrep -r R,S,D -x sleep | wc -l") == "1\n"
    with pytest.raises(CommandTimedOutError):
        await field.command(script, options=options).run()


async def test_a_command_that_ignores_sigterm_is_killed(field: Field) -> None:
    options = RemoteOptions(time_limit=1, end_grace=1)
    script = "trap '' TERM; while :; do sleep 0.1; done"
    with pytest.raises(CommandTimedOutError):
        await field.command(script, options=options).run()
    record = await field.command(script).look()
    assert (record.state, record.exit_code) == (State.ENDED, 137)


async def test_at_its_limit_it_may_be_left_running(field: Field) -> None:
    options = RemoteOptions(time_limit=1, end_at_limit=False)
    with pytest.raises(CommandTimedOutError) as caught:
        await field.command(PATIENT, options=options).run()
    assert "left running" in caught.value.message
    field.mark("go")
    assert (await field.command(PATIENT).run()).exit_code == 7
    assert count(field) == "x\n"


async def test_a_killed_command_is_lost(field: Field) -> None:
    with pytest.raises(CommandLostError) as caught:
        await field.command("kill -9 $PPID").run()
    assert caught.value.reason == "CommandLost"


async def power_cut(field: Field, script: str, **changes: Any) -> RemoteResult:
    """Kill all that runs on the host, and boot it anew."""
    running = asyncio.create_task(field.command(script, **changes).run())
    await field.marked("begun")
    await field.server.stop()
    await field.server.run("kill -9 $(pgrep -x sh -f runner) $(pgrep -f var/lib/shipkeeper)")
    field.server.reboot()
    await field.server.start()
    return await running


async def test_a_power_cut_in_mid_command_is_told_apart(field: Field) -> None:
    with pytest.raises(HostRebootedError) as caught:
        await power_cut(field, PATIENT)
    assert caught.value.reason == "HostRebooted"
    assert count(field) == "x\n"
    with pytest.raises(HostRebootedError):
        await field.command(PATIENT).run()
    assert count(field) == "x\n"


async def test_a_reboot_that_was_expected_is_a_result(field: Field) -> None:
    result = await power_cut(field, PATIENT, expects_reboot=True)
    assert result.exit_code is None
    assert result.rebooted


async def test_an_end_before_the_reboot_stays_known(field: Field) -> None:
    await field.command("exit 4").run()
    field.server.reboot()
    result = await field.command("exit 4").run()
    assert (result.exit_code, result.rebooted) == (4, True)
