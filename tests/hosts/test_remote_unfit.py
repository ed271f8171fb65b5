import pytest

from shipkeeper.hosts.errors import (
    CommandLostError,
    HostUnfitError,
)
from shipkeeper.hosts.remote import RemoteOptions
from tests.hosts.field import Field
from tests.hosts.sshd import KEEPER, SshServer


async def test_a_full_disk_starts_nothing(field: Field) -> None:
    await field.server.run("cat /dev/zero > /srv/full 2>/dev/null")
    options = RemoteOptions(root="/srv/shipkeeper")
    with pytest.raises(HostUnfitError) as caught:
        await field.command("touch MARKS/count", options=options).run()
    assert caught.value.reason == "DiskFull"
    assert "nothing was started" in caught.value.hint
    assert not (field.marks / "count").exists()
    await field.server.run("rm /srv/full")
    assert (await field.command("touch MARKS/count", options=options).run()).exit_code == 0


async def test_no_inode_left_starts_nothing(field: Field) -> None:
    await field.server.run("i=0; while : > /srv/$i; do i=$((i + 1)); done 2>/dev/null")
    with pytest.raises(HostUnfitError) as caught:
        await field.command("true", options=RemoteOptions(root="/srv/shipkeeper")).run()
    assert caught.value.reason == "DiskFull"


async def test_a_disk_that_fills_up_meanwhile_does_not_hide_the_end(field: Field) -> None:
    options = RemoteOptions(root="/srv/shipkeeper")
    result = await field.command("cat /dev/zero > /srv/full; exit 28", options=options).run()
    assert result.exit_code == 28


async def test_a_read_only_disk_starts_nothing(field: Field) -> None:
    await field.server.run("mount -o remount,ro /srv")
    with pytest.raises(HostUnfitError) as caught:
        await field.command("true", options=RemoteOptions(root="/srv/shipkeeper")).run()
    assert caught.value.reason == "RecordUnwritable"
    assert "Read-only file system" in caught.value.message


async def test_a_noexec_disk_is_good_enough(field: Field) -> None:
    await field.server.run("mount -o remount,noexec /srv")
    options = RemoteOptions(root="/srv/shipkeeper")
    assert (await field.command("#!/bin/sh -e\nexit 5", options=options).run()).exit_code == 5


async def test_somebody_elses_directory_is_refused(field: Field) -> None:
    await field.server.run(f"mkdir /srv/shipkeeper; chown {KEEPER} /srv/shipkeeper")
    with pytest.raises(HostUnfitError) as caught:
        await field.command("true", options=RemoteOptions(root="/srv/shipkeeper")).run()
    assert caught.value.reason == "RecordForeign"


async def test_without_flock_it_says_so(field: Field) -> None:
    await field.server.run("mount --bind /dev/null $(command -v flock)")
    with pytest.raises(HostUnfitError) as caught:
        await field.command("true").run()
    assert caught.value.reason == "ToolMissing"
    assert "flock" in caught.value.message


async def test_who_is_not_root_keeps_records_at_home(field: Field) -> None:
    result = await field.command("id -un", login={"user": "keeper"}).run()
    assert (result.exit_code, result.tail) == (0, "keeper")
    record = field.server.home / "keeper/.shipkeeper/run-1/node-1"
    assert record.stat().st_uid == KEEPER
    assert record.stat().st_mode & 0o777 == 0o700


def write_sudo(server: SshServer, text: str) -> None:
    shim = server.home / "bin/sudo"
    shim.write_text(f"#!/bin/sh\n{text}\n")
    shim.chmod(0o755)


async def test_sudo_comes_first_when_asked_for(field: Field) -> None:
    write_sudo(field.server, 'echo "$*" > ' + f"{field.marks}/sudo\n" + 'shift 2; exec "$@"')
    assert (await field.command("exit 6", login={"sudo": True}).run()).exit_code == 6
    assert (field.marks / "sudo").read_text() == "-n -H sh -s\n"


async def test_sudo_that_wants_a_password_is_a_clear_verdict(field: Field) -> None:
    write_sudo(field.server, "echo 'sudo: a password is required' >&2; exit 1")
    with pytest.raises(HostUnfitError) as caught:
        await field.command("true", login={"sudo": True, "user": "keeper"}).run()
    assert caught.value.reason == "SudoRefused"


async def test_a_local_disk_that_cannot_be_written_starts_nothing(field: Field) -> None:
    field.local.write_text("a file, not a directory")
    with pytest.raises(CommandLostError) as caught:
        await field.command("touch MARKS/count").run()
    assert caught.value.reason == "RecordUnwritable"
    assert not (field.marks / "count").exists()
    assert not list((field.server.root / "var/lib").iterdir())
