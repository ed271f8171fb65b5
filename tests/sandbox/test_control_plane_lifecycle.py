"""A sandbox's life: up, interrupted, restarted, side by side, down with nothing left."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from shipkeeper.errors import LockHeldError, UsageError
from shipkeeper.sandbox import Sandbox, SandboxError, names, process
from shipkeeper.sandbox import bring_up as bring_up_module
from shipkeeper.sandbox import sandbox as sandbox_module
from shipkeeper.sandbox.assets import NEWEST, OLDEST, find_assets
from shipkeeper.sandbox.bring_up import start_component
from shipkeeper.sandbox.health import PortTakenError, wait_healthy
from shipkeeper.sandbox.layout import Layout, sandboxes_dir
from shipkeeper.sandbox.lock import alone
from shipkeeper.sandbox.ports import choose_ports
from shipkeeper.sandbox.process import ProcessIdentity
from shipkeeper.sandbox.record import (
    SandboxRecord,
    StartedComponent,
    read_record,
    write_record,
)

from .client import Kubectl, wait_until

pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def name() -> Iterator[str]:
    """A name that is free, and free again after the test whatever it did."""
    yield "fleeting"
    if "fleeting" in Sandbox.names():
        Sandbox.load("fleeting").down()


def running_for(directory: Path) -> list[int]:
    """Every process of this machine that was started with a path inside `directory`."""
    found: list[int] = []
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = arguments.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if f"{directory}/".encode() in words:
            found.append(int(arguments.parent.name))
    return found


def create(kubectl: Kubectl, sandbox: Sandbox, config_map: str) -> None:
    kubectl.answer(sandbox, "create", "configmap", config_map)


def has(kubectl: Kubectl, sandbox: Sandbox, config_map: str) -> bool:
    return kubectl(sandbox.kubeconfig, "get", "configmap", config_map).returncode == 0


def pids(sandbox: Sandbox) -> dict[str, int | None]:
    return {each.name: each.pid for each in sandbox.status().components}


def test_down_leaves_nothing(name: str) -> None:
    said: list[str] = []
    sandbox = Sandbox.up(name, OLDEST, said.append)
    assert sandbox.status().state == "Running"
    assert len(running_for(sandbox.directory)) == len(names.COMPONENTS)
    assert "is up after" in said[-1]
    ours = pids(sandbox).values()
    sandbox.down()
    assert running_for(sandbox.directory) == []
    assert [pid for pid in ours if Path(f"/proc/{pid}").exists()] == []
    assert not sandbox.directory.exists()
    assert name not in Sandbox.names()
    with pytest.raises(SandboxError, match="there is no sandbox fleeting"):
        sandbox.down()


def test_two_ends_of_the_range_run_side_by_side(
    control_planes: Callable[[str], Sandbox], kubectl: Kubectl
) -> None:
    oldest, newest = control_planes(OLDEST), control_planes(NEWEST)
    assert {oldest.name, newest.name} <= set(Sandbox.names())
    for sandbox in (oldest, newest):
        assert f"Server Version: {sandbox.version}" in kubectl.answer(sandbox, "version")
    create(kubectl, oldest, "only-in-the-oldest")
    assert has(kubectl, oldest, "only-in-the-oldest")
    assert not has(kubectl, newest, "only-in-the-oldest")
    stranger = kubectl(oldest.kubeconfig, f"--server={newest.server}", "get", "nodes")
    assert "certificate" in stranger.stderr


def test_up_leaves_a_running_sandbox_as_it_is(control_plane: Sandbox) -> None:
    before, said = pids(control_plane), list[str]()
    again = Sandbox.up(control_plane.name, control_plane.version, said.append)
    assert (pids(again), said) == (
        before,
        [f"sandbox {again.name} is running already at {again.server}"],
    )


def test_up_with_another_version_or_settings_is_refused(
    control_planes: Callable[[str], Sandbox],
) -> None:
    sandbox = control_planes(OLDEST)
    with pytest.raises(UsageError, match=f"is of Kubernetes {OLDEST}, not {NEWEST}") as refused:
        Sandbox.up(sandbox.name, NEWEST, print)
    assert f"sandbox down {sandbox.name}" in refused.value.hint
    with pytest.raises(UsageError, match="another node monitor grace period"):
        Sandbox.up(sandbox.name, OLDEST, print, node_monitor_grace_seconds=7)
    assert sandbox.status().state == "Running"


@pytest.mark.parametrize("component", [names.API_SERVER, names.ETCD])
def test_restarted_component_keeps_port_and_data(
    control_plane: Sandbox, kubectl: Kubectl, component: str
) -> None:
    note = f"before-{component}"
    create(kubectl, control_plane, note)
    server, before = control_plane.server, pids(control_plane)
    control_plane.restart(component)
    after = pids(control_plane)
    assert control_plane.server == server
    assert {each for each in before if before[each] != after[each]} == {component}
    wait_until(lambda: has(kubectl, control_plane, note))


def test_stopped_component_is_seen_and_started_again(control_plane: Sandbox) -> None:
    control_plane.stop_component(names.SCHEDULER)
    status = control_plane.status()
    assert status.state == "Degraded"
    assert {each.name for each in status.components if each.pid is None} == {names.SCHEDULER}
    control_plane.start_component(names.SCHEDULER)
    assert control_plane.status().state == "Running"


def test_unknown_component_is_refused(control_plane: Sandbox) -> None:
    with pytest.raises(UsageError, match="no component 'kubelet'") as refused:
        control_plane.restart("kubelet")
    assert names.ETCD in refused.value.hint


def test_dead_sandbox_comes_back_with_its_data(name: str, kubectl: Kubectl) -> None:
    sandbox = Sandbox.up(name, NEWEST, print)
    create(kubectl, sandbox, "survivor")
    for pid in pids(sandbox).values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: sandbox.status().state == "Stopped")
    again = Sandbox.up(name, NEWEST, print)
    assert again.status().state == "Running"
    assert has(kubectl, again, "survivor")


def killed_after(name: str, components: int) -> Sandbox:
    """A sandbox whose `up` was killed when it had started this many components."""
    program = f"from shipkeeper.sandbox import Sandbox; Sandbox.up({name!r}, {NEWEST!r}, print)"
    with subprocess.Popen([sys.executable, "-c", program]) as command:
        layout = Layout.of(name)
        wait_until(layout.record.exists)
        wait_until(lambda: len(read_record(layout).components) >= components)
        command.kill()
    return Sandbox.load(name)


@pytest.mark.parametrize("components", [0, 1, 2, 4])
def test_down_cleans_up_after_a_killed_up(name: str, components: int) -> None:
    sandbox = killed_after(name, components)
    sandbox.down()
    assert running_for(sandbox.directory) == []
    assert not sandbox.directory.exists()


def test_up_goes_on_after_a_killed_up(name: str) -> None:
    killed_after(name, 2)
    sandbox = Sandbox.up(name, NEWEST, print)
    assert sandbox.status().state == "Running"
    assert len(running_for(sandbox.directory)) == len(names.COMPONENTS)


def test_up_does_not_go_on_with_what_a_killed_etcd_left_half_made(name: str) -> None:
    sandbox = killed_after(name, 1)
    etcd = read_record(sandbox.layout).components[names.ETCD].process
    process.stop(etcd, timedelta(seconds=3))
    log = sandbox.layout.etcd_data / "member" / "wal"
    log.mkdir(parents=True, exist_ok=True)
    for file in log.iterdir():
        file.write_bytes(b"")
    (log / "0000000000000000-0000000000000000.wal").write_bytes(b"half a log")
    assert Sandbox.up(name, NEWEST, print).status().state == "Running"
    # From now on there is something to lose.
    assert not read_record(sandbox.layout).is_unborn


@pytest.mark.parametrize("words", ["starting etcd", "starting kube-controller-manager"])
def test_interrupted_up_leaves_nothing_running(name: str, words: str) -> None:
    def interrupt(line: str) -> None:
        if line.startswith(words):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sandbox.up(name, NEWEST, interrupt)
    assert running_for(Layout.of(name).directory) == []


def test_component_that_does_not_start_is_named_with_its_last_words(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = find_assets(NEWEST, print).directory
    for engine in engines.iterdir():
        (tmp_path / engine.name).symlink_to(engine)
    broken = tmp_path / names.API_SERVER
    broken.unlink()
    broken.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {engines / names.API_SERVER} --version\n'
        'echo "the keel is missing"\nexit 3\n'
    )
    broken.chmod(0o755)
    monkeypatch.setenv("SHIPKEEPER_ASSETS", str(tmp_path))
    with pytest.raises(SandboxError, match="kube-apiserver of sandbox fleeting") as failed:
        Sandbox.up(name, NEWEST, print)
    log = Layout.of(name).log(names.API_SERVER)
    assert "the keel is missing" in failed.value.message
    assert str(log) in failed.value.hint
    assert log.exists()
    assert running_for(Layout.of(name).directory) == []


@contextmanager
def rival() -> Generator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_ports_that_were_taken_meanwhile_are_given_up(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with rival() as taken:
        free = choose_ports()
        choices = [
            msgspec.structs.replace(free, etcd=taken),
            msgspec.structs.replace(free, api_server=taken),
            free,
        ]
        for module in (sandbox_module, bring_up_module):
            monkeypatch.setattr(module, "choose_ports", lambda: choices.pop(0))
        sandbox = Sandbox.up(name, NEWEST, said.append)
    assert sum("trying others" in line for line in said) == 2
    assert sandbox.status().state == "Running"


@pytest.mark.parametrize("component", [names.CONTROLLER_MANAGER, names.SCHEDULER])
def test_component_whose_port_was_taken_says_so(control_plane: Sandbox, component: str) -> None:
    control_plane.stop_component(component)
    with rival() as taken:
        started = read_record(control_plane.layout).components[component]
        command = [
            f"--secure-port={taken}" if "--secure-port" in word else word
            for word in started.command
        ]
        start_component(control_plane.layout, component, tuple(command))
        with pytest.raises(PortTakenError):
            wait_healthy(control_plane.layout, read_record(control_plane.layout), component)
    start_component(control_plane.layout, component, started.command)
    control_plane.start_component(component)


def test_one_command_at_a_time(control_plane: Sandbox) -> None:
    with alone(control_plane.layout):
        with pytest.raises(LockHeldError):
            Sandbox.up(control_plane.name, control_plane.version, print)
        with pytest.raises(LockHeldError):
            control_plane.down()
    assert control_plane.status().state == "Running"


def test_down_spares_whoever_has_a_component_pid_now(name: str) -> None:
    layout = Layout.of(name)
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with subprocess.Popen(["sleep", "600"]) as bystander:
        stale = ProcessIdentity(pid=bystander.pid, started_ticks=1, boot_id=boot_id)
        layout.directory.mkdir(parents=True)
        record = SandboxRecord(
            version=NEWEST,
            created=datetime.now(UTC),
            node_monitor_grace_seconds=None,
            ports=choose_ports(),
            components={names.ETCD: StartedComponent(command=("etcd",), process=stale)},
        )
        write_record(layout, record)
        Sandbox.load(name).down()
        with pytest.raises(subprocess.TimeoutExpired):
            bystander.wait(0.3)
        bystander.kill()


@pytest.mark.parametrize("wrong", ["Upper", "under_score", "", "-dash", "../up", "a" * 64])
def test_wrong_name_is_refused(wrong: str) -> None:
    before = sorted(sandboxes_dir().rglob("*")) if sandboxes_dir().exists() else []
    for refuse in (lambda: Sandbox.up(wrong, NEWEST, print), lambda: Sandbox.load(wrong)):
        with pytest.raises(UsageError, match="cannot name a sandbox"):
            refuse()
    after = sorted(sandboxes_dir().rglob("*")) if sandboxes_dir().exists() else []
    assert after == before


def test_unknown_name_is_answered_with_the_known_ones(control_plane: Sandbox) -> None:
    with pytest.raises(SandboxError, match="there is no sandbox nowhere") as refused:
        Sandbox.load("nowhere")
    assert control_plane.name in refused.value.hint
