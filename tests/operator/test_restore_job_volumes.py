"""Restores that bring volumes back: by their Jobs, through pods on the nodes of the files."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.backup.volumes.programs import STAGE
from shipkeeper.kube.errors import ApiError
from shipkeeper.kube.resources import PODS
from shipkeeper.model.version import Version
from shipkeeper.nodes.work_pod import RUN_LABEL
from shipkeeper.operator.api.restores import RESTORE, RestoreStatus
from shipkeeper.operator.backups.restore_job import ACCOUNT
from tests.backup.volumes.folder import MIB, furnished, seen
from tests.backup.volumes.yard import Yard, of_claim
from tests.cli.run import run_cli
from tests.hosts.sshd import SshServer
from tests.nodes.kubelet import Kubelet
from tests.nodes.world import World, audit_end
from tests.operator.deckhand import Deckhand
from tests.operator.harbour import IMAGE, NAMESPACE, Harbour
from tests.operator.test_backups import condition
from tests.operator.test_permissions import Use, uses
from tests.operator.vault import Vault, in_bucket, stands
from tests.store import s3

_USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[SshServer]:
    """The host of the nodes; its disks need not outlive a power cut."""
    async with SshServer() as found:
        found.sync_nothing()
        yield found


@pytest.fixture
async def yard(world: World, server: SshServer, tmp_path: Path) -> AsyncIterator[Yard]:
    """A node with its host."""
    async with Kubelet(server) as kubelet:
        (node,) = await world.add_nodes(1)
        await kubelet.given(world.writer, node)
        yield Yard(world, server, node, tmp_path)


@pytest.fixture
async def vault(yard: Yard, harbour: Harbour, bucket: str, tmp_path: Path) -> AsyncIterator[Vault]:
    """A repository in a bucket."""
    await harbour.set_up(allowed=("restore-jobs",))
    found = await in_bucket(harbour, tmp_path, bucket)
    yield found
    await harbour.kubectl("delete", "jobs", "--all", "-n", NAMESPACE)
    await found.forbid()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of a local volume."""
    return furnished(tmp_path / "data")


async def _run(yard: Yard, vault: Vault, *words: str) -> str:
    """What a backup command prints, run on the vault's repository."""
    place = vault.place
    where = ("--repo", place.url, "--endpoint", place.endpoint)
    keys = ("--key", place.key, "--identity", place.identity)
    store = {"AWS_ACCESS_KEY_ID": s3.ACCESS, "AWS_SECRET_ACCESS_KEY": s3.SECRET}
    done = await run_cli(yard.world.sandbox, "backup", *words, *where, *keys, environment=store)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def _asked(yard: Yard, vault: Vault, data: Path) -> dict[str, Any]:
    """Back a volume up; what a Restore asks for to have it back."""
    name = yard.world.name
    await yard.claim("data", {"local": {"path": str(data)}})
    await yard.pod_with("db", [of_claim("data")])
    words = ("create", "-n", name, "-o", "json", "--volume", f"claim/{name}/data", *yard.pod)
    made = json.loads(await _run(yard, vault, *words))
    assert made["state"] == "Complete", made
    through = {"image": "none", "namespace": name}
    return {
        "repository": vault.name,
        "backup": made["name"],
        "objects": {"namespaces": [name]},
        "volumes": {"how": "in-place", "only": [f"claim/{name}/*"], **through},
        "job": {"timeLimit": "5h"},
    }


async def test_a_job_brings_files_back_by_the_plan_that_the_command_line_prints(
    yard: Yard, harbour: Harbour, vault: Vault, deckhand: Deckhand, data: Path
) -> None:
    name, before = yard.world.name, seen(data)
    asked = await _asked(yard, vault, data)
    (data / "d" / "large").unlink()
    (data / "spoilt").touch()
    spoilt = seen(data)
    since = audit_end(yard.world.sandbox)
    harbour.start(image=IMAGE)
    uid = (await harbour.create(RESTORE, "back", asked)).uid
    pod = await deckhand.pod_of(uid)
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await _stands(
        harbour, "back", lambda seen: seen.phase == "AwaitingApproval" and not seen.job
    )
    assert f"claim/{name}/data" in status.plan
    assert "pods use it meanwhile" in status.plan
    words = ("restore", asked["backup"], "-n", name, "--dry-run=client", "--volumes", "in-place")
    said = await _run(yard, vault, *words, "--volume", f"claim/{name}/*")
    assert said.rstrip() == status.plan.rstrip()
    assert seen(data) == spoilt
    with pytest.raises(ApiError, match=r"only spec\.approved may change"):
        await _change(harbour, "back", volumes={"how": "new"})
    # The pod through which files are written is to be awaited: what is up at once is not watched.
    await asyncio.to_thread(yard.world.sandbox.hollow.set_ready_delay, yard.node, 5.0)
    await _change(harbour, "back", approved=True)
    pod = await deckhand.pod_of(uid)
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await _ended(harbour, "back")
    assert status.phase == "Succeeded", status
    assert seen(data) == before
    pods = await yard.world.reader.list(PODS, namespace=name, label_selector=RUN_LABEL)
    assert [each for each in pods.items if not each.is_deleting] == []
    # A watch is logged when it ends.
    async with asyncio.timeout(400):
        while not any((use.verb, use.resource) == ("watch", "pods") for use in _done(yard, since)):
            await asyncio.sleep(0.5)


def _done(yard: Yard, since: int) -> set[Use]:
    """What Jobs did, none of which was refused."""
    done, refused = uses(yard.world, since, _USER)
    assert refused == [], refused
    return done


async def test_a_job_that_is_killed_while_it_writes_files_is_gone_on_with(
    yard: Yard, harbour: Harbour, vault: Vault, deckhand: Deckhand, data: Path
) -> None:
    (data / "huge").write_bytes(os.urandom(60 * MIB))
    before = seen(data)
    asked = await _asked(yard, vault, data)
    (data / "huge").write_bytes(b"old")
    harbour.start(image=IMAGE)
    uid = (await harbour.create(RESTORE, "killed", {**asked, "approved": True})).uid
    pod = await deckhand.pod_of(uid)
    process = await deckhand.start(pod)
    async with asyncio.timeout(400):
        while not list((data / STAGE).glob("*/huge")):
            assert process.poll() is None, process.communicate()
            await asyncio.sleep(0.01)
    process.kill()
    (left,) = (
        await yard.world.reader.list(PODS, namespace=yard.world.name, label_selector=RUN_LABEL)
    ).items
    # Nobody removed it: its node ends it once no Job could be at work any more.
    kept = await yard.world.reader.get_raw(PODS, left.name, yard.world.name)
    assert kept["spec"]["activeDeadlineSeconds"] == 5 * 3600
    async with asyncio.timeout(400):
        while (data / STAGE).exists():
            await asyncio.sleep(0.05)
    assert (data / "huge").stat().st_size == len(b"old")
    await deckhand.ends(pod, code=137)
    await _stands(harbour, "killed", lambda seen: seen.retry_at is not None)
    await _change(harbour, "killed", job={"timeLimit": "4h"})
    pod = await deckhand.pod_of(uid)
    ran = await deckhand.run(pod)
    assert ran.returncode == 0, ran.stderr
    await deckhand.ends(pod)
    status = await _ended(harbour, "killed")
    assert (status.phase, status.attempts) == ("Succeeded", 2), status
    assert seen(data) == before


async def test_volumes_are_brought_back_by_jobs_alone(harbour: Harbour, tmp_path: Path) -> None:
    await harbour.set_up(allowed=("restores",))
    vault = await Vault(harbour, tmp_path, "folder").build()
    asked = {"repository": vault.name, "backup": "latest", "volumes": {"how": "new"}}
    with pytest.raises(ApiError, match="job must be given beside volumes"):
        await harbour.create(RESTORE, "jobless", asked)
    async with _no_rules(harbour):
        await _create_once_taken(harbour, "jobless", asked)
        harbour.start(image=IMAGE)
        status = await _stands(harbour, "jobless", lambda seen: seen.message != "")
        assert condition(status, "Accepted") == ("False", "VolumesWithoutJob")
        await harbour.kubectl("delete", "rst", "jobless", "--timeout=400s")
    await vault.forbid()


@asynccontextmanager
async def _no_rules(harbour: Harbour) -> AsyncGenerator[None]:
    """Have Restores checked as by servers that evaluate no CEL."""
    definition = RESTORE.definition(Version.parse(harbour.sandbox.version))
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations"
    patch = json.dumps([{"op": "remove", "path": path}])
    await harbour.kubectl(
        "patch", "crd", definition["metadata"]["name"], "--type=json", "-p", patch
    )
    try:
        yield
    finally:
        words = ("apply", "--server-side", "--force-conflicts", "-f", "-")
        await harbour.kubectl(*words, given=json.dumps(definition))


async def _create_once_taken(harbour: Harbour, name: str, asked: dict[str, Any]) -> None:
    """Create a Restore once the server heeds that the rules are gone."""
    async with asyncio.timeout(400):
        while True:
            with suppress(ApiError):
                await harbour.create(RESTORE, name, asked)
                return
            await asyncio.sleep(0.2)


async def _change(harbour: Harbour, name: str, **spec: Any) -> None:
    await harbour.writer.patch(RESTORE.resource, name, {"spec": spec})


async def _ended(harbour: Harbour, name: str) -> RestoreStatus:
    return await _stands(harbour, name, lambda seen: seen.finished_at is not None)


async def _stands(
    harbour: Harbour, name: str, predicate: Callable[[RestoreStatus], bool]
) -> RestoreStatus:
    return await stands(harbour, RESTORE, RestoreStatus, name, predicate)
