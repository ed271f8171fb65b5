"""Volumes of a real cluster saved and brought back by the command line."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.backup.volumes.programs import STAGE
from shipkeeper.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from shipkeeper.nodes.work_pod import RUN_LABEL
from tests.backup.volumes.folder import MIB, furnished, seen
from tests.backup.volumes.snapshotter import CONTENTS, DRIVER, SNAPSHOTS, snapshotter
from tests.backup.volumes.yard import Yard, of_claim, volumes_of


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of a local volume."""
    return furnished(tmp_path / "data")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A directory of the node that a pod mounts."""
    made = tmp_path / "logs"
    made.mkdir()
    (made / "log").write_text("all is well\n")
    return made


async def test_volumes_and_hooks_from_backup_to_restore(yard: Yard, data: Path, logs: Path) -> None:
    name, diary = yard.world.name, yard.directory / "diary"
    await yard.init()
    await yard.claim("data", {"local": {"path": str(data)}})
    await yard.claim("far", {"csi": {"driver": "none.example.com", "volumeHandle": "1"}})
    await yard.pod_with(
        "db",
        [
            of_claim("data"),
            {"name": "logs", "hostPath": {"path": str(logs)}},
            {"name": "etc", "hostPath": {"path": "/etc"}},
            {"name": "scratch", "emptyDir": {}},
        ],
        {
            "backup.velero.io/backup-volumes": "logs",
            "hook.shipkeeper.dev/before": f"echo before >>{diary}; echo dump >{data}/dump",
            "post.hook.backup.velero.io/command": f'["sh", "-c", "echo after >>{diary}"]',
        },
    )
    listed = volumes_of(await yard.create())
    assert {id_: (each["state"], each["volume"]["way"]) for id_, each in listed.items()} == {
        f"claim/{name}/data": ("Listed", "Files"),
        f"claim/{name}/far": ("Listed", "None"),
        f"hostpath/{yard.node}{logs}": ("Listed", "Files"),
        f"hostpath/{yard.node}/etc": ("Listed", "Files"),
        f"pod/{name}/db/scratch": ("Listed", "None"),
    }
    assert listed[f"claim/{name}/far"]["reason"] == "NotMounted"
    assert not diary.exists()

    # What was asked for and cannot be saved is named, and told by the exit code.
    made = await yard.create("--volumes", "all", *yard.ssh, code=3)
    assert f"claim/{name}/far: no pod that runs uses it" in made["said"]
    assert made["state"] == "Incomplete"
    saved = {id_ for id_, each in volumes_of(made).items() if each["state"] == "Saved"}
    assert saved == {f"claim/{name}/data", f"hostpath/{yard.node}{logs}"}
    assert diary.read_text() == "before\nafter\n"

    chosen = ("--volume", f"claim/{name}/data", "--volume", f"hostpath/*{logs}")
    again = await yard.create(*chosen, *yard.pod)
    assert again["state"] == "Complete"
    assert again["addedBytes"] < 100_000
    before = seen(data)
    assert "dump" in before
    pods = await yard.world.reader.list(PODS, namespace=name, label_selector=RUN_LABEL)
    assert [pod for pod in pods.items if not pod.is_deleting] == []
    shown = await yard.run("show", "-o", "json")
    assert volumes_of(json.loads(shown.stdout)) == volumes_of(again)
    checked = await yard.run("verify")
    assert checked.returncode == 0, checked.stderr

    (data / "d" / "large").unlink()
    (logs / "log").write_text("all is lost\n")
    for way in (yard.ssh, yard.pod):
        written = yard.user.writes()
        for flags in (("--dry-run=client",), ()):
            words = ("restore", "-n", name, "--volumes", "in-place", *way, *flags)
            done = await yard.run(*words)
            assert done.returncode == 0, done.stderr
            if flags:
                assert f"claim/{name}/data" in done.stdout
                assert "pods use it meanwhile" in done.stdout
                assert yard.user.writes() == written
                assert seen(data) != before
        assert seen(data) == before
        assert (logs / "log").read_text() == "all is well\n"
        (data / "spoilt").touch()
    elsewhere = yard.directory / "elsewhere"
    words = ("restore", "-n", name, "--volumes", "new", *yard.pod)
    done = await yard.run(*words, "--volume-map", f"claim/{name}/data={yard.node}:{elsewhere}")
    assert done.returncode == 0, done.stderr
    assert seen(elsewhere) == before
    beside = logs.with_name(f"logs.restored-{again['name'][:6]}")
    assert (beside / "log").read_text() == "all is well\n"

    words = ("restore", "-n", name, "--volumes", "new-claim", "--volume", f"claim/{name}/data")
    done = await yard.run(*words, *yard.pod)
    assert done.returncode == 0, done.stderr
    volume = await volume_of(yard, f"data-restored-{again['name'][:6]}")
    assert volume["spec"]["local"]["path"] == f"{data}.restored-{again['name'][:6]}"
    assert seen(Path(volume["spec"]["local"]["path"])) == before


async def volume_of(yard: Yard, claim: str) -> dict[str, Any]:
    """The PersistentVolume that a claim gets bound to."""
    async with asyncio.timeout(60):
        while True:
            found = await yard.world.reader.get_raw(
                PERSISTENT_VOLUME_CLAIMS, claim, yard.world.name
            )
            if found["status"]["phase"] == "Bound":
                break
            await asyncio.sleep(0.1)
    return await yard.world.reader.get_raw(PERSISTENT_VOLUMES, found["spec"]["volumeName"])


async def test_a_failing_hook_is_named_and_the_one_after_it_runs(
    yard: Yard, data: Path, logs: Path
) -> None:
    name, diary = yard.world.name, yard.directory / "diary"
    await yard.init()
    await yard.claim("data", {"hostPath": {"path": str(data)}})
    await yard.pod_with("db", [of_claim("data")])
    words = ("--volumes", "all", *yard.ssh, "--hook-pods", "!nothing")
    hooks = ("--hook-before", "echo PASSWORD=abcd1234 >&2; exit 9")
    hooks = (*hooks, "--hook-after", f"echo after >>{diary}")
    made = await yard.create(*words, *hooks, code=3)
    record = volumes_of(made)[f"claim/{name}/data"]
    assert (record["state"], record["reason"]) == ("Failed", "HookFailed")
    assert "exit code 9" in record["message"]
    assert "abcd1234" not in json.dumps(made)
    assert diary.read_text() == "after\n"
    made = await yard.create(*words, *hooks, "--hook-on-error", "continue", code=3)
    record = volumes_of(made)[f"claim/{name}/data"]
    assert (record["state"], record["reason"]) == ("Saved", "HookFailed")
    assert made["state"] == "Incomplete"
    slow = ("--hook-before", "sleep 30", "--hook-timeout", "1s", "--hook-on-error", "continue")
    made = await yard.create(*words, *slow, code=3)
    assert "took longer than 1 s" in made["said"]


async def test_an_interrupted_backup_still_runs_the_hooks_after_it(yard: Yard, data: Path) -> None:
    diary = yard.directory / "diary"
    (data / "huge").write_bytes(os.urandom(150 * MIB))
    await yard.init()
    await yard.claim("data", {"hostPath": {"path": str(data)}})
    hooks = {
        "hook.shipkeeper.dev/before": f"echo before >>{diary}",
        "hook.shipkeeper.dev/after": f"sleep 1; echo after >>{diary}",
    }
    await yard.pod_with("db", [of_claim("data")], hooks)
    command = yard.start("create", "-n", yard.world.name, "--volumes", "all", *yard.ssh)
    async with asyncio.timeout(60):
        while not diary.exists():
            await asyncio.sleep(0.01)
    command.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(command.wait, 60) == 130
    assert diary.read_text() == "before\nafter\n"
    assert (await yard.run("list", "-o", "name")).stdout == ""


async def test_a_restore_that_is_killed_leaves_the_old_files_and_goes_on(
    yard: Yard, data: Path
) -> None:
    name, claim = yard.world.name, f"claim/{yard.world.name}/data"
    (data / "huge").write_bytes(os.urandom(60 * MIB))
    await yard.init()
    await yard.claim("data", {"local": {"path": str(data)}})
    first = (await yard.create("--volume", claim, *yard.ssh))["name"]
    before = seen(data)
    (data / "huge").write_bytes(b"old")
    (data / "more").touch()
    old = seen(data)
    words = ("restore", first, "-n", name, "--volumes", "in-place", *yard.ssh)
    killed = yard.start(*words)
    async with asyncio.timeout(60):
        while not list((data / STAGE).glob("*/huge")):
            assert killed.poll() is None
            await asyncio.sleep(0.01)
    killed.kill()
    killed.wait()
    # The host notices that the stream ends too early, and throws away what came of it.
    async with asyncio.timeout(60):
        while (data / STAGE).exists():
            await asyncio.sleep(0.05)
    assert {**seen(data), ".": 0} == {**old, ".": 0}
    # What a host that went down leaves behind is in no backup, and in nobody's way.
    (data / STAGE / "new" / "d").mkdir(parents=True)
    made = await yard.create("--volume", claim, *yard.ssh)
    assert volumes_of(made)[claim]["files"]["files"] == len(old)
    done = await yard.run(*words)
    assert done.returncode == 0, done.stderr
    assert seen(data) == before


async def test_snapshots_of_a_driver_come_back_with_their_claims(yard: Yard) -> None:
    name = yard.world.name
    await yard.init()
    async with snapshotter(yard.world) as played:
        await yard.claim("disk", {"csi": {"driver": DRIVER, "volumeHandle": name}})
        played.works = False
        words = ("--volumes", "all", "--snapshot-timeout", "1s")
        made = await yard.create(*words, code=3)
        assert "is not ready after 1 s: nobody has begun with it" in made["said"]
        played.works = True
        made = await yard.create("--volumes", "all")
        record = volumes_of(made)[f"claim/{name}/disk"]
        saved = record["snapshot"]
        assert record["state"] == "Saved"
        assert (saved["driver"], saved["restoreSize"]) == (DRIVER, "1Gi")
        assert saved["handle"] == f"handle-{saved['name']}"

        # Beside the claim that is there, and in place of one that is not.
        there = await yard.run("restore", "-n", name, "--volumes", "in-place")
        assert there.returncode == 3
        assert "a snapshot fills a claim only when it is made" in there.stderr
        done = await yard.run("restore", "-n", name, "--volumes", "new")
        assert done.returncode == 0, done.stderr
        beside = await source_of(yard, f"disk-restored-{made['name'][:6]}")
        writer = yard.world.writer
        patch = {"metadata": {"finalizers": None}}
        await writer.patch(PERSISTENT_VOLUME_CLAIMS, "disk", patch, namespace=name)
        await writer.delete(PERSISTENT_VOLUME_CLAIMS, "disk", namespace=name)
        done = await yard.run("restore", "-n", name, "--volumes", "in-place")
        assert done.returncode == 0, done.stderr
        assert await source_of(yard, "disk") == beside
        snapshot = await yard.world.reader.get_raw(SNAPSHOTS, beside, name)
        content = snapshot["spec"]["source"]["volumeSnapshotContentName"]
        spec = (await yard.world.reader.get_raw(CONTENTS, content))["spec"]
        assert (spec["source"]["snapshotHandle"], spec["deletionPolicy"]) == (
            saved["handle"],
            "Retain",
        )


async def source_of(yard: Yard, claim: str) -> str:
    """The name of the snapshot that a claim is made from."""
    found = await yard.world.reader.get_raw(PERSISTENT_VOLUME_CLAIMS, claim, yard.world.name)
    source = found["spec"]["dataSource"]
    assert (source["kind"], source["apiGroup"]) == ("VolumeSnapshot", "snapshot.storage.k8s.io")
    return str(source["name"])
