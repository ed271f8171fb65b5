"""Backups that Jobs make: begun once, awaited by whoever leads, judged by how their pods end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.backup.opening import open_repository
from shipkeeper.operator.api.backups import BACKUP, BackupStatus
from tests.nodes.world import World, audit_end
from tests.operator.deckhand import Deckhand
from tests.operator.harbour import IMAGE, NAMESPACE, Harbour
from tests.operator.test_backups import condition
from tests.operator.test_permissions import rules_of, unused_of, uses
from tests.operator.vault import Vault, in_bucket
from tests.store import s3

ALLOWED = ("backups", "backup-jobs")
SOME = {"kinds": ["configmaps", "namespaces"]}


@pytest.fixture
async def vault(
    world: World, harbour: Harbour, bucket: str, tmp_path: Path
) -> AsyncIterator[Vault]:
    """A repository in a bucket, and a node for the Jobs that back up to it."""
    await world.add_nodes(1)
    await harbour.set_up(allowed=ALLOWED)
    found = await in_bucket(harbour, tmp_path, bucket)
    yield found
    await harbour.kubectl("delete", "jobs", "--all", "-n", NAMESPACE)
    await found.forbid()


@pytest.fixture
def deckhand(harbour: Harbour) -> Deckhand:
    return Deckhand(harbour)


async def back_up(vault: Vault, name: str, **spec: Any) -> str:
    """Ask for a backup in a Job; its UID."""
    asked = {"repository": vault.name, "objects": SOME, "job": {}, **spec}
    return (await vault.harbour.create(BACKUP, name, asked)).uid


def has_job(status: BackupStatus) -> bool:
    return status.phase == "Running" and status.job != ""


async def test_a_job_makes_it(harbour: Harbour, vault: Vault, deckhand: Deckhand) -> None:
    harbour.start(image=IMAGE)
    pod = await deckhand.pod_of(await back_up(vault, "in-a-job", job={"memoryLimit": "300Mi"}))
    (container,) = pod["spec"]["containers"]
    assert container["image"] == IMAGE
    assert container["resources"]["limits"] == {"memory": "300Mi"}
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await vault.ended("in-a-job")
    assert (status.phase, status.attempts) == ("Completed", 1), status
    (made,) = await vault.backups()
    assert made.name == status.id
    assert status.objects > 0
    assert await deckhand.jobs() == [status.job]
    assert s3.SECRET not in await harbour.kubectl("get", "jobs,pods,bk", "-A", "-o", "yaml")
    # With its object the Job goes, and what is stored stays.
    await harbour.kubectl("delete", "bk", "in-a-job", "--timeout=400s")
    await harbour.kubectl(
        "wait", "--for=delete", f"job/{status.job}", "-n", NAMESPACE, "--timeout=400s"
    )
    assert len(await vault.backups()) == 1


async def test_volumes_are_read_by_the_job(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    harbour.start(image=IMAGE)
    volumes, limits = {"only": ["claim/nowhere/*"], "image": "box:1"}, {"timeLimit": "5h"}
    pod = await deckhand.pod_of(
        await back_up(vault, "volumes", volumes=volumes, job=limits, retries=0)
    )
    (container,) = pod["spec"]["containers"]
    hosts = {"--hosts=pod", "--pod-image=box:1", "--pod-lifetime=5h"}
    assert {"--volume=claim/nowhere/*", *hosts} <= {*container["args"]}
    ran = await deckhand.run(pod)
    assert ran.returncode in (0, 3), ran.stderr
    await deckhand.ends(pod, code=ran.returncode)
    status = await vault.ended("volumes")
    assert status.phase == ("Incomplete" if ran.returncode else "Completed"), status


async def test_whoever_leads_next_waits_for_the_same_job(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    leader = harbour.start(image=IMAGE)
    await leader.leads()
    heir = harbour.start(image=IMAGE)
    await heir.says("standing by")
    pod = await deckhand.pod_of(await back_up(vault, "handed"))
    leader.kill()
    await heir.leads()
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await vault.ended("handed")
    assert (status.phase, status.attempts) == ("Completed", 1), status
    assert await deckhand.jobs() == [status.job]
    assert len(await vault.backups()) == 1


async def test_a_job_that_cannot_be_looked_after_is_not_begun_again(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    harbour.start(image=IMAGE)
    pod = await deckhand.pod_of(await back_up(vault, "unseen", retries=0))
    begun = await vault.backup("unseen", has_job)
    await harbour.retire()
    await harbour.kubectl("delete", "secret", f"{vault.name}-key", "-n", NAMESPACE)
    harbour.start(image=IMAGE)
    status = await vault.backup("unseen", lambda seen: "there is no Secret" in seen.message)
    assert (status.phase, status.job, status.attempts) == ("Running", begun.job, 1), status
    await harbour.retire()
    await vault.secret("key", f"--from-file=writer.key={vault.place.key}")
    # As its own Job fills the quota, its making would be refused now.
    quota = ("quota", "one-job", "--hard=count/jobs.batch=1", "-n", NAMESPACE)
    await harbour.kubectl("create", *quota)
    harbour.start(image=IMAGE)
    assert (await deckhand.run(pod)).returncode == 0
    await deckhand.ends(pod)
    status = await vault.ended("unseen")
    await harbour.kubectl("delete", "quota", "one-job", "-n", NAMESPACE)
    assert (status.phase, status.job, status.attempts) == ("Completed", begun.job, 1), status
    assert await deckhand.jobs() == [begun.job]


async def test_others_are_made_beside_those_that_wait_for_their_jobs(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    harbour.start(image=IMAGE)
    names = ("long", "longer", "third")
    for name in names:
        await back_up(vault, name)
    await vault.back_up("beside", objects=SOME)
    assert (await vault.ended("beside")).phase == "Completed"
    async with asyncio.timeout(400):
        while len(jobs := await deckhand.jobs()) < 2:
            await asyncio.sleep(0.1)
    statuses = [await vault.backup(each, lambda seen: seen.phase != "") for each in names]
    assert sorted(each.phase for each in statuses) == ["Running", "Running", "Waiting"], statuses
    assert sorted(each.job for each in statuses if each.job) == jobs


async def test_a_backup_counts_that_is_visible_however_its_job_ended(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    harbour.start(image=IMAGE)
    pod = await deckhand.pod_of(await back_up(vault, "lost"))
    assert (await deckhand.run(pod)).returncode == 0
    await deckhand.ends(pod, code=137)
    status = await vault.ended("lost")
    assert (status.phase, status.attempts) == ("Completed", 1), status


async def test_one_that_took_too_much_memory_is_not_tried_again(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    harbour.start(image=IMAGE)
    pod = await deckhand.pod_of(await back_up(vault, "large", job={"memoryLimit": "64Mi"}))
    await deckhand.ends(pod, code=137, reason="OOMKilled")
    status = await vault.ended("large")
    assert (status.phase, status.attempts) == ("Failed", 1)
    assert condition(status, "Succeeded") == ("False", "OutOfMemory")
    assert "limit of 64Mi" in status.message


async def test_one_that_took_too_long_is_not_tried_again(harbour: Harbour, vault: Vault) -> None:
    harbour.start(image=IMAGE)
    await back_up(vault, "slow", job={"timeLimit": "1s"})
    status = await vault.ended("slow")
    assert (status.phase, status.attempts) == ("Failed", 1)
    assert condition(status, "Succeeded") == ("False", "TimeLimit")


async def test_one_that_was_evicted_is_tried_again(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    harbour.start(image=IMAGE)
    pod = await deckhand.pod_of(await back_up(vault, "moved"))
    disrupted = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    await deckhand.ends(pod, code=143, conditions=[disrupted])
    status = await vault.backup("moved", lambda seen: seen.retry_at is not None)
    assert (status.phase, status.attempts) == ("Waiting", 1)
    assert condition(status, "Progressing") == ("False", "Evicted")
    assert "EvictionByEvictionAPI" in status.message


async def test_one_whose_name_was_forgotten_is_tried_again_under_another(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    harbour.start(image=IMAGE)
    pod = await deckhand.pod_of(await back_up(vault, "outlived"))
    begun = await vault.backup("outlived", has_job)
    async with open_repository(vault.place) as opened:
        await opened.renounce(begun.id)
    ran = await deckhand.run(pod)
    assert ran.returncode != 0, ran.stderr
    await deckhand.ends(pod, code=ran.returncode, message=ran.stderr)
    status = await vault.backup("outlived", lambda seen: seen.retry_at is not None)
    assert (status.phase, status.attempts, status.id) == ("Waiting", 1, ""), status
    assert condition(status, "Progressing") == ("False", "Forgotten")


async def test_one_that_does_not_start_says_why(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    harbour.start(image=IMAGE)
    pod = await deckhand.pod_of(await back_up(vault, "unpulled"))
    await deckhand.waits(pod, "ErrImagePull", "no such image")
    status = await vault.backup("unpulled", lambda seen: "waits" in seen.message)
    assert status.phase == "Running"
    assert "waits: ErrImagePull: no such image" in status.message


async def test_what_the_command_said_last_is_told(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    harbour.start(image=IMAGE)
    pod = await deckhand.pod_of(await back_up(vault, "broken", retries=0))
    await deckhand.ends(pod, code=1, message="error: the bucket is gone\nhint: look for it\n")
    status = await vault.ended("broken")
    assert condition(status, "Succeeded") == ("False", "JobFailed")
    assert "exit code 1: the bucket is gone" in status.message


async def test_what_jobs_take_is_used_and_nothing_is_missing(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    since = audit_end(world.sandbox)
    replica = harbour.start(image=IMAGE)
    pod = await deckhand.pod_of(await back_up(vault, "looked-at"))
    await deckhand.ends(pod, code=1)
    await vault.backup("looked-at", lambda seen: seen.retry_at is not None)
    await replica.stop()
    done, refused = uses(world, since)
    assert refused == [], refused
    others = list(rules_of(("backups",)))
    unused = list(unused_of(done, (each for each in rules_of(ALLOWED) if each not in others)))
    assert not unused, unused


async def test_without_the_permission_no_attempt_is_counted(
    harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    await harbour.kubectl("delete", "role", "shipkeeper-operator-backup-jobs", "-n", NAMESPACE)
    harbour.start(image=IMAGE)
    await back_up(vault, "forbidden")
    status = await vault.backup("forbidden", lambda seen: "backup-jobs" in seen.message)
    assert (status.phase, status.attempts, status.job) == ("Waiting", 0, "")
    assert condition(status, "Progressing") == ("False", "NotPermitted")
    assert await deckhand.jobs() == []


async def test_a_folder_is_not_seen_from_a_job(harbour: Harbour, tmp_path: Path) -> None:
    await harbour.set_up(allowed=ALLOWED)
    vault = await Vault(harbour, tmp_path, "folder").build()
    harbour.start(image=IMAGE)
    await back_up(vault, "folder")
    status = await vault.ended("folder")
    assert condition(status, "Succeeded") == ("False", "FolderInJob")
    await vault.forbid()
