"""Objects created again under a name, and repositories under another: nobody's place is taken."""

import signal
from typing import Any

import msgspec
import pytest

from shipkeeper.backup.opening import open_repository
from shipkeeper.kube.errors import ApiError
from shipkeeper.operator.api.backups import (
    BACKUP,
    BackupSpec,
    BackupStatus,
    BegunWith,
)
from shipkeeper.operator.api.contents import Objects
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE
from shipkeeper.operator.backups.standing import as_begun
from shipkeeper.store.errors import ForgottenError
from tests.nodes.world import World
from tests.operator.harbour import Harbour
from tests.operator.vault import Vault

SOME = {"kinds": ["configmaps"]}
LOST = "0a1b2c3d4e5f"
RENOUNCED = "f0e1d2c3b4a5"


async def _begin(vault: Vault, name: str, id_: str, **spec: Any) -> None:
    """A Backup that a leader began and did not come to the end of."""
    await vault.back_up(name, objects=SOME, **spec)
    body = {"status": {"phase": "Running", "id": id_, "attempts": 1}}
    await vault.harbour.writer.patch(BACKUP.resource, name, body, subresource="status")


async def test_a_backup_whose_name_was_forgotten_is_made_under_another(
    harbour: Harbour, vault: Vault
) -> None:
    await _begin(vault, "again", LOST)
    async with open_repository(vault.place) as opened:
        await opened.renounce(LOST)
    harbour.start()
    await vault.backup("again", lambda seen: seen.id == "" and seen.attempts > 0)
    body = {"status": {"retryAt": None}}
    await harbour.writer.patch(BACKUP.resource, "again", body, subresource="status")
    status = await vault.ended("again")
    assert status.phase == "Completed", status
    assert [each.name for each in await vault.backups()] == [status.id]


async def test_a_backup_that_is_deleted_as_it_is_made_does_not_come(
    harbour: Harbour, vault: Vault
) -> None:
    await _begin(vault, "gone", RENOUNCED, deletionPolicy="Delete")
    patch = {"metadata": {"finalizers": ["shipkeeper.dev/operator"]}}
    await harbour.writer.patch(BACKUP.resource, "gone", patch)
    await harbour.writer.delete(BACKUP.resource, "gone")
    harbour.start()
    await harbour.kubectl("wait", "--for=delete", "bk/gone", "--timeout=400s")
    # The leader before may be about to make it visible still.
    async with open_repository(vault.place) as opened:
        with pytest.raises(ForgottenError):
            async with opened.writing(RENOUNCED):
                pass


async def test_what_a_backup_was_begun_with_stays(harbour: Harbour, vault: Vault) -> None:
    await vault.back_up("fixed", objects=SOME)
    for change in ({"objects": {"kinds": ["secrets"]}}, {"objects": None}):
        with pytest.raises(ApiError, match="create another Backup"):
            await harbour.writer.patch(BACKUP.resource, "fixed", {"spec": change})
    harbour.start()
    status = await vault.ended("fixed")
    assert status.begun_with is not None
    assert status.begun_with.repository == vault.name
    # Old servers let anybody change it.
    spec = BackupSpec(repository="other", objects=Objects(kinds=("secrets",)), retries=9)
    kept = as_begun(spec, status)
    assert (kept.repository, kept.objects.kinds, kept.retries) == (vault.name, ("configmaps",), 9)
    assert as_begun(spec, BackupStatus()) == spec


async def test_another_repository_of_the_name_does_not_take_what_was_begun(
    harbour: Harbour, vault: Vault
) -> None:
    begun = BegunWith(repository=vault.name, repository_id="f" * 32, objects=Objects())
    await _begin(vault, "moved", LOST, deletionPolicy="Delete")
    body = {"status": {"begunWith": msgspec.to_builtins(begun)}}
    await harbour.writer.patch(BACKUP.resource, "moved", body, subresource="status")
    harbour.start()
    status = await vault.backup("moved", lambda seen: seen.phase == "Waiting")
    assert "was begun with repository ffff" in status.message
    assert await vault.backups() == []
    await harbour.writer.delete(BACKUP.resource, "moved")
    status = await vault.backup("moved", lambda seen: "cannot be forgotten" in seen.message)
    assert "deletionPolicy to Retain" in status.message
    retain = {"spec": {"deletionPolicy": "Retain"}}
    await harbour.writer.patch(BACKUP.resource, "moved", retain)
    await harbour.kubectl("wait", "--for=delete", "bk/moved", "--timeout=400s")


async def test_a_maintenance_that_is_created_again_at_once_is_not_taken_for_the_first(
    world: World, harbour: Harbour
) -> None:
    nodes = await world.add_nodes(1)
    leader = harbour.start(duration=10.0)
    await harbour.maintain("twice", nodes, action={"wait": "1h"})
    first = await harbour.stands("twice", lambda status: bool(status.under_way))
    # It sees both at once.
    leader.process.send_signal(signal.SIGSTOP)
    try:
        resource = NODE_MAINTENANCE.resource
        await harbour.writer.patch(resource, "twice", {"metadata": {"finalizers": None}})
        await harbour.writer.delete(resource, "twice")
        await harbour.maintain("twice", nodes, approved=False)
    finally:
        leader.process.send_signal(signal.SIGCONT)
    second = await harbour.reaches("twice", "AwaitingApproval")
    assert second.run != first.run
    await leader.says("gone in the midst of its run")
    await harbour.patch("twice", {"approved": True})
    await harbour.reaches("twice", "Succeeded")
    await leader.stop()
