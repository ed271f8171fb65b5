"""BackupRepositories and Backups: made by the operator, once, whatever becomes of its leader."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.opening import open_repository
from shipkeeper.kube.errors import ApiError
from shipkeeper.operator.api.backups import (
    BACKUP,
    BACKUP_REPOSITORY,
    BackupRepositoryStatus,
    BackupStatus,
)
from shipkeeper.operator.api.restores import RestoreStatus
from tests.cli.run import run_cli
from tests.nodes.world import World
from tests.operator.harbour import ACCOUNT, Harbour
from tests.operator.vault import Vault, stands

CANARY = "canary-of-the-operator-7f3a"


def condition(
    status: BackupStatus | BackupRepositoryStatus | RestoreStatus, type_: str
) -> tuple[str, str]:
    return next((each.status, each.reason) for each in status.conditions if each.type == type_)


async def repository(harbour: Harbour, name: str, phase: str) -> BackupRepositoryStatus:
    return await stands(
        harbour,
        BACKUP_REPOSITORY,
        BackupRepositoryStatus,
        name,
        lambda status: status.phase == phase,
    )


async def test_a_backup_holds_what_the_command_would_take(
    world: World, harbour: Harbour, vault: Vault
) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "canary", "namespace": world.name},
        "stringData": {"password": CANARY},
    }
    await harbour.kubectl("create", "-f", "-", given=msgspec.json.encode(manifest).decode())
    replica = harbour.start()
    await vault.back_up("first")
    status = await vault.ended("first")
    assert status.phase == "Completed", status
    assert condition(status, "Succeeded") == ("True", "Completed")
    assert status.attempts == 1
    [made] = await vault.backups()
    assert made.name == status.id
    assert status.added_bytes == (made.figures.added_bytes if made.figures else -1)
    said = await run_cli(
        world.sandbox,
        *("backup", "show", status.id, "--repo", vault.place.url, "--key", vault.place.key),
        *("-o", "json"),
    )
    shown = msgspec.json.decode(said.stdout)["contents"]
    assert sum(each["objects"] for each in shown["kinds"]) == status.objects
    assert "secrets" in {each["kind"]["plural"] for each in shown["kinds"]}
    found = await repository(harbour, vault.name, "Ready")
    assert (found.format, found.recipients != ()) == (1, True)
    looked = await stands(
        harbour,
        BACKUP_REPOSITORY,
        BackupRepositoryStatus,
        vault.name,
        lambda seen: seen.backups == 1,
    )
    assert looked.newest is not None
    assert (looked.newest.id, looked.newest.complete) == (status.id, True)
    key = await asyncio.to_thread(Path(vault.place.key).read_text)
    everything = replica.said + await harbour.kubectl("get", "br,bk,events", "-A", "-o", "yaml")
    for secret in (CANARY, msgspec.json.decode(key)["secret"]):
        assert secret not in everything
    await replica.stop()


async def test_only_what_is_chosen_is_in_it(world: World, harbour: Harbour, vault: Vault) -> None:
    for name in ("kept", "left-out"):
        await harbour.kubectl("create", "configmap", name, "-n", world.name)
    harbour.start()
    objects = {
        "namespaces": [world.name],
        "kinds": ["configmaps"],
        "excludeNames": [f"configmap/{world.name}/left-out"],
    }
    await vault.back_up("some", objects=objects)
    status = await vault.ended("some")
    assert status.phase == "Completed", status
    async with open_repository(vault.place, reads=True) as opened:
        archive = await open_archive(opened, status.id)
        [kind] = archive.kinds(archive.contents.selection)
        found = [
            each.name
            async for some in archive.names(kind, archive.contents.selection)
            for each in some
        ]
    assert "kept" in found
    assert "left-out" not in found
    with pytest.raises(ApiError, match="create another Backup"):
        await harbour.writer.patch(BACKUP.resource, "some", {"spec": {"repository": "other"}})
    await vault.back_up("unknown", objects={"kinds": ["unheardofs"]})
    status = await vault.ended("unknown")
    assert status.phase == "Failed"
    assert condition(status, "Succeeded") == ("False", "UnknownKind")
    assert status.attempts == 1


async def test_what_may_not_be_read_is_named(harbour: Harbour, vault: Vault) -> None:
    rule = [{"op": "replace", "path": "/rules/0", "value": _list("configmaps", "namespaces")}]
    await harbour.kubectl(
        *("patch", "clusterrole", "shipkeeper-operator-backups", "--type=json"),
        f"-p={msgspec.json.encode(rule).decode()}",
    )
    harbour.start()
    await vault.back_up("blind")
    status = await vault.ended("blind")
    assert status.phase == "Incomplete"
    assert condition(status, "Succeeded") == ("False", "Forbidden")
    assert "secrets" in {each.what for each in status.missing} | {status.message}
    assert status.missing_count > len(status.missing)
    assert len(await vault.backups()) == 1


def _list(*resources: str) -> dict[str, list[str]]:
    return {"apiGroups": [""], "resources": list(resources), "verbs": ["list"]}


async def test_without_the_permission_nothing_is_begun(harbour: Harbour, vault: Vault) -> None:
    await vault.forbid()
    harbour.start()
    found = await repository(harbour, vault.name, "Failed")
    assert condition(found, "Reachable") == ("False", "NotPermitted")
    assert "--allow backups" in found.message
    await vault.back_up("never")
    status = await vault.backup(
        "never", lambda seen: seen.phase == "Waiting" and "get" in seen.message
    )
    assert condition(status, "Progressing") == ("False", "NotPermitted")
    assert (status.attempts, status.id) == (0, "")
    assert await vault.backups() == []
    # As soon as it is allowed, what waited goes on.
    await harbour.set_up(allowed=("backups",))
    assert (await vault.ended("never")).phase == "Completed"


async def test_trouble_with_a_repository_is_told(harbour: Harbour, vault: Vault) -> None:
    harbour.start()
    specs = {
        "nowhere": {"url": "/nowhere/at/all", "keySecret": {"name": "vault-key"}},
        "keyless": {"url": vault.place.url, "keySecret": {"name": "no-such-secret"}},
        "mixed-up": {"url": vault.place.url, "keySecret": {"name": "vault-identity"}},
        "silent": {
            "url": "s3://bucket/x",
            "endpoint": "http://127.0.0.1:1",
            "keySecret": {"name": "vault-key"},
            "storeSecret": {"name": "vault-store"},
        },
    }
    await vault.secret(
        "store",
        "--from-literal=AWS_ACCESS_KEY_ID=a",
        f"--from-literal=AWS_SECRET_ACCESS_KEY={CANARY}",
        "--from-literal=AWS_REGION=us-east-1",
    )
    for name, spec in specs.items():
        await harbour.create(BACKUP_REPOSITORY, name, spec)
    reasons = {
        name: condition(await repository(harbour, name, "Failed"), "Reachable")[1] for name in specs
    }
    assert reasons == {
        "nowhere": "NoRepository",
        "keyless": "SecretNotFound",
        "mixed-up": "KeyNotFound",
        "silent": "Unreachable",
    }
    await harbour.create(BACKUP, "lost", {"repository": "nobody"})
    status = await vault.backup("lost", lambda seen: "no BackupRepository" in seen.message)
    assert (status.phase, status.attempts) == ("Waiting", 0)
    assert CANARY not in "".join(each.said for each in harbour.replicas)


async def test_a_stored_backup_stays_unless_it_is_wished_otherwise(
    harbour: Harbour, vault: Vault
) -> None:
    harbour.start()
    some = {"kinds": ["configmaps"]}
    await vault.back_up("kept", objects=some)
    await vault.back_up("let-go", objects=some, deletionPolicy="Delete")
    kept, gone = await vault.ended("kept"), await vault.ended("let-go")
    assert {each.name for each in await vault.backups()} == {kept.id, gone.id}
    await harbour.kubectl("delete", "bk", "kept", "let-go", "--timeout=400s")
    assert [each.name for each in await vault.backups()] == [kept.id]


@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_leader_that_dies_at_any_write_leaves_one_backup(
    harbour: Harbour, vault: Vault, *, is_sent: bool
) -> None:
    """How many writes there are depends on what is gathered: some leaders live on."""
    deaths = 0
    for dies_at in range(1, 5):
        name = f"run-{dies_at}"
        before = len(await vault.backups())
        mortal = harbour.start(dies_at=dies_at, is_sent=is_sent)
        await mortal.leads()
        await vault.back_up(name, objects={"kinds": ["configmaps"]})
        dying = asyncio.create_task(mortal.ends())
        ending = asyncio.create_task(vault.ended(name))
        await asyncio.wait((dying, ending), return_when=asyncio.FIRST_COMPLETED)
        is_dead = dying.done()
        deaths += is_dead
        if is_dead:
            harbour.start()
        else:
            mortal.kill()
            await dying
        status = await ending
        assert status.phase == "Completed", (dies_at, status)
        names = [each.name for each in await vault.backups()]
        assert len(names) == before + 1, (dies_at, names)
        assert status.id in names
        await harbour.retire()
    assert deaths >= 2
    assert [each for each in (await vault.verified()).findings if not each.harmless] == []


async def test_what_a_backup_came_to_stays_though_it_cannot_be_held_any_more(
    harbour: Harbour, vault: Vault
) -> None:
    replica = harbour.start()
    await vault.back_up("whole", objects={"kinds": ["configmaps"]})
    made = await vault.ended("whole")
    assert made.phase == "Completed", made
    role = '{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["list"]}]}'
    await harbour.kubectl(
        "patch", "clusterrole", f"{ACCOUNT}-backups", "--type=merge", f"-p={role}"
    )
    change = {"spec": {"deletionPolicy": "Delete"}}
    await harbour.writer.patch(BACKUP.resource, "whole", change)
    await replica.says("Backup whole: Forbidden")
    status = await vault.backup("whole", lambda seen: seen.observed_generation == 2)
    assert msgspec.structs.replace(status, observed_generation=1) == made
