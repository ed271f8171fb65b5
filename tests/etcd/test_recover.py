"""A real kubeadm control plane brought back over SSH, and the way back from every step.

With one member, or with three: -k one, -k three. The tests go on with one cluster, in their order.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipkeeper.sandbox.assets import OLDEST
from shipkeeper.sandbox.lab import Lab
from tests.lab import require_lab
from tests.nodes.fleet.lab_user import Command, LabUser

EXHAUSTIVE = os.environ.get("SHIPKEEPER_EXHAUSTIVE") == "1"
# The tool of a host that fails once in each step, and what of its arguments tells that step. A way
# back that has to stop and start a control plane takes half a minute: without
# SHIPKEEPER_EXHAUSTIVE=1 that of a killed process is walked alone, and another is killed behind the
# point of no return.
FAULTS = {
    "prepare": ("mkdir", "recover-"),
    "stage": ("sync", "member/wal"),
    "edit": ("sync", "etcd.new"),
    "stop-apiserver": ("mv", "manifests/kube-apiserver.yaml /etc"),
    "stop-etcd": ("mv", "manifests/etcd.yaml /etc"),
    "save": ("cat", "member/snap/db"),
    "start-etcd": ("cp", "etcd.new"),
}
SHORT = ("stage",)
KILLS = (
    (
        "prepare",
        "stage",
        "edit",
        "stop-apiserver",
        "stop-etcd",
        "save",
        "start-etcd",
        "etcd-healthy",
    )
    if EXHAUSTIVE
    else ("stop-etcd",)
)
# An etcd that ends as soon as it is started, by a flag that it does not know; and one that runs,
# but does not answer where its health is asked for.
CRASHES = r'/bin/cp "$@"; exec sed -i "s/^\( *\)- etcd$/&\n\1- --no-such-flag/" "$2"'
MUTE = r'/bin/cp "$@"; exec sed -i "s/\(--listen-metrics-urls=.*\):2381/\1:2391/" "$2"'
LIMIT_SECONDS = 1200  # of one recovery: three waits of a kubelet, each up to its default


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(1, id="one"),
        pytest.param(
            3,
            id="three",
            marks=pytest.mark.skipif(
                not EXHAUSTIVE, reason="three control planes take minutes: SHIPKEEPER_EXHAUSTIVE=1"
            ),
        ),
    ],
)
def cluster(request: pytest.FixtureRequest) -> Iterator[Lab]:
    require_lab()
    name = f"test-recover-{os.getpid()}-{request.param}"
    made = Lab.up(
        name,
        OLDEST,
        lambda line: print(line, file=sys.stderr),  # noqa: T201
        control_planes=request.param,
        workers=0,
    )
    yield made
    made.down()


class Field:
    """A control plane, its administrator, and a snapshot: `kept` is in it, `later` came after."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.user = LabUser(lab, directory)
        self.first = lab.hosts[0].name
        self.file = directory / "snapshot.db"
        hosts = [f"--host=root@{host.address}" for host in lab.hosts]
        way = (f"--ssh-key={lab.ssh_key}", f"--ssh-known-hosts={lab.known_hosts}")
        self._reached = (*hosts, *way)
        self.kubectl("create", "configmap", "kept")
        saved = self.user.run("etcd", "save", str(self.file), *self._reached)
        assert saved.process.returncode == 0, saved.said
        self.kubectl("create", "configmap", "later")
        self._before = self._folders()

    def kubectl(self, *words: str) -> str:
        """What kubectl prints on the first host."""
        admin = "--kubeconfig=/etc/kubernetes/admin.conf"
        return self.lab.run(self.first, "kubectl", admin, *words).stdout

    def revision(self, name: str) -> int:
        """The etcd revision of a ConfigMap."""
        path = "-o=jsonpath={.metadata.resourceVersion}"
        return int(self.kubectl("get", "configmap", name, path))

    def words(self, *more: str, file: Path | None = None) -> tuple[str, ...]:
        """The command that recovers the control plane."""
        return ("etcd", "recover", str(file or self.file), *self._reached, *more)

    def recover(self, *more: str, file: Path | None = None) -> Command:
        """A recovery that has ended."""
        with self.user.start(*self.words(*more, file=file)) as command:
            command.ends(LIMIT_SECONDS)
        return command

    def fails_at(self, *steps: str, more: tuple[str, ...] = ()) -> None:
        """See a recovery fail at one of some steps."""
        failed = self.recover("-o", "json", *more)
        assert failed.process.returncode == 1, failed.said
        assert "Failed" in [states(failed)[each] for each in steps], failed.said

    def killed_in(self, step: str) -> str:
        """Kill a recovery with SIGKILL in a step; the id of its run."""
        with self.user.start(*self.words("-o", "json")) as command:
            command.hears(
                lambda event: (event["type"], event.get("step")) == ("started", step),
                LIMIT_SECONDS,
            )
            command.process.send_signal(signal.SIGKILL)
            assert command.ends() == -signal.SIGKILL
        return next(event["run"] for event in command.events if event["type"] == "run")

    def require_old(self) -> None:
        """The old cluster answers, and nothing was left on its first host."""
        assert "later" in self.kubectl("get", "configmaps")
        self.require_untouched()

    def require_untouched(self) -> None:
        """Nothing came to the first host, and nothing went from it."""
        assert self._folders() == self._before

    def require_new(self, done: Command) -> None:
        """The restored cluster answers."""
        assert done.process.returncode == 0, done.said
        assert done.result["recoverySeconds"] > 0
        print("recoverySeconds", done.result["recoverySeconds"])  # noqa: T201
        manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
        told = self.lab.run(self.first, "cat", manifest).stdout
        assert told.count("shipkeeper.dev/recovered: ") == 1
        there = self.kubectl("get", "configmaps")
        assert "kept" in there
        assert "later" not in there

    def _folders(self) -> str:
        return self.lab.run(self.first, "ls", "/etc/kubernetes", "/var/lib").stdout


@pytest.fixture(scope="module")
def field(cluster: Lab, tmp_path_factory: pytest.TempPathFactory) -> Field:
    return Field(cluster, tmp_path_factory.mktemp("recover"))


def test_the_plan_changes_nothing(field: Field) -> None:
    planned = field.recover("--dry-run=client", "-o", "json")
    assert planned.process.returncode == 0, planned.said
    assert planned.result["outlook"]["pointOfNoReturn"] == "start-apiserver"
    field.require_untouched()


def test_a_step_that_fails_leaves_the_old_cluster(field: Field) -> None:
    for step, fault in FAULTS.items():
        if not EXHAUSTIVE and step not in SHORT:
            continue
        break_times(field.lab, field.first, *fault)
        field.fails_at(step)
        field.require_old()


@pytest.mark.skipif(not EXHAUSTIVE, reason="waits in vain take minutes: SHIPKEEPER_EXHAUSTIVE=1")
@pytest.mark.parametrize("instead", [CRASHES, MUTE], ids=["crashes", "mute"])
def test_an_etcd_that_does_not_come_up_leaves_the_old_cluster(field: Field, instead: str) -> None:
    break_times(field.lab, field.first, "cp", "etcd.new", instead=instead)
    # Of one that ends at once the process may never be seen.
    field.fails_at("start-etcd", "etcd-healthy", more=("--timeout=2m",))
    field.require_old()


def test_a_recovery_that_is_killed_can_be_given_up(field: Field, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    shutil.copyfile(field.file, other)
    for step in KILLS:
        run = field.killed_in(step)
        assert field.recover(file=other).process.returncode == 2
        for verb in ("resume", "abort"):
            assert field.user.run(verb, run).process.returncode == 2
        given_up = field.recover("--abort")
        assert given_up.process.returncode == 0, given_up.said
        field.require_old()
        assert field.recover("--abort").process.returncode == 2


def test_beyond_the_point_of_no_return_the_same_command_goes_on(field: Field) -> None:
    if EXHAUSTIVE:
        # Each step is tried three times; then somebody has to look.
        break_times(field.lab, field.first, "mv", "manifests/.kube-apiserver.new", times=3)
        field.fails_at("start-apiserver")
    field.killed_in("start-apiserver")
    refused = field.recover("--abort")
    assert refused.process.returncode == 5, refused.said
    if EXHAUSTIVE:
        break_times(field.lab, field.first, "kubectl", "create configmap probe", times=3)
        field.fails_at("prove")
        assert "kept" in field.kubectl("get", "configmaps")
        field.killed_in("prove")
        assert field.recover("--abort").process.returncode == 5
    field.require_new(field.recover("-o", "json"))


@pytest.mark.skipif(not EXHAUSTIVE, reason="the same once more: SHIPKEEPER_EXHAUSTIVE=1")
def test_what_was_recovered_can_be_recovered_again(field: Field) -> None:
    """Nothing is in its way, and whoever watched the cluster has seen none of its revisions."""
    field.kubectl("create", "configmap", "later")
    seen = field.revision("later")
    field.require_new(field.recover("-o", "json"))
    field.kubectl("create", "configmap", "later")
    assert field.revision("later") > seen


def states(command: Command) -> dict[str, str]:
    run = command.result.get("run", command.result)
    return {each["id"]: each["state"] for each in run["steps"]}


def break_times(
    lab: Lab, host: str, tool: str, pattern: str, instead: str = "exit 9", times: int = 1
) -> None:
    """Let a tool of a host fail, or do something else, the next times that it is given this."""
    place = f"/usr/local/bin/{tool}"
    real = lab.run(host, "sh", "-c", f"command -v {tool}").stdout.strip()
    script = f"""#!/bin/sh
case "$*" in *"{pattern}"*)
    left=$(($(cat {place}.left) - 1))
    echo $left >{place}.left
    [ $left -gt 0 ] || rm -f {place} {place}.left
    echo broken >&2
    {instead}
esac
exec {real} "$@"
"""
    lab.run(
        host,
        "sh",
        "-c",
        f"cat >{place} <<'end'\n{script}end\necho {times} >{place}.left; chmod +x {place}",
    )
