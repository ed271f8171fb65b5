"""Restores that Jobs carry out: planned, approved and done as in the operator, by its journal."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from shipkeeper.kube.errors import ApiError, NotFoundError
from shipkeeper.kube.resources import CONFIG_MAPS, LEASES
from shipkeeper.model.version import Version
from shipkeeper.operator.api.kind import GROUP
from shipkeeper.operator.api.restores import RESTORE, RestoreStatus
from shipkeeper.operator.backups.restore_job import ACCOUNT
from shipkeeper.operator.manifests import ManifestOptions, permissions
from shipkeeper.operator.run import LEASE
from tests.backup.test_killed import closed_webhook
from tests.cli.run import run_cli
from tests.forks import Fork
from tests.nodes.world import World, audit_end, audit_lines
from tests.operator.deckhand import Deckhand
from tests.operator.dying import Request, serve
from tests.operator.harbour import ACCOUNT as OPERATOR
from tests.operator.harbour import IMAGE, NAMESPACE, Harbour
from tests.operator.test_backups import condition
from tests.operator.test_permissions import UNSEEN, rules_of, unused_of, uses
from tests.operator.vault import Vault, in_bucket, stands
from tests.store import s3

# The operator itself may not write what a Restore brings back.
ALLOWED = ("backups", "restore-jobs")
ENDS = ("Succeeded", "Incomplete", "Blocked", "Failed", "Aborted")
_MANY = 4000
# Only who comes after a process that was killed stands by, as in another test here.
_STANDING_BY = {"watch coordination.k8s.io/leases  in all"}
# Told by tests/operator/test_restore_job_volumes.py.
_OF_VOLUMES = {"watch /pods  in all"}
_USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


@pytest.fixture
async def vault(
    world: World, harbour: Harbour, bucket: str, tmp_path: Path
) -> AsyncIterator[Vault]:
    """A repository in a bucket, and a node for the Jobs that restore from it."""
    await world.add_nodes(1)
    await harbour.set_up(allowed=ALLOWED)
    found = await in_bucket(harbour, tmp_path, bucket)
    yield found
    await harbour.kubectl("delete", "jobs", "--all", "-n", NAMESPACE)
    await found.forbid()


async def _lost(world: World, harbour: Harbour, vault: Vault, *names: str) -> dict[str, Any]:
    """Back ConfigMaps up and delete them; what a Restore asks for to have them back."""

    async def make(name: str) -> None:
        metadata = {"name": name, "namespace": world.name}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        await harbour.writer.create(CONFIG_MAPS, manifest, namespace=world.name)

    for at in range(0, len(names), 50):
        await asyncio.gather(*map(make, names[at : at + 50]))
    harbour.start(image=IMAGE)
    objects = {"namespaces": [world.name], "kinds": ["configmaps"]}
    await vault.back_up("before", objects=objects)
    made = await vault.ended("before")
    assert made.phase == "Completed", made
    path = f"/api/v1/namespaces/{world.name}/configmaps"
    await harbour.connection.send("DELETE", path, body={"kind": "DeleteOptions"})
    return {"repository": vault.name, "backup": made.id, "objects": objects, "job": {}}


async def _stands(
    harbour: Harbour, name: str, predicate: Callable[[RestoreStatus], bool]
) -> RestoreStatus:
    return await stands(harbour, RESTORE, RestoreStatus, name, predicate)


async def _ended(harbour: Harbour, name: str) -> RestoreStatus:
    return await _stands(harbour, name, lambda seen: seen.phase in ENDS)


async def _ask(harbour: Harbour, name: str, asked: dict[str, Any], **more: Any) -> str:
    """Create a Restore; its UID."""
    return (await harbour.create(RESTORE, name, {**asked, **more})).uid


async def _change(harbour: Harbour, name: str, **spec: Any) -> None:
    await harbour.writer.patch(RESTORE.resource, name, {"spec": spec})


async def _names(world: World, harbour: Harbour) -> set[str]:
    found = await harbour.reader.list(CONFIG_MAPS, namespace=world.name)
    return {each.name for each in found.items}


async def test_one_job_plans_and_once_approved_another_carries_it_out(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one", "two")
    limits = {"memoryLimit": "300Mi", "cpuLimit": "2", "timeLimit": "5h"}
    uid = await _ask(harbour, "back", asked, job=limits)
    first = await deckhand.pod_of(uid)
    (container,) = first["spec"]["containers"]
    assert container["image"] == IMAGE
    assert container["resources"]["limits"] == {"memory": "300Mi", "cpu": "2"}
    ran = await deckhand.run(first)
    assert ran.returncode == 0, ran.stderr
    status = await _stands(harbour, "back", lambda seen: seen.phase == "AwaitingApproval")
    assert (status.counts.create, status.backup) == (2, asked["backup"])
    said = await run_cli(
        world.sandbox,
        *("backup", "restore", asked["backup"], "--dry-run=client", "--repo", vault.place.url),
        *("--key", vault.place.key, "--identity", vault.place.identity),
        *("--namespace", world.name, "--kind", "configmaps", "--endpoint", vault.place.endpoint),
        environment={"AWS_ACCESS_KEY_ID": s3.ACCESS, "AWS_SECRET_ACCESS_KEY": s3.SECRET},
    )
    assert said.stdout.rstrip() == status.plan.rstrip()
    with pytest.raises(NotFoundError):
        await harbour.reader.get(CONFIG_MAPS, "one", world.name)
    await deckhand.ends(first)
    await _stands(harbour, "back", lambda seen: not seen.job)
    await _change(harbour, "back", approved=True)
    second = await deckhand.pod_of(uid)
    ran = await deckhand.run(second)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(second)
    status = await _ended(harbour, "back")
    assert (status.phase, status.attempts, status.job) == ("Succeeded", 2, ""), status
    assert {"one", "two"} <= await _names(world, harbour)
    assert await deckhand.jobs() == [f"restore-{uid}-1", f"restore-{uid}-2"]
    assert s3.SECRET not in await harbour.kubectl("get", "jobs,pods,rst", "-A", "-o", "yaml")
    # With it go its Jobs, its journal and its Lease.
    await harbour.kubectl("delete", "rst", "back", "--timeout=400s")
    for each in (f"job/restore-{uid}-1", f"lease/restore-{uid}", f"configmap/restore-{uid}"):
        await harbour.kubectl("wait", "--for=delete", each, "-n", NAMESPACE, "--timeout=400s")


async def test_whoever_leads_next_waits_for_the_same_job(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    (leader,) = harbour.replicas
    heir = harbour.start(image=IMAGE)
    await heir.says("standing by")
    uid = await _ask(harbour, "handed", asked, approved=True)
    pod = await deckhand.pod_of(uid)
    leader.kill()
    await heir.leads()
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await _ended(harbour, "handed")
    assert (status.phase, status.attempts) == ("Succeeded", 1), status
    assert await deckhand.jobs() == [f"restore-{uid}-1"]


async def test_a_leader_that_dies_at_any_write_begins_one_job(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    # A trial, what is on record, the Job; each is answered before it dies, or not sent.
    for dies_at, is_sent in product(range(1, 4), (False, True)):
        name = f"at-{dies_at}-{is_sent}".lower()
        await harbour.retire()
        mortal = harbour.start(image=IMAGE, dies_at=dies_at, is_sent=is_sent)
        await mortal.leads()
        uid = await _ask(harbour, name, asked, approved=True)
        assert await mortal.ends() != 0
        status = await _stands(harbour, name, lambda _: True)
        assert status.attempts == ((dies_at, is_sent) >= (2, True)), (name, status)
        assert (f"restore-{uid}-1" in await deckhand.jobs()) == ((dies_at, is_sent) == (3, True))
        harbour.start(image=IMAGE)
        pod = await deckhand.pod_of(uid)
        ran = await deckhand.run(pod)
        assert ran.returncode == 0, ran.stderr
        await deckhand.ends(pod)
        status = await _ended(harbour, name)
        assert (status.phase, status.attempts) == ("Succeeded", 1), (name, status)
        assert "one" in await _names(world, harbour)
        await harbour.kubectl("delete", "configmap", "one", "-n", world.name)
        assert [each for each in await deckhand.jobs() if uid in each] == [f"restore-{uid}-1"]


async def test_a_job_that_is_killed_half_way_is_gone_on_with(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    names = tuple(f"c{number:04}" for number in range(_MANY))
    asked = await _lost(world, harbour, vault, *names)
    since = audit_end(world.sandbox)
    uid = await _ask(harbour, "killed", asked, approved=True)
    pod = await deckhand.pod_of(uid)
    process = await deckhand.start(pod)
    await _stands(harbour, "killed", lambda seen: seen.done > 0)
    process.kill()
    assert len(await _names(world, harbour)) < _MANY
    await deckhand.ends(pod, code=137)
    status = await _stands(harbour, "killed", lambda seen: seen.retry_at is not None)
    assert (status.phase, status.job) == ("Waiting", ""), status
    assert condition(status, "Progressing") == ("False", "JobFailed")
    # Whoever changes its limits does not wait for that.
    await _change(harbour, "killed", job={"memoryLimit": "2Gi"})
    pod = await deckhand.pod_of(uid)
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "2Gi"}
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await _ended(harbour, "killed")
    assert (status.phase, status.attempts) == ("Succeeded", 2), status
    assert set(names) <= await _names(world, harbour)
    path = f"/api/v1/namespaces/{world.name}/configmaps"
    made = Counter(
        line.object_ref.name or line.request_uri
        for line in audit_lines(world.sandbox, since)
        if line.user.username == _USER
        and line.verb in ("create", "patch")
        and line.request_uri.startswith(path)
        and line.response_status.code == 201
    )
    assert set(made.values()) <= {1}, made.most_common(3)


@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_job_that_dies_at_any_write_leaves_one_restore(
    world: World, harbour: Harbour, vault: Vault, tmp_path: Path, *, is_sent: bool
) -> None:
    asked = await _lost(world, harbour, vault, "one", "two")
    await harbour.retire()
    dies_at = 0
    for dies_at in range(1, 60, 2):
        name = f"dies-{dies_at}"
        uid = await _ask(harbour, name, asked, approved=True)
        codes = [
            await _serve(harbour, tmp_path / f"{name}-{each}", name, uid, each, is_sent=is_sent)
            for each in (dies_at, 0)
        ]
        assert codes[1] == 0, (dies_at, tmp_path)
        status = await _ended(harbour, name)
        assert status.phase == "Succeeded", (dies_at, status)
        assert {"one", "two"} <= await _names(world, harbour)
        await harbour.kubectl("delete", "configmap", "one", "two", "-n", world.name)
        if codes[0] == 0:
            break
    assert dies_at > 7


async def _serve(
    harbour: Harbour, directory: Path, name: str, uid: str, dies_at: int, *, is_sent: bool
) -> int:
    """Do what a Job's process does, as the administrator; its exit code."""
    request = Request(
        kubeconfig=str(harbour.sandbox.kubeconfig),
        namespace=NAMESPACE,
        directory=str(directory),
        duration=1.5,
        renew_every=0.5,
        dies_at=dies_at,
        is_sent=is_sent,
    )
    log = directory.with_suffix(".log")
    process = Fork(partial(serve, request, name, uid), log, log, {"HOME": str(directory)})
    return await asyncio.to_thread(process.wait, 120)


async def test_whoever_comes_after_a_restore_is_gone_leaves_no_lease(
    harbour: Harbour, tmp_path: Path
) -> None:
    await harbour.set_up(allowed=ALLOWED)
    uid = str(uuid4())
    metadata = {"name": f"restore-{uid}", "namespace": NAMESPACE}
    manifest = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}
    await harbour.writer.create(LEASES, manifest, namespace=NAMESPACE)
    assert await _serve(harbour, tmp_path / "late", "gone", uid, 0, is_sent=True) == 0
    with pytest.raises(NotFoundError):
        await harbour.reader.get(LEASES, f"restore-{uid}", NAMESPACE)


async def test_one_that_is_deleted_is_taken_back_by_its_job(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    names = tuple(f"c{number:04}" for number in range(_MANY))
    asked = await _lost(world, harbour, vault, *names)
    uid = await _ask(harbour, "unwanted", asked, approved=True)
    process = await deckhand.start(await deckhand.pod_of(uid))
    await _stands(harbour, "unwanted", lambda seen: seen.done > 0)
    await harbour.kubectl("delete", "rst", "unwanted", "--timeout=400s")
    assert await asyncio.to_thread(process.wait, 60) == 0
    assert len(await _names(world, harbour)) < _MANY


async def test_one_that_is_deleted_after_its_job_died_is_taken_back_by_another(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    names = tuple(f"c{number:04}" for number in range(_MANY))
    asked = await _lost(world, harbour, vault, *names)
    uid = await _ask(harbour, "unwanted", asked, approved=True)
    pod = await deckhand.pod_of(uid)
    process = await deckhand.start(pod)
    await _stands(harbour, "unwanted", lambda seen: seen.done > 0)
    process.kill()
    await deckhand.ends(pod, code=137, reason="OOMKilled")
    await _stands(harbour, "unwanted", lambda seen: "memoryLimit" in seen.message)
    await harbour.kubectl("delete", "rst", "unwanted", "--wait=false")
    status = await _stands(harbour, "unwanted", lambda seen: seen.job != "")
    assert status.phase == "Stopping", status
    process = await deckhand.start(await deckhand.pod_of(uid))
    await harbour.kubectl("wait", "--for=delete", "rst/unwanted", "--timeout=400s")
    assert await asyncio.to_thread(process.wait, 60) == 0
    assert len(await _names(world, harbour)) < _MANY


async def test_one_whose_approval_is_taken_back_half_way_puts_webhooks_back(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    names = tuple(f"c{number:04}" for number in range(_MANY))
    asked = await _lost(world, harbour, vault, *names)
    webhook = closed_webhook(world.name, world.name)
    await harbour.kubectl("create", "-f", "-", given=yaml.safe_dump(webhook))
    uid = await _ask(harbour, "unwanted", asked, approved=True)
    pod = await deckhand.pod_of(uid)
    process = await deckhand.start(pod)
    await _stands(harbour, "unwanted", lambda seen: seen.done > 0)
    process.kill()
    await deckhand.ends(pod, code=137, reason="OOMKilled")
    await _stands(harbour, "unwanted", lambda seen: "memoryLimit" in seen.message)
    assert await _policy(world, harbour) == "Ignore"
    await _change(harbour, "unwanted", approved=False)
    pod = await deckhand.pod_of(uid)
    assert (await deckhand.run(pod)).returncode == 0
    await deckhand.ends(pod)
    status = await _stands(harbour, "unwanted", lambda seen: not seen.job)
    assert status.phase == "AwaitingApproval", status
    assert "half way" in status.message
    await harbour.kubectl("delete", "rst", "unwanted", "--wait=false")
    process = await deckhand.start(await deckhand.pod_of(uid))
    await harbour.kubectl("wait", "--for=delete", "rst/unwanted", "--timeout=400s")
    assert await asyncio.to_thread(process.wait, 60) == 0
    assert await _policy(world, harbour) == "Fail"
    await harbour.kubectl("delete", "validatingwebhookconfiguration", world.name)


async def _policy(world: World, harbour: Harbour) -> str:
    """What becomes of objects that the webhook of a world cannot be asked about."""
    path = "-o=jsonpath={.webhooks[0].failurePolicy}"
    return await harbour.kubectl("get", "validatingwebhookconfiguration", world.name, path)


async def test_a_plan_that_nobody_approves_is_let_go_of_without_a_job(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    uid = await _ask(harbour, "unapproved", asked)
    pod = await deckhand.pod_of(uid)
    assert (await deckhand.run(pod)).returncode == 0
    await deckhand.ends(pod)
    await _stands(harbour, "unapproved", lambda seen: not seen.job)
    for change in ({"prune": True}, {"job": None}):
        with pytest.raises(ApiError, match=r"only spec\.approved may change"):
            await _change(harbour, "unapproved", **change)
    await harbour.kubectl("delete", "rst", "unapproved", "--timeout=400s")
    assert "one" not in await _names(world, harbour)


async def test_one_that_took_too_much_memory_goes_on_once_it_may_take_more(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    uid = await _ask(harbour, "large", asked, approved=True, job={"memoryLimit": "64Mi"})
    await deckhand.ends(await deckhand.pod_of(uid), code=137, reason="OOMKilled")
    status = await _stands(harbour, "large", lambda seen: "limit of 64Mi" in seen.message)
    assert condition(status, "Progressing") == ("False", "OutOfMemory")
    assert (status.phase, status.job, status.retry_at) == ("Waiting", "", None)
    # Whoever leads next begins none either, though it begins others.
    await harbour.retire()
    await harbour.start(image=IMAGE).leads()
    await deckhand.pod_of(await _ask(harbour, "other", asked))
    assert [each for each in await deckhand.jobs() if uid in each] == [f"restore-{uid}-1"]
    await _change(harbour, "large", job={"memoryLimit": "1Gi"})
    pod = await deckhand.pod_of(uid)
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "1Gi"}
    assert (await deckhand.run(pod)).returncode == 0
    await deckhand.ends(pod)
    status = await _ended(harbour, "large")
    assert (status.phase, status.attempts) == ("Succeeded", 2), status


async def test_a_limit_that_was_raised_while_its_job_ran_is_tried(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    uid = await _ask(harbour, "raised", asked, job={"memoryLimit": "64Mi"})
    pod = await deckhand.pod_of(uid)
    await _change(harbour, "raised", job={"memoryLimit": "1Gi"})
    await deckhand.ends(pod, code=137, reason="OOMKilled")
    pod = await deckhand.pod_of(uid)
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "1Gi"}


async def test_one_that_took_too_long_waits_for_a_longer_limit(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    names = tuple(f"c{number:04}" for number in range(_MANY))
    asked = await _lost(world, harbour, vault, *names)
    uid = await _ask(harbour, "slow", asked, approved=True)
    process = await deckhand.start(await deckhand.pod_of(uid))
    await _stands(harbour, "slow", lambda seen: seen.done > 0)
    process.kill()
    shorter = ("-p", '{"spec":{"activeDeadlineSeconds":1}}')
    await harbour.kubectl("patch", "job", f"restore-{uid}-1", "-n", NAMESPACE, *shorter)
    status = await _stands(harbour, "slow", lambda seen: "timeLimit" in seen.message)
    assert condition(status, "Progressing") == ("False", "TimeLimit")
    assert (status.attempts, status.retry_at) == (1, None)


async def test_one_that_waited_all_its_time_is_tried_again(
    world: World, harbour: Harbour, vault: Vault
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    limits = {"timeLimit": "10s", "memoryLimit": "90000Gi"}
    await _ask(harbour, "homeless", asked, job=limits)
    await _stands(harbour, "homeless", lambda seen: "waits" in seen.message)
    status = await _stands(harbour, "homeless", lambda seen: "timeLimit" in seen.message)
    assert condition(status, "Progressing") == ("False", "TimeLimit")
    assert status.retry_at is not None
    assert "before it wrote anything: " in status.message
    assert "Unschedulable" in status.message


async def test_one_that_was_evicted_has_another_job_later(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    uid = await _ask(harbour, "moved", asked)
    disrupted = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    await deckhand.ends(await deckhand.pod_of(uid), code=143, conditions=[disrupted])
    status = await _stands(harbour, "moved", lambda seen: seen.retry_at is not None)
    assert condition(status, "Progressing") == ("False", "Evicted")
    assert "EvictionByEvictionAPI" in status.message
    past = {"status": {"retryAt": "2026-01-01T00:00:00Z"}}
    await harbour.writer.patch(RESTORE.resource, "moved", past, subresource="status")
    pod = await deckhand.pod_of(uid)
    assert pod["metadata"]["labels"]["job-name"] == f"restore-{uid}-2"


async def test_one_that_does_not_start_says_why(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    uid = await _ask(harbour, "unpulled", asked)
    await deckhand.waits(await deckhand.pod_of(uid), "ErrImagePull", "no such image")
    status = await _stands(harbour, "unpulled", lambda seen: "waits" in seen.message)
    assert "waits: ErrImagePull: no such image" in status.message
    await _ask(harbour, "homeless", asked, job={"memoryLimit": "90000Gi"})
    status = await _stands(harbour, "homeless", lambda seen: "waits" in seen.message)
    assert "waits: Unschedulable: " in status.message


async def test_what_cannot_be_planned_says_why_and_is_looked_at_again(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    uid = await _ask(harbour, "unknown", asked, backup="ffff")
    pod = await deckhand.pod_of(uid)
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await _stands(harbour, "unknown", lambda seen: seen.retry_at is not None)
    assert "ffff" in status.message
    assert (status.attempts, status.job) == (1, "")
    await _change(harbour, "unknown", backup=asked["backup"])
    pod = await deckhand.pod_of(uid)
    assert (await deckhand.run(pod)).returncode == 0
    await _stands(harbour, "unknown", lambda seen: seen.phase == "AwaitingApproval")


async def test_what_jobs_and_the_operator_may_is_used_and_nothing_is_missing(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    await harbour.kubectl("create", "configmap", "more", "-n", world.name)
    await harbour.retire()
    since = audit_end(world.sandbox)
    replica = harbour.start(image=IMAGE)
    uid = await _ask(harbour, "looked-at", asked, approved=True, prune=True)
    pod = await deckhand.pod_of(uid)
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await _ended(harbour, "looked-at")
    assert (status.phase, status.counts.delete) == ("Succeeded", 1), status
    # A plan that is let go of, which the operator does itself.
    uid = await _ask(harbour, "let-go", asked)
    pod = await deckhand.pod_of(uid)
    assert (await deckhand.run(pod)).returncode == 0
    await deckhand.ends(pod)
    await harbour.kubectl("delete", "rst", "let-go", "--timeout=400s")
    await replica.stop()
    done, refused = uses(world, since)
    assert refused == [], refused
    others = list(rules_of(("backups",)))
    unused = list(unused_of(done, (each for each in rules_of(ALLOWED) if each not in others)))
    assert not unused, unused
    done, refused = uses(world, since, _USER)
    assert refused == [], refused
    options = ManifestOptions(version=Version(1, 37, 2), image="x", lease=LEASE, allowed=ALLOWED)
    (role,) = (
        each
        for each in permissions(options)
        if (each["kind"], each["metadata"]["name"]) == ("ClusterRole", ACCOUNT)
    )
    rules = [("", rule) for rule in role["rules"] if rule["verbs"] != [*UNSEEN]]
    assert any(GROUP in rule["apiGroups"] for _, rule in rules)
    assert set(unused_of(done, rules)) <= _STANDING_BY | _OF_VOLUMES


async def test_a_prune_leaves_what_the_operator_lives_by(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    """Of a backup that is older than the permissions of the Jobs that prune by it."""
    await _lost(world, harbour, vault, "one")
    names = (f"clusterrole/{ACCOUNT}", f"clusterrolebinding/{ACCOUNT}")
    mine = f"clusterrole/{world.name}"
    await vault.forbid()
    await harbour.kubectl("delete", *names)
    kinds = ("clusterroles", "clusterrolebindings", "roles", "rolebindings", "namespaces")
    kinds += ("customresourcedefinitions", "secrets", "serviceaccounts")
    place = vault.place
    made = await run_cli(
        world.sandbox,
        *("backup", "create", "--repo", place.url, "--endpoint", place.endpoint),
        *("--key", place.key, "--output=name"),
        *(f"--kind={each}" for each in kinds),
        environment={"AWS_ACCESS_KEY_ID": s3.ACCESS, "AWS_SECRET_ACCESS_KEY": s3.SECRET},
    )
    assert made.returncode == 0, made.stderr
    await harbour.set_up(allowed=ALLOWED)
    await harbour.kubectl("create", *mine.split("/"), "--verb=get", "--resource=pods")
    secret = "secret/later"
    await harbour.kubectl("create", "secret", "generic", "later", "-n", NAMESPACE)
    backup = made.stdout.strip().removeprefix("backup/")
    asked: dict[str, Any] = {"repository": vault.name, "backup": backup, "job": {}}
    uid = await _ask(harbour, "prunes", asked, objects={"kinds": list(kinds)}, prune=True)
    pod = await deckhand.pod_of(uid)
    assert (await deckhand.run(pod)).returncode == 0
    await deckhand.ends(pod)
    status = await _stands(harbour, "prunes", lambda seen: seen.phase == "AwaitingApproval")
    told = [line.split() for line in status.plan.splitlines()]
    spared = {each[3] for each in told if each[:1] == ["Skip"] and "Spared" in each}
    assert spared == {"later", ACCOUNT, *(f"{OPERATOR}-{each}" for each in ALLOWED)}
    assert {each[3] for each in told if each[:1] == ["Delete"]} == {world.name}
    await _stands(harbour, "prunes", lambda seen: not seen.job)
    await _change(harbour, "prunes", approved=True)
    pod = await deckhand.pod_of(uid)
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await _ended(harbour, "prunes")
    assert (status.phase, status.counts.delete) == ("Succeeded", 1), status
    await harbour.kubectl("get", *names, secret, "-n", NAMESPACE)
    await harbour.kubectl("wait", "--for=delete", mine, "--timeout=400s")
    await harbour.kubectl("delete", secret, "-n", NAMESPACE)


async def test_without_the_permission_no_job_is_counted(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    await harbour.kubectl("delete", "role", "shipkeeper-operator-restore-jobs", "-n", NAMESPACE)
    await _ask(harbour, "forbidden", asked)
    status = await _stands(harbour, "forbidden", lambda seen: "restore-jobs" in seen.message)
    assert (status.phase, status.attempts, status.job) == ("Waiting", 0, "")
    assert condition(status, "Progressing") == ("False", "NotPermitted")
    assert "permissions.restoreJobs" in status.message
    await harbour.kubectl("delete", "rst", "forbidden", "--timeout=400s")
    assert await deckhand.jobs() == []


async def test_what_stands_in_the_way_of_jobs_is_told(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    quota = ("quota", "no-job", "--hard=count/jobs.batch=0", "-n", NAMESPACE)
    await harbour.kubectl("create", *quota)
    await _ask(harbour, "over", asked)
    status = await _stands(harbour, "over", lambda seen: "exceeded quota" in seen.message)
    assert condition(status, "Progressing") == ("False", "JobRefused")
    assert "--allow" not in status.message
    await harbour.kubectl("delete", "quota", "no-job", "-n", NAMESPACE)
    async with _no_job(world, harbour):
        await _ask(harbour, "hooked", asked)
        status = await _stands(harbour, "hooked", lambda seen: world.name in seen.message)
    assert (status.phase, status.attempts, status.job) == ("Waiting", 0, "")
    assert condition(status, "Progressing") == ("False", "JobRefused")
    assert "failed calling webhook" in status.message
    await harbour.kubectl("delete", "rst", "over", "hooked", "--timeout=400s")
    assert await deckhand.jobs() == []


async def test_a_job_that_cannot_be_made_yet_is_made_later(
    world: World, harbour: Harbour, vault: Vault, deckhand: Deckhand
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    async with _no_job(world, harbour, even_a_trial=False):
        uid = await _ask(harbour, "hooked", asked)
        status = await _stands(harbour, "hooked", lambda seen: "failed calling" in seen.message)
        assert (status.attempts, status.job) == (1, f"restore-{uid}-1")
    await deckhand.pod_of(uid)
    assert await deckhand.jobs() == [f"restore-{uid}-1"]


@asynccontextmanager
async def _no_job(
    world: World, harbour: Harbour, *, even_a_trial: bool = True
) -> AsyncGenerator[None]:
    """Have a webhook that nobody answers refuse every Job beside the operator."""
    manifest = closed_webhook(world.name, NAMESPACE)
    (webhook,) = manifest["webhooks"]
    (rule,) = webhook["rules"]
    rule |= {"apiGroups": ["batch"], "resources": ["jobs"]}
    if not even_a_trial:
        webhook["matchConditions"] = [{"name": "no-trial", "expression": "!request.dryRun"}]
    await harbour.kubectl("create", "-f", "-", given=yaml.safe_dump(manifest))
    try:
        yield
    finally:
        await harbour.kubectl("delete", "validatingwebhookconfiguration", world.name)


async def test_a_folder_is_not_seen_from_a_job(harbour: Harbour, tmp_path: Path) -> None:
    await harbour.set_up(allowed=ALLOWED)
    vault = await Vault(harbour, tmp_path, "folder").build()
    harbour.start(image=IMAGE)
    asked: dict[str, Any] = {"repository": vault.name, "backup": "latest", "job": {}}
    await _ask(harbour, "folder", asked)
    status = await _stands(harbour, "folder", lambda seen: seen.message != "")
    assert condition(status, "Progressing") == ("False", "FolderInJob")
    await vault.forbid()
