import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from shipkeeper.errors import UsageError
from shipkeeper.hosts.presets import Outcome, reboot, script
from tests.hosts.fake_host import FakeHost


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.shim("systemctl")
    host.shim("setsid")
    return host


async def decide(host: FakeHost, *, always: bool = False) -> tuple[Outcome, str]:
    """What it decides; the reboot is left to shims."""
    preset = reboot(always=always)
    code, output = await host.run(preset, SHIPKEEPER_RECORD=str(host.directory / "record"))
    return preset.outcome(code), output


async def test_nothing_asks_for_a_reboot(host: FakeHost) -> None:
    outcome, _ = await decide(host)
    assert (outcome.reason, outcome.ok, outcome.reboots) == ("RebootNotNeeded", True, False)


@pytest.mark.parametrize(
    "flag", ["/run/reboot-required", "/var/run/reboot-required", "/run/reboot-needed"]
)
async def test_a_flag_asks_for_a_reboot(host: FakeHost, flag: str) -> None:
    host.file(flag)
    outcome, output = await decide(host)
    assert (outcome.reason, outcome.ok, outcome.reboots) == ("RebootScheduled", True, True)
    assert flag in output


@pytest.mark.parametrize(
    ("name", "code", "needed"),
    [
        ("needs-restarting", 1, True),
        ("needs-restarting", 0, False),
        ("needs-restarting", 2, False),
        ("zypper", 102, True),
        ("zypper", 0, False),
    ],
)
async def test_the_package_managers_are_asked(
    host: FakeHost, name: str, code: int, needed: bool
) -> None:
    host.shim(name, f"exit {code}")
    outcome, _ = await decide(host)
    assert outcome.reboots == needed


@pytest.mark.parametrize(
    ("running", "installed", "needed"),
    [
        ("6.1.0-18-amd64", ["6.1.0-18-amd64"], False),
        ("6.1.0-18-amd64", ["6.1.0-18-amd64", "6.1.0-9-amd64"], False),
        ("6.1.0-9-amd64", ["6.1.0-9-amd64", "6.1.0-18-amd64"], True),
        ("6.1.0-18-amd64", ["6.1.0-18-amd64", "6.1.0-20-cloud-amd64"], False),
        ("5.15.0-91-generic", ["5.15.0-91-generic", "5.15.0-105-generic"], True),
        ("5.15.0-91-generic", ["5.15.0-91-generic", "5.15.0-105-lowlatency"], False),
        (
            "5.14.0-362.8.1.el9_3.x86_64",
            ["5.14.0-362.8.1.el9_3.x86_64", "5.14.0-427.13.1.el9_4.x86_64"],
            True,
        ),
        ("6.4.0-150600.21-default", ["6.4.0-150600.21-default", "6.4.0-150600.23-default"], True),
        ("6.1.0-18-amd64", [], False),
    ],
)
async def test_a_newer_kernel_of_the_same_kind(
    host: FakeHost, running: str, installed: list[str], needed: bool
) -> None:
    host.shim("uname", f"echo {running}")
    for version in installed:
        host.file(f"/lib/modules/{version}/modules.dep")
        host.file(f"/boot/vmlinuz-{version}")
    outcome, output = await decide(host)
    assert outcome.reboots == needed, output


async def test_the_modules_of_a_removed_kernel_do_not_count(host: FakeHost) -> None:
    host.file("/boot/vmlinuz-6.1.0-18-amd64")
    host.file("/lib/modules/6.1.0-18-amd64/modules.dep")
    host.file("/lib/modules/6.1.0-20-amd64/modules.dep")
    assert not (await decide(host))[0].reboots
    host.file("/lib/modules/6.1.0-20-amd64/vmlinuz")
    assert (await decide(host))[0].reboots


async def test_always_means_always(host: FakeHost) -> None:
    outcome, output = await decide(host, always=True)
    assert outcome.reboots
    assert "asked for" in output


async def test_it_reboots_only_after_its_end_is_on_record(host: FakeHost) -> None:
    host.tool("setsid")
    record = host.directory / "record"
    record.mkdir()
    host.shim("sleep", "until [ -e $D/go ]; do :; done")
    assert (await decide(host, always=True))[0].reboots
    calls = await calls_with(host, "sleep")
    assert calls[-1] == "sleep 1"
    (record / "exit").touch()
    (host.directory / "go").touch()
    calls = await calls_with(host, "systemctl")
    assert calls[-3:] == ["sleep 1", "sleep 2", "systemctl reboot"]


async def calls_with(host: FakeHost, name: str) -> Sequence[str]:
    """Wait until a command was called."""
    async with asyncio.timeout(60):
        while not any(call.startswith(name) for call in host.calls):
            await asyncio.sleep(0.02)
    return host.calls


async def test_systemd_takes_the_reboot_over_where_it_runs(host: FakeHost) -> None:
    (host.root / "run/systemd/system").mkdir(parents=True)
    host.shim("systemd-run")
    assert (await decide(host, always=True))[0].reboots
    assert any(call.startswith("systemd-run --quiet --collect sh -c") for call in host.calls)


async def test_nothing_to_reboot_with(host: FakeHost) -> None:
    (host.bin / "systemctl").unlink()
    outcome, _ = await decide(host, always=True)
    assert (outcome.reason, outcome.ok) == ("RebootUnavailable", False)


async def test_it_needs_root(host: FakeHost) -> None:
    host.shim("id", "echo 1000")
    assert (await decide(host, always=True))[0].reason == "NotRoot"


def test_a_script_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.sh"
    path.write_text("exit 3\n")
    mine = script(path)
    assert mine.text == "exit 3\n"
    assert mine.outcome(0).ok
    assert mine.outcome(3).reason == "CommandFailed"
    assert script(path, expects_reboot=True).outcome(None).ok


@pytest.mark.parametrize("content", [b"", b"\x7fELF\0\0", b"\xff\xfe"])
def test_what_is_not_a_script_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "binary"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        script(path)


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        script(tmp_path / "none")
