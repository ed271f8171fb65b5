"""The commands of an upgrade on a host behind a real sshd: what fails is named, and taken back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.engine.plan import Plan
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.node import Node, NodeAddress, NodeStatus
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, SshAccess
from shipkeeper.upgrade.commands import STAYS_UP, TELLS_WHY
from shipkeeper.upgrade.hosts import Hosts, HostWorkError
from tests.hosts.sshd import SshServer

STEP = "a/work"
NODE = Node(
    metadata=ObjectMeta(name="a", uid="a"),
    status=NodeStatus(addresses=(NodeAddress(type="InternalIP", address="127.0.0.1"),)),
)


@pytest.fixture
async def server() -> AsyncIterator[SshServer]:
    async with SshServer() as found:
        yield found


def hosts(server: SshServer, directory: Path, *lines: str, undo: tuple[str, ...] = ()) -> Hosts:
    outlook = {"commands": {STEP: {"host": "a", "lines": lines, "undo": undo}}}
    access = SshAccess(
        user="root",
        port=server.port,
        identities=(str(server.home / "user_key"),),
        use_agent=False,
        known_hosts=str(server.home / "known_hosts"),
    )
    options = MaintenanceOptions(drain=DrainOptions(), ssh=access)
    plan = Plan(procedure="upgrade", request={}, steps=(), outlook=outlook)
    return Hosts(plan, options, directory / "run-1", lambda event: None)


KUBEADM = """
[preflight] The system verification failed. Printing the output from the verification:
[upgrade/prepull] Pulling images
[preflight] Some fatal errors occurred:
\t[ERROR ImagePull]: failed to pull image registry.example/kube-apiserver:v1
error: error execution phase preflight: preflight checks failed
"""
ETCD = """
[upgrade/etcd] Upgrading to TLS for etcd
[preflight] The system verification failed. Printing the output from the verification:
error: error execution phase control-plane: write /etc/x: no space left on device
To see the stack trace of this error execute with --v=5 or higher
"""
APT = "Reading package lists...\nE: Version '1.37.2-*' for 'kubeadm' was not found\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            f"printf '{KUBEADM}'; false",
            "a: 'false' ended with exit code 1: it printed nothing",
        ),
        (
            f"sh -c \"printf '{KUBEADM}'; exit 1\"",
            "[ERROR ImagePull]: failed to pull image registry.example/kube-apiserver:v1",
        ),
        (
            f"sh -c \"printf '{ETCD}'; exit 1\"",
            "error: error execution phase control-plane: write /etc/x: no space left on device",
        ),
        (
            f'sh -c "printf \\"{APT}\\"; exit 100"',
            "E: Version '1.37.2-*' for 'kubeadm' was not found",
        ),
        ('{ echo "there is no room" >&2; exit 72; }', "a: there is no room"),
    ],
)
async def test_the_plainest_line_says_why(
    server: SshServer, tmp_path: Path, line: str, told: str
) -> None:
    with pytest.raises(HostWorkError) as caught:
        await hosts(server, tmp_path, "true", line, "echo never").run(STEP, NODE)
    assert caught.value.message.endswith(told)
    assert "never" not in (tmp_path / "run-1/a-work/output.log").read_text()


async def test_a_step_is_taken_back_once(server: SshServer, tmp_path: Path) -> None:
    work = hosts(server, tmp_path, "true", undo=("echo back >>/srv/said",))
    await work.run(STEP, NODE)
    assert await work.take_back(STEP, NODE)
    assert await work.take_back(STEP, NODE)
    assert await server.run("cat /srv/said") == "back\n"
    assert not await hosts(server, tmp_path, "true").take_back(STEP, NODE)


async def test_what_could_not_be_taken_back_is_tried_again(
    server: SshServer, tmp_path: Path
) -> None:
    # As with a repository of packages that is away for a while.
    work = hosts(server, tmp_path, "true", undo=("echo try >>/srv/said", "test -e /srv/mended"))
    await work.run(STEP, NODE)
    for _ in range(2):
        with pytest.raises(HostWorkError, match="test -e /srv/mended"):
            await work.take_back(STEP, NODE)
    await server.run("touch /srv/mended")
    assert await work.take_back(STEP, NODE)
    assert await work.take_back(STEP, NODE)
    assert await server.run("cat /srv/said") == "try\n" * 3


async def test_a_port_of_the_host_is_reached(server: SshServer, tmp_path: Path) -> None:
    async with (
        hosts(server, tmp_path).session(NODE) as session,
        session.forwarded(server.port) as port,
    ):
        assert port != server.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"SSH-2.0-OpenSSH")
        writer.close()


@pytest.mark.parametrize("pid", ["echo 7", "date +%N", "echo 0"])
async def test_a_kubelet_that_does_not_stay_up_is_seen(
    server: SshServer, tmp_path: Path, pid: str
) -> None:
    """Systemd tells the same process again, another one each time, or none."""
    for name, says in (("systemctl", pid), ("journalctl", "echo 'E1126 failed to parse flag'")):
        program = server.home / "bin" / name
        program.write_text(f"#!/bin/sh\n{says}\n")
        program.chmod(0o755)
    work = hosts(server, tmp_path, *STAYS_UP)
    if pid == "echo 7":
        await work.run(STEP, NODE)
        return
    with pytest.raises(HostWorkError, match="does not stay up: E1126 failed to parse flag"):
        await work.run(STEP, NODE)


@pytest.mark.parametrize(
    ("pod", "last", "told"),
    [
        ("kube-apiserver", "Error: unknown flag: --old", "Error: unknown flag: --old"),
        (
            "kube-apiserver",
            'E1126 22:48:36.082090    1411 run.go:72] "command failed" err="bad gate"',
            '"command failed" err="bad gate"',
        ),
        ("etcd", '{"level":"fatal","msg":"discovery failed"}', '"msg":"discovery failed"}'),
        ("kube-apiserver", "I1126 22:48:36.082090 all is well: no Error: at all", "phase failed"),
    ],
)
async def test_what_kubeadm_waits_for_in_vain_is_told_in_its_own_words(
    server: SshServer, tmp_path: Path, pod: str, last: str, told: str
) -> None:
    folder = f"/var/log/pods/kube-system_{pod}-cp1_1/{pod}"
    (server.home / "said").write_text(
        "2026-11-26T22:48:35Z stderr F Error: an older one\n"
        f"2026-11-26T22:48:36Z stderr F {last}\n2026-11-26T22:48:36Z stderr F   --usage\n"
        if told != "phase failed"
        else f"2026-11-26T22:48:36Z stderr F {last}\n"
    )
    await server.run(f"mount -t tmpfs tmpfs /var/log && mkdir -p {folder}")
    lines = (
        *TELLS_WHY,
        f"cp {server.home}/said {folder}/7.log",
        'sh -c "echo error: phase failed; exit 1"',
    )
    with pytest.raises(HostWorkError, match="ended with exit code 1") as caught:
        await hosts(server, tmp_path, *lines).run(STEP, NODE)
    assert caught.value.message.endswith(told)
    assert (f"{pod} does not stay up: " in caught.value.message) == (told != "phase failed")
    assert "'sh -c" in caught.value.message


async def test_a_control_plane_that_starts_has_nothing_to_tell(
    server: SshServer, tmp_path: Path
) -> None:
    await hosts(server, tmp_path, *TELLS_WHY, "true").run(STEP, NODE)
    assert (
        "does not stay up"
        not in (tmp_path / "run-1/a-work/output.log")
        .read_text()
        .partition("+ trap")[2]
        .partition("EXIT")[2]
    )
