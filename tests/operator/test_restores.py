"""Restores: planned first, done once approved, and once only whoever leads."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.backup.restore_plan import request_of
from shipkeeper.engine.plan import Plan
from shipkeeper.kube.errors import ApiError, NotFoundError
from shipkeeper.kube.resources import CONFIG_MAPS
from shipkeeper.operator.api.backups import BACKUP_REPOSITORY
from shipkeeper.operator.api.contents import RestoreVolumes
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE
from shipkeeper.operator.api.restores import RESTORE, RestoreSpec, RestoreStatus
from shipkeeper.operator.backups.opening import known_as
from shipkeeper.operator.backups.restore_hosts import access_of, with_pods
from shipkeeper.operator.backups.restore_standing import asks_for_else, restore_options
from tests.cli.run import run_cli
from tests.nodes.world import World
from tests.operator.harbour import NAMESPACE, Harbour
from tests.operator.vault import Vault, stands

APPROVED = {"spec": {"approved": True}}
_MANY = 2000
ENDS = ("Succeeded", "Incomplete", "Blocked", "Failed", "Aborted")


@pytest.fixture(autouse=True)
async def _allowed(vault: Vault) -> None:  # pyright: ignore[reportUnusedFunction]
    await vault.harbour.set_up(allowed=("backups", "restores"))


async def _lost(world: World, harbour: Harbour, vault: Vault, *names: str) -> dict[str, Any]:
    """Back ConfigMaps up and delete them; what a Restore asks for to have them back."""
    for name in names:
        await harbour.kubectl("create", "configmap", name, "-n", world.name, "--from-literal=a=1")
    replica = harbour.start()
    objects = {"namespaces": [world.name], "kinds": ["configmaps"]}
    await vault.back_up("before", objects=objects)
    made = await vault.ended("before")
    assert made.phase == "Completed"
    await harbour.retire()
    assert replica.process.poll() is not None
    await harbour.kubectl("delete", "configmap", *names, "-n", world.name)
    return {"repository": vault.name, "backup": made.id, "objects": objects}


async def _stands(
    harbour: Harbour, name: str, predicate: Callable[[RestoreStatus], bool]
) -> RestoreStatus:
    return await stands(harbour, RESTORE, RestoreStatus, name, predicate)


async def _approve(harbour: Harbour, name: str) -> None:
    await harbour.writer.patch(RESTORE.resource, name, APPROVED)


async def test_a_restore_waits_for_a_maintenance(
    world: World, harbour: Harbour, vault: Vault
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    [node] = await world.add_nodes(1)
    harbour.start()
    await harbour.maintain("long", (node,), action={"wait": "10m"})
    await harbour.reaches("long", "Running")
    await harbour.writer.patch(NODE_MAINTENANCE.resource, "long", {"spec": {"paused": True}})
    await harbour.create(RESTORE, "back", {**asked, "approved": True})
    status = await _stands(harbour, "back", lambda seen: "lock" in seen.message.lower())
    assert status.phase == "Waiting", status
    with pytest.raises(NotFoundError):
        await harbour.reader.get(CONFIG_MAPS, "one", world.name)
    await harbour.delete("long")
    status = await _stands(harbour, "back", lambda seen: seen.phase in ENDS)
    assert status.phase == "Succeeded", status


async def test_nothing_is_written_before_the_plan_is_approved(
    world: World, harbour: Harbour, vault: Vault
) -> None:
    asked = await _lost(world, harbour, vault, "one", "two")
    harbour.start()
    await harbour.create(RESTORE, "back", asked)
    status = await _stands(harbour, "back", lambda seen: seen.phase == "AwaitingApproval")
    assert (status.counts.create, status.backup) == (2, asked["backup"])
    said = await run_cli(
        world.sandbox,
        *("backup", "restore", asked["backup"], "--dry-run=client", "--repo", vault.place.url),
        *("--key", vault.place.key, "--identity", vault.place.identity),
        *("--namespace", world.name, "--kind", "configmaps"),
    )
    assert said.stdout.rstrip() == status.plan.rstrip()
    with pytest.raises(NotFoundError):
        await harbour.reader.get(CONFIG_MAPS, "one", world.name)
    await _approve(harbour, "back")
    status = await _stands(harbour, "back", lambda seen: seen.phase in ENDS)
    assert status.phase == "Succeeded", status
    assert (await harbour.reader.get(CONFIG_MAPS, "one", world.name)).data == {"a": "1"}
    assert status.journal is not None
    head = await harbour.reader.get(CONFIG_MAPS, status.journal.name, NAMESPACE)
    assert '"door":"operator"' in head.data["run"]
    # A second one finds everything there.
    await harbour.create(RESTORE, "again", {**asked, "approved": True})
    again = await _stands(harbour, "again", lambda seen: seen.phase in ENDS)
    assert (again.phase, again.counts.create) == ("Succeeded", 0)
    await harbour.kubectl("delete", "rst", "back", "again", "--timeout=400s")


async def test_roles_come_back_that_allow_more_than_the_operator_is_allowed(
    world: World, harbour: Harbour, vault: Vault
) -> None:
    name = f"{world.name}-boss"
    await harbour.kubectl("create", "clusterrole", name, "--verb=impersonate", "--resource=users")
    await harbour.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", "--user=x")
    harbour.start()
    objects = {"names": [f"clusterrole/{name}", f"clusterrolebinding/{name}"]}
    await vault.back_up("roles", objects=objects)
    made = await vault.ended("roles")
    assert made.phase == "Completed", made
    await harbour.kubectl("delete", "clusterrole,clusterrolebinding", name)
    asked = {"repository": vault.name, "backup": made.id, "objects": objects, "approved": True}
    await harbour.create(RESTORE, "roles", asked)
    status = await _stands(harbour, "roles", lambda seen: seen.phase in ENDS)
    assert status.phase == "Succeeded", status
    await harbour.kubectl("delete", "clusterrole,clusterrolebinding", name)


async def test_what_cannot_be_planned_says_why(harbour: Harbour, tmp_path: Path) -> None:
    vault = await Vault(harbour, tmp_path, "sealed").build(with_identity=False)
    harbour.start()
    await harbour.create(RESTORE, "blind", {"repository": vault.name, "backup": "latest"})
    status = await _stands(harbour, "blind", lambda seen: seen.message != "")
    assert status.phase == "Waiting"
    assert "identitySecret" in status.message
    await harbour.kubectl("delete", "rst", "blind", "--timeout=400s")


@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_leader_that_dies_at_any_write_leaves_one_restore(
    world: World, harbour: Harbour, vault: Vault, *, is_sent: bool
) -> None:
    asked = await _lost(world, harbour, vault, "one", "two")
    dies_at = 0
    for dies_at in range(1, 60, 2):
        name = f"run-{dies_at}"
        mortal = harbour.start(dies_at=dies_at, is_sent=is_sent)
        await mortal.leads()
        await harbour.create(RESTORE, name, {**asked, "approved": True})
        dying = asyncio.create_task(mortal.ends())
        ending = asyncio.create_task(_stands(harbour, name, lambda seen: seen.phase in ENDS))
        await asyncio.wait((dying, ending), return_when=asyncio.FIRST_COMPLETED)
        is_dead = dying.done()
        if is_dead:
            harbour.start()
        else:
            mortal.kill()
            await dying
        status = await ending
        assert status.phase == "Succeeded", (dies_at, status)
        for each in ("one", "two"):
            found = await harbour.reader.get(CONFIG_MAPS, each, world.name)
            assert found.data == {"a": "1"}
        await harbour.retire()
        await harbour.kubectl("delete", "configmap", "one", "two", "-n", world.name)
        if not is_dead:
            break
    assert dies_at > 5


@pytest.mark.parametrize("dies_at", [4, 6, 8, 10])
async def test_a_deleted_restore_is_let_go_of_wherever_its_leader_died(
    world: World, harbour: Harbour, vault: Vault, dies_at: int
) -> None:
    asked = await _lost(world, harbour, vault, "one", "two")
    mortal = harbour.start(dies_at=dies_at)
    await mortal.leads()
    await harbour.create(RESTORE, "back", {**asked, "approved": True})
    dying = asyncio.create_task(mortal.ends())
    ending = asyncio.create_task(_stands(harbour, "back", lambda seen: seen.phase in ENDS))
    await asyncio.wait((dying, ending), return_when=asyncio.FIRST_COMPLETED)
    assert dying.done(), "it has fewer writes than that"
    await harbour.kubectl("delete", "rst", "back", "--wait=false")
    harbour.start()
    await harbour.kubectl("wait", "--for=delete", "rst/back", "--timeout=400s")
    ending.cancel()


async def test_a_restore_that_is_gone_without_leave_writes_no_more(
    world: World, harbour: Harbour, vault: Vault
) -> None:
    names = tuple(f"c{number:04}" for number in range(_MANY))

    async def make(name: str) -> None:
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": world.name},
        }
        await harbour.writer.create(CONFIG_MAPS, manifest, namespace=world.name)

    for at in range(0, _MANY, 50):
        await asyncio.gather(*map(make, names[at : at + 50]))
    replica = harbour.start()
    objects = {"namespaces": [world.name], "kinds": ["configmaps"]}
    await vault.back_up("many", objects=objects)
    made = await vault.ended("many")
    await harbour.kubectl("delete", "configmap", "--all", "-n", world.name, "--wait=false")
    asked = {"repository": vault.name, "backup": made.id, "objects": objects, "approved": True}
    await harbour.create(RESTORE, "gone", asked)
    await _stands(harbour, "gone", lambda seen: seen.phase == "Running")
    await harbour.writer.patch(RESTORE.resource, "gone", {"metadata": {"finalizers": None}})
    await harbour.writer.delete(RESTORE.resource, "gone")
    await replica.says("Restore gone is gone in the midst of its run")
    found = await harbour.reader.list(CONFIG_MAPS, namespace=world.name)
    assert len(found.items) < _MANY
    # The next one need not wait for it.
    await harbour.create(RESTORE, "next", asked)
    status = await _stands(harbour, "next", lambda seen: seen.phase in ENDS)
    assert status.phase == "Succeeded", status


async def test_what_was_planned_from_stays(world: World, harbour: Harbour, vault: Vault) -> None:
    asked = await _lost(world, harbour, vault, "one")
    replica = harbour.start()
    await harbour.create(RESTORE, "fixed", asked)
    await _stands(harbour, "fixed", lambda seen: seen.phase == "AwaitingApproval")
    for change in ({"backup": "latest"}, {"prune": True}, {"namespaceMap": {"a": "b"}}):
        with pytest.raises(ApiError, match=r"only spec\.approved may change"):
            await harbour.writer.patch(RESTORE.resource, "fixed", {"spec": change})
    # A repository that has the name now is not the one that the plan was made from.
    other = await Vault(harbour, Path(vault.place.url).parent, "other").build()
    await harbour.writer.patch(BACKUP_REPOSITORY.resource, vault.name, _spec(other))
    await _approve(harbour, "fixed")
    status = await _stands(harbour, "fixed", lambda seen: "was begun with" in seen.message)
    assert status.phase == "Waiting", status
    await replica.stop()
    await harbour.writer.patch(BACKUP_REPOSITORY.resource, vault.name, _spec(vault))
    harbour.start()
    status = await _stands(harbour, "fixed", lambda seen: seen.phase in ENDS)
    assert status.phase == "Succeeded", status


async def test_a_plan_that_is_not_asked_for_any_more_is_not_begun(
    world: World, harbour: Harbour, vault: Vault
) -> None:
    asked = await _lost(world, harbour, vault, "one")
    replica = harbour.start()
    await harbour.create(RESTORE, "narrowed", {**asked, "existing": "update"})
    await _stands(harbour, "narrowed", lambda seen: seen.phase == "AwaitingApproval")
    await replica.stop()
    # As if the spec had been changed after the plan was written down, and before that was told.
    untold = {"status": {"run": None}}
    await harbour.writer.patch(RESTORE.resource, "narrowed", untold, subresource="status")
    change = {"spec": {"existing": "skip", "approved": True}}
    await harbour.writer.patch(RESTORE.resource, "narrowed", change)
    harbour.start()
    status = await _stands(harbour, "narrowed", lambda seen: seen.observed_generation == 2)
    assert (status.phase, status.conditions[0].reason) == ("AwaitingApproval", "SpecIgnored")
    with pytest.raises(NotFoundError):
        await harbour.reader.get(CONFIG_MAPS, "one", world.name)
    await harbour.kubectl("delete", "rst", "narrowed", "--timeout=400s")


def _spec(vault: Vault) -> dict[str, Any]:
    secrets = {each: {"name": f"{vault.name}-{each}"} for each in ("key", "identity")}
    named = {f"{each}Secret": secret for each, secret in secrets.items()}
    return {"spec": {"url": vault.place.url, **named}}


def test_a_run_goes_on_with_the_repository_that_it_was_begun_with() -> None:
    def known(name: str, id_: str) -> CustomObject:
        body = {"metadata": {"name": name}, "status": {"id": id_}}
        return msgspec.json.decode(msgspec.json.encode(body), type=CustomObject)

    found = {name: known(name, id_) for name, id_ in (("a", "1"), ("b", "2"), ("c", "2"))}
    # Whatever the spec names by now; of two of the same it is that one.
    assert [known_as(found, "2", name) for name in ("a", "b", "c", "z")] == ["b", "b", "c", "b"]
    assert known_as(found, "3", "a") == "a"


def test_a_spec_that_was_changed_after_the_plan_is_noticed() -> None:
    spec = RestoreSpec(repository="vault", backup="0a1b", namespace_map={"a": "b"})
    request = request_of("f" * 32, "0a1b2c3d4e5f", restore_options(spec))
    kept = msgspec.json.decode(msgspec.json.encode(request))
    plan = Plan(procedure="restore", request=kept, steps=())
    assert not asks_for_else(spec, plan)
    changes: tuple[dict[str, Any], ...] = (
        {"prune": True},
        {"backup": "ffff"},
        {"namespace_map": {}},
        {"volumes": RestoreVolumes(how="new")},
    )
    assert all(asks_for_else(msgspec.structs.replace(spec, **each), plan) for each in changes)
    approved = msgspec.structs.replace(spec, approved=True, backup="latest")
    assert not asks_for_else(approved, plan)


def test_volumes_are_written_through_the_pods_that_were_planned() -> None:
    spec = RestoreSpec(repository="vault", backup="0a1b", volumes=RestoreVolumes(how="new"))
    request = request_of("f" * 32, "0a1b2c3d4e5f", restore_options(spec))
    plan = with_pods(Plan(procedure="restore", request=request, steps=()), spec)
    assert not asks_for_else(spec, plan)
    other = RestoreVolumes(how="new", image="example.com/theirs", namespace="default")
    changed = msgspec.structs.replace(spec, volumes=other)
    assert asks_for_else(changed, plan)
    access = access_of(changed, plan)
    assert (access.image, access.namespace) == ("busybox:stable", "kube-system")
