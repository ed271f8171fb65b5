"""`backup schedule` as a user meets it: one backup, a loop that is stopped, and what is printed."""

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from shipkeeper.cli.app import app
from shipkeeper.cli.backup_flags import RepositoryFlags, SelectionFlags
from shipkeeper.cli.backup_keep import KeepFlags
from shipkeeper.cli.main import main
from shipkeeper.cli.schedule_flags import TimeFlags
from shipkeeper.cli.spelling import spelled
from shipkeeper.cli.volume_flags import HostFlags, VolumeFlags
from shipkeeper.sandbox.sandbox import Sandbox
from tests.backup.cluster import Cluster, Manifest, config_map, fresh, manifest
from tests.cli.run import SHIPKEEPER
from tests.cli.test_backup import cluster as cluster  # a fixture
from tests.cli.test_backup import files, made
from tests.cli.user import User
from tests.faults.faults import Delay
from tests.faults.proxy import FaultProxy

NIGHTLY = ("backup", "schedule", "0 3 * * *", "Europe/Berlin")


@pytest.fixture
def user(newest: Sandbox, tmp_path: Path) -> User:
    """An administrator."""
    return User(newest, tmp_path)


def metrics_in(path: Path) -> dict[str, float]:
    return {
        each.name.removeprefix("shipkeeper_backup_") + each.labels.get("step", ""): each.value
        for family in parse(path.read_text())
        for each in family.samples
    }


async def test_one_backup_and_all_that_follows(
    user: User, cluster: Cluster, tmp_path: Path
) -> None:
    name, path = fresh("once"), tmp_path / "backup.prom"
    await cluster.create(manifest("v1 Namespace", name), config_map("mine", name, x="1"))
    flags = (*await made(user, tmp_path / "repo"), "-n", name, "--kind", "cm", "--once")
    flags = (*flags, "--keep-last=1", "--verify-every=2", f"--metrics-file={path}")
    assert (await user.run(*NIGHTLY, *flags)).returncode == 0
    first = metrics_in(path)
    done = await user.run(*NIGHTLY, *flags)
    assert done.returncode == 0, done.stderr
    assert '"type":"Verified"' in done.stderr
    # The first one is not kept.
    listed = await user.run("backup", "list", *flags[:2], "-o", "json")
    (backup,) = json.loads(listed.stdout)["items"]
    assert backup["state"] == "Complete"
    found = metrics_in(path)
    assert found["last_success_timestamp_seconds"] > first["last_success_timestamp_seconds"]
    assert found["objects"] == backup["contents"]["kinds"][0]["objects"] == 2
    assert found["added_bytes"] == backup["addedBytes"]
    assert (found["incomplete"], found["failures_totalbackup"]) == (0, 0)

    await cluster.create(*may_only(name, "list", "namespaces"))
    nobody = (f"--as={name}", "--as-group=system:authenticated", "--retries=0")
    lacking = await user.run(*NIGHTLY, *flags, *nobody)
    assert lacking.returncode == 3, lacking.stderr
    assert metrics_in(path)["incomplete"] == metrics_in(path)["failures_totalbackup"] == 1
    assert "last_success_timestamp_seconds" not in metrics_in(path)
    absent = await user.run(*NIGHTLY, *flags, "--retries=0", "--kubeconfig=/nowhere")
    assert absent.returncode == 1
    assert metrics_in(path)["failures_totalbackup"] == 1
    await cluster.delete(manifest("v1 Namespace", name), *may_only(name, "list", "namespaces"))


def may_only(user: str, verb: str, resource: str) -> tuple[Manifest, Manifest]:
    """A role of a user's own, and its binding."""
    group, role = "rbac.authorization.k8s.io", "ClusterRole"
    rule = {"apiGroups": [""], "verbs": [verb], "resources": [resource]}
    return (
        manifest(f"{group}/v1 {role}", user, rules=[rule]),
        manifest(
            f"{group}/v1 {role}Binding",
            user,
            roleRef={"apiGroup": group, "kind": role, "name": user},
            subjects=[{"apiGroup": group, "kind": "User", "name": user}],
        ),
    )


async def test_a_dry_run_shows_and_writes_nothing(user: User, tmp_path: Path) -> None:
    flags = await made(user, tmp_path / "repo")
    assert (await user.run("backup", "create", *flags, "-n", "default")).returncode == 0
    before, state = files(tmp_path / "repo"), files(user.state)
    metrics = tmp_path / "m.prom"
    flags = (*flags, "--dry-run=client", "--keep-last=1", f"--metrics-file={metrics}")
    done = await user.run(*NIGHTLY, *flags)
    assert done.returncode == 0, done.stderr
    times, kept = done.stdout.split("\n\n")
    assert len(times.splitlines()) == 6
    assert all(" 03:00 CE" in line for line in times.splitlines()[1:])
    assert "(next)" in kept.splitlines()[1]
    assert "Forget" in kept.splitlines()[2]
    assert (files(tmp_path / "repo"), files(user.state)) == (before, state)
    assert not metrics.exists()
    assert user.writes() == []


@asynccontextmanager
async def following(
    user: User, *arguments: str, kubeconfig: Path
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A process that follows a schedule, and is ended with the context at the latest."""
    process = await asyncio.create_subprocess_exec(
        SHIPKEEPER,
        *arguments,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "XDG_STATE_HOME": str(user.state)},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def said(process: asyncio.subprocess.Process, type_: str) -> None:
    """Wait until a notice of a type is told."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while line := await process.stderr.readline():
            if f'"type":"{type_}"' in line.decode():
                return
    raise AssertionError(f"it ended and never said {type_}")


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_stopped_between_and_during_backups(
    newest: Sandbox, user: User, tmp_path: Path, by: signal.Signals
) -> None:
    flags = (*await made(user, tmp_path / "repo"), "-n", "default", "--kind", "cm")
    assert (await user.run(*NIGHTLY, *flags, "--once")).returncode == 0
    (memory,) = (user.state / "shipkeeper" / "schedules").glob("*.json")

    async with FaultProxy(user.kubeconfig, tmp_path) as proxy:
        # As if it had not run for long: the first backup is made at once, then it waits.
        forget_last_attempt(memory)
        async with following(user, *NIGHTLY, *flags, kubeconfig=proxy.kubeconfig) as process:
            await said(process, "Missed")
            await said(process, "BackedUp")
            await said(process, "Waiting")
            other = await user.run(*NIGHTLY, *flags)
            assert other.returncode == 6, other.stderr
            await end(process, by, "interrupted between backups")
        forget_last_attempt(memory)
        rule = proxy.inject(Delay(3600), path=r"/configmaps\?.*Match=Exact", times=None)
        async with following(user, *NIGHTLY, *flags, kubeconfig=proxy.kubeconfig) as process:
            await asyncio.wait_for(rule.met(), 60)
            await end(process, by, "interrupted during a backup")
    listed = await user.run("backup", "list", *flags[:2], "-o", "name")
    assert len(listed.stdout.splitlines()) == 2
    assert (await user.run("backup", "verify", *flags[:2])).returncode == 0


def forget_last_attempt(memory: Path) -> None:
    seen = json.loads(memory.read_text())
    memory.write_text(json.dumps({**seen, "lastAttempt": "2020-01-01T00:00:00Z"}))


async def end(process: asyncio.subprocess.Process, by: signal.Signals, words: str) -> None:
    process.send_signal(by)
    _, stderr = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 130, stderr
    error, hint = stderr.decode().splitlines()[-2:]
    assert error == f"error: {words}"
    assert hint.startswith("hint: ")


async def test_the_emitted_role_and_command_make_a_backup(
    user: User, cluster: Cluster, tmp_path: Path
) -> None:
    """As the Job's service account; all but the bucket is as it is printed."""
    name = fresh("job")
    folder = await made(user, tmp_path / "repo")
    done = await user.run(
        *NIGHTLY, "--repo=s3://b/prod", "--emit=cronjob", "--image=i", "--keep-daily=14",
        f"--emit-namespace={name}", "--exclude-kind=events", "--exclude-kind=events.events.k8s.io",
        "-o", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifests = {each["kind"]: each for each in json.loads(done.stdout)["items"]}
    await cluster.create(*(manifests[kind] for kind in manifests if kind != "CronJob"))
    spec = manifests["CronJob"]["spec"]
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    given: list[str] = container["args"]
    assert spec["timeZone"] == given[3] == "Europe/Berlin"
    changed = [f"--repo={folder[1]}" if "--repo=" in each else each for each in given]
    changed = [each for each in changed if not each.startswith("--key=")]
    account = f"system:serviceaccount:{name}:shipkeeper-backup"
    identity = (f"--as={account}", "--as-group=system:serviceaccounts")
    done = await user.run(*changed, *identity, "--as-group=system:authenticated", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "Complete"
    system = await cluster.get(manifest("v1 Namespace", "kube-system"))
    assert json.loads(done.stdout)["contents"]["cluster"] == system["metadata"]["uid"]
    wide = [manifests[kind] for kind in ("ClusterRole", "ClusterRoleBinding")]
    await cluster.delete(manifest("v1 Namespace", name), *wide)


@pytest.mark.parametrize(
    "group",
    [
        SelectionFlags(
            namespace=("a", "b"), exclude_kind=("events",), selector="a=b,c!=d", cluster_scoped="no"
        ),
        KeepFlags(keep_last=3, keep_within="72h"),
        TimeFlags(jitter="5m", missed="skip", retries=0, verify_every=7, grace="48h"),
        RepositoryFlags(repo="s3://b/p", endpoint="https://x", key="-k", identity=""),
        VolumeFlags(
            volumes="all",
            volume=("claim/a/*",),
            hook_pods="a=b",
            hook_before="sync; x",
            hook_after="y",
        ),
        HostFlags(hosts="pod", ssh_port=2222, ssh_key=("a", "b"), sudo=True, pod_image="i"),
    ],
)
def test_flags_are_spelled_as_they_are_read(group: Any) -> None:
    words = [*NIGHTLY, *spelled(group)]
    _, bound, unused = app.parse_args(words, print_error=False, exit_on_error=False)[:3]
    assert not unused
    assert group in bound.arguments.values()


EMIT = "--emit=cronjob --image=i --kubernetes-version"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("'0 3 * *'", "it has 4 fields"),
        ("'0 3 * * *' Mars/Base", "no time zone 'Mars/Base'"),
        ("'0 3 * * *' --jitter=soon", "'soon' is not a duration"),
        ("'0 3 * * *' --jitter=24h", "reaches into the next backup"),
        ("'0 3 * * *' --keep-last=-1", "counts from 0"),
        (f"'0 3 * * *' --repo=/folder {EMIT}=1.37", "is gone with the pod"),
        (f"'0 3 * * *' --metrics-file=m {EMIT}=1.37", "before its metrics are asked for"),
        (f"'0 3 * * *' --verify-every=7 {EMIT}=1.37", "does not remember"),
        (f"'0 3 * * *' --volumes=all {EMIT}=1.37", "no key to log in to hosts"),
        ("'0 3 * * *' --hook-before=sync", "in which pods they run"),
        ("'0 3 * * *' --volumes=none --volume=claim/x/y", "what --volumes none leaves out"),
        (f"'0 3 L * *' {EMIT}=1.37", "knows no L"),
        ("'0 3 * * *' --emit=cronjob --kubernetes-version=1.37", "no image is named"),
        (f"'0 3 * * *' {EMIT}=new", "is not a Kubernetes version"),
        ("'0 3 * * *' --emit=systemd -o json", "have a form of their own"),
        ("'0 3 * * *' --emit=crontab", "--emit"),
    ],
)
def test_usage(
    arguments: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/no/such/file")
    monkeypatch.setenv("SHIPKEEPER_REPO", "s3://b/prod")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["backup", "schedule", *shlex.split(arguments)]) == 2
    told = capsys.readouterr()
    error, hint = told.err.splitlines()
    assert words in error
    assert hint.startswith("hint: ")
    assert told.out == ""


def test_units_name_this_command_and_its_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/etc/kube.config")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [SHIPKEEPER])
    words = [*NIGHTLY, "--emit=systemd", "--repo=repo", "--jitter=5m", "--keep-last=2"]
    assert main(words) == 0
    text = capsys.readouterr().out
    (line,) = (each for each in text.splitlines() if each.startswith("ExecStart="))
    command = shlex.split(line.partition("=")[2])
    assert Path(command[0]).is_absolute()
    _, bound, unused = app.parse_args(command[1:], print_error=False, exit_on_error=False)[:3]
    assert not unused
    assert bound.arguments["keep"] == KeepFlags(keep_last=2)
    assert bound.arguments["repository"].repo == str(tmp_path / "repo")
    assert bound.arguments["cluster"].kubeconfig == "/etc/kube.config"
    assert "RandomizedDelaySec=300s" in text
    assert f"ReadWritePaths={tmp_path / 'repo'}" in text
