import asyncio
import os
import signal
from pathlib import Path

import pytest

from shipkeeper.hosts.presets import Script, os_update
from tests.hosts.fake_host import FakeHost

# Keeps holds in a file, as dpkg does.
APT_MARK = """
case $1 in
showhold) cat $D/holds 2>/dev/null ;;
hold) shift; [ ! -e $D/locked ] || { echo "E: Could not get lock"; exit 100; }
    for p; do echo $p; done >> $D/holds; sort -u -o $D/holds $D/holds ;;
unhold) shift; for p; do grep -vxF $p $D/holds > $D/h; mv $D/h $D/holds; done ;;
esac
"""
INSTALLED = "printf 'kubelet installed\\nkubeadm installed\\nkubectl config-files\\n'; exit 1"
UPGRADE = 'case $* in *upgrade) sort $D/holds > $D/held-meanwhile; echo "3 upgraded" ;; esac'


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


@pytest.fixture
def debian(host: FakeHost) -> FakeHost:
    host.shim("apt-get", UPGRADE)
    host.shim("dpkg")
    host.shim("dpkg-query", INSTALLED)
    host.shim("apt-mark", APT_MARK)
    (host.directory / "holds").write_text("kubeadm\nlinux-image-amd64\n")
    return host


def quick(lock_wait: int = 2) -> Script:
    script = os_update(lock_wait=lock_wait)
    return Script(
        text=script.text.replace("lock_poll=5", "lock_poll=1", 1),
        description=script.description,
        outcomes=script.outcomes,
    )


async def reason(host: FakeHost, script: Script) -> str:
    code, _ = await host.run(script)
    outcome = script.outcome(code)
    assert outcome.ok or outcome.hint
    return outcome.reason


def holds(host: FakeHost) -> list[str]:
    return (host.directory / "holds").read_text().split()


async def test_apt_upgrades_all_but_kubernetes(debian: FakeHost) -> None:
    code, output = await debian.run(quick())
    assert code == 0, output
    assert "3 upgraded\n" in output
    meanwhile = (debian.directory / "held-meanwhile").read_text().split()
    assert meanwhile == ["kubeadm", "kubelet", "linux-image-amd64"]
    assert holds(debian) == ["kubeadm", "linux-image-amd64"]
    assert not list(debian.state.iterdir())
    upgrade = next(call for call in debian.calls if call.endswith(" upgrade"))
    for option in ("-y", "--force-confdef", "--force-confold"):
        assert option in upgrade


async def test_holds_are_restored_when_the_upgrade_fails(debian: FakeHost) -> None:
    debian.shim("apt-get", 'case $* in *upgrade) echo "E: broken"; exit 100 ;; esac')
    assert await reason(debian, quick()) == "UpgradeFailed"
    assert holds(debian) == ["kubeadm", "linux-image-amd64"]


async def test_holds_are_restored_when_it_is_ended(debian: FakeHost) -> None:
    debian.shim("apt-get", "case $* in *upgrade) touch $D/upgrading; sleep 600 ;; esac")
    process = await start(debian)
    os.killpg(process.pid, signal.SIGTERM)
    assert await process.wait() == 143
    assert holds(debian) == ["kubeadm", "linux-image-amd64"]


async def test_after_sigkill_the_next_run_knows_our_holds_from_others(debian: FakeHost) -> None:
    debian.shim("apt-get", "case $* in *upgrade) touch $D/upgrading; sleep 600 ;; esac")
    process = await start(debian)
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    assert holds(debian) == ["kubeadm", "kubelet", "linux-image-amd64"]
    debian.shim("apt-get", UPGRADE)
    assert await reason(debian, quick()) == "Updated"
    assert holds(debian) == ["kubeadm", "linux-image-amd64"]


async def start(host: FakeHost) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", quick().text),
        env={"PATH": str(host.bin), "SHIPKEEPER_STATE": str(host.state)},
        start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(60):
        while not (host.directory / "upgrading").exists():
            await asyncio.sleep(0.02)
    return process


async def test_holds_that_cannot_be_restored_are_told(debian: FakeHost) -> None:
    debian.shim("apt-mark", f"[ $1 != unhold ] || exit 1\n{APT_MARK}")
    assert await reason(debian, quick()) == "HoldsNotRestored"
    debian.shim("apt-mark", APT_MARK)
    assert await reason(debian, quick()) == "Updated"
    assert holds(debian) == ["kubeadm", "linux-image-amd64"]


async def test_a_lock_that_is_freed_is_waited_for(debian: FakeHost) -> None:
    locked = (
        "[ -e $D/tried ] || { touch $D/tried; echo 'E: Could not get lock /var/lib'; exit 100; }"
    )
    debian.shim("apt-get", f"case $* in *upgrade) {locked} ;; esac\n{UPGRADE}")
    code, output = await debian.run(quick())
    assert code == 0
    assert "waiting for the package lock" in output
    assert "3 upgraded" in output


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by 1", "PackageLockHeld"),
        ("dpkg: error: dpkg frontend lock was locked by another process", "PackageLockHeld"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "DiskFull"),
        ("cannot copy: failed to write (No space left on device)", "DiskFull"),
        ("E: Sub-process /usr/bin/dpkg returned an error code (1)", "UpgradeFailed"),
    ],
)
async def test_apts_failures_are_told_apart(debian: FakeHost, message: str, expected: str) -> None:
    debian.shim("apt-get", f'case $* in *upgrade) echo "{message}"; exit 100 ;; esac')
    assert await reason(debian, quick()) == expected
    assert holds(debian) == ["kubeadm", "linux-image-amd64"]


async def test_lists_that_cannot_be_fetched(debian: FakeHost) -> None:
    debian.shim("apt-get", "case $* in *update) echo 'E: Failed to fetch'; exit 100 ;; esac")
    assert await reason(debian, quick()) == "RepositoriesUnavailable"
    assert not any(call.startswith("apt-mark hold") for call in debian.calls)


async def test_an_interrupted_installation_that_cannot_be_finished(debian: FakeHost) -> None:
    debian.shim("dpkg", "exit 1")
    assert await reason(debian, quick()) == "PackagesBroken"


@pytest.mark.parametrize("manager", ["dnf", "yum"])
async def test_dnf_and_yum_leave_kubernetes_out(host: FakeHost, manager: str) -> None:
    host.shim(manager)
    assert await reason(host, quick()) == "Updated"
    upgrade = host.calls[-1].split()
    assert upgrade[-1] == "upgrade"
    assert {"-y", "--exclude=kubelet", "--exclude=kubeadm", "--exclude=kubectl"} <= set(upgrade)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("exit 200", "PackageLockHeld"),
        ("echo 'At least 90MB more space needed on the / filesystem.'; exit 1", "DiskFull"),
        ("echo 'package a needs 5MB on the /boot filesystem'; exit 1", "DiskFull"),
        ("exit 1", "UpgradeFailed"),
    ],
)
async def test_dnfs_failures_are_told_apart(host: FakeHost, body: str, expected: str) -> None:
    host.shim("dnf", f"case $* in *upgrade) {body} ;; esac")
    assert await reason(host, quick()) == expected


ZYPPER = r"""
case $* in
*locks) printf '\n# | Name | Type | Repository\n--+--\n'
    n=0; while read -r p; do n=$((n + 1)); echo "$n | $p | package | (any)"; done < $D/holds ;;
*addlock*) shift 2; for p; do echo $p; done >> $D/holds; sort -u -o $D/holds $D/holds ;;
*removelock*) shift 2; for p; do grep -vxF $p $D/holds > $D/h; mv $D/h $D/holds; done ;;
*update*|*dist-upgrade*) cat $D/holds > $D/held-meanwhile; UPDATE ;;
esac
"""


def suse(host: FakeHost, update: str = "exit 0") -> FakeHost:
    host.shim("zypper", ZYPPER.replace("UPDATE", update))
    (host.directory / "holds").write_text("kubeadm\nvim\n")
    return host


async def test_zypper_locks_kubernetes_meanwhile(host: FakeHost) -> None:
    assert await reason(suse(host), quick()) == "Updated"
    meanwhile = (host.directory / "held-meanwhile").read_text().split()
    assert set(meanwhile) >= {"kubelet", "kubeadm", "kubectl", "vim"}
    assert holds(host) == ["kubeadm", "vim"]


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        ("exit 102", "Updated"),
        ("[ -e $D/again ] || { touch $D/again; exit 103; }", "Updated"),
        ("exit 7", "PackageLockHeld"),
        ("exit 8", "UpgradeFailed"),
        ("exit 103", "UpgradeFailed"),
        ("echo 'write: No space left on device'; exit 8", "DiskFull"),
    ],
)
async def test_zyppers_exit_codes(host: FakeHost, update: str, expected: str) -> None:
    assert await reason(suse(host, update), quick()) == expected
    assert holds(host) == ["kubeadm", "vim"]


async def test_transactional_update_works_in_a_snapshot(host: FakeHost) -> None:
    suse(host)
    host.shim("transactional-update", 'shift 2; exec "$@"')
    assert await reason(host, quick()) == "Updated"
    assert host.calls[0].startswith("transactional-update --non-interactive run sh -c")
    assert "kubelet" in (host.directory / "held-meanwhile").read_text()
    assert holds(host) == ["kubeadm", "vim"]


async def test_a_failed_transactional_update(host: FakeHost) -> None:
    suse(host, "exit 8")
    host.shim("transactional-update", 'shift 2; exec "$@"')
    assert await reason(host, quick()) == "UpgradeFailed"


async def test_an_unknown_distribution(host: FakeHost) -> None:
    assert await reason(host, quick()) == "PackageManagerUnknown"


async def test_it_needs_root(debian: FakeHost) -> None:
    debian.shim("id", "echo 1000")
    assert await reason(debian, quick()) == "NotRoot"
    assert debian.calls == ["id -u"]
