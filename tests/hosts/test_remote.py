import asyncio

import pytest

from shipkeeper.errors import UsageError
from shipkeeper.hosts.errors import CommandLostError
from shipkeeper.hosts.record import Keeping, State
from tests.hosts.field import PATIENT, Field, count


async def test_it_runs_with_its_environment_and_gives_its_end(field: Field) -> None:
    script = 'echo "on $NODE_NAME, $ODD"; echo oops >&2; exit 3'
    odd = 'it\'s "odd"\n$HOME `id`'
    command = field.command(script, environment={"NODE_NAME": "node-1", "ODD": odd})
    result = await command.run()
    assert result.exit_code == 3
    assert not result.rebooted
    expected = ['on node-1, it\'s "odd"', "$HOME `id`", "oops"]
    assert field.shown == expected
    assert command.output.read_text().splitlines() == expected
    assert result.tail == "\n".join(expected)


async def test_the_record_is_roots_alone_and_goes_when_forgotten(field: Field) -> None:
    command = field.command("umask; echo $TOKEN_X", secrets={"TOKEN_X": "swordfish"})
    await command.run()
    record = field.server.root / "var/lib/shipkeeper/run-1/node-1"
    assert [oct(each.stat().st_mode & 0o777) for each in (record, record.parent.parent)] == [
        "0o700",
        "0o700",
    ]
    assert not (record / "environment").exists()
    assert (await command.look()).state == State.ENDED
    await command.forget()
    assert not record.parent.parent.exists()
    assert (await command.look()).state == State.NEVER


async def test_secrets_are_masked_before_they_are_shown_or_stored(field: Field) -> None:
    script = "echo user swordfish; echo password=hunter22; echo plain"
    command = field.command(script, secrets={"TOKEN_X": "swordfish"})
    result = await command.run()
    assert field.shown == ["user •••", "password=•••", "plain"]
    assert "swordfish" not in command.output.read_text() + result.tail


async def test_an_ended_command_is_not_run_again(field: Field) -> None:
    script = "echo x >> MARKS/count; echo done"
    await field.command(script).run()
    result = await field.command(script).run()
    assert (result.exit_code, result.tail) == (0, "done")
    assert count(field) == "x\n"
    assert field.shown == ["done"]


async def test_another_script_under_the_same_name_is_refused(field: Field) -> None:
    await field.command("true").run()
    with pytest.raises(CommandLostError) as caught:
        await field.command("false").run()
    assert caught.value.reason == "RecordOfAnother"


async def test_another_interpreter_can_be_named(field: Field) -> None:
    result = await field.command("#!/usr/bin/env perl\nprint 6 * 7, qq{\\n};").run()
    assert (result.exit_code, result.tail) == (0, "42")


async def test_what_it_leaves_in_the_background_is_not_waited_for(field: Field) -> None:
    async with asyncio.timeout(60):
        assert (await field.command("sleep 600 & exit 0").run()).exit_code == 0


async def test_output_comes_while_the_command_runs(field: Field) -> None:
    running = asyncio.create_task(field.command(PATIENT).run())
    await field.until(lambda: field.shown == ["first"])
    field.mark("go")
    assert (await running).exit_code == 7
    assert field.shown == ["first", "second"]


async def test_much_output_comes_whole(field: Field) -> None:
    await field.command("seq 1 200000; printf 'no line feed'").run()
    assert field.shown == [*map(str, range(1, 200001)), "no line feed"]


async def test_bash_as_the_hosts_shell_is_fine_too(field: Field) -> None:
    await field.server.run("mount --bind $(command -v bash) $(readlink -f /bin/sh)")
    assert await field.server.run("echo $BASH_VERSION") != "\n"
    running = asyncio.create_task(field.command(PATIENT, environment={"A": "b'c"}).run())
    await field.until(lambda: field.shown == ["first"])
    field.mark("go")
    assert (await running).exit_code == 7
    assert (await field.command(PATIENT).run()).exit_code == 7


@pytest.mark.parametrize("name", ["", "..", "a/../b", "/a", "a/", "a b", ".hidden"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        Keeping(name=name)
