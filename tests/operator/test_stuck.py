"""Deletion that cannot be taken back: what is in its way is said, and what helps does help."""

import json
from typing import Any

import pytest

from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.resources import CONFIG_MAPS
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE
from shipkeeper.operator.api.restores import RESTORE, RestoreStatus
from tests.nodes.world import World
from tests.operator.harbour import ACCOUNT, NAMESPACE, Harbour
from tests.operator.vault import Vault, stands

LET_GO = """--type merge -p '{"metadata":{"finalizers":null}}'"""
FREE = {"metadata": {"finalizers": None}}


async def _lose_plan(harbour: Harbour, journal: str) -> None:
    await harbour.retire()
    await harbour.writer.delete(CONFIG_MAPS, f"{journal}-plan-0", namespace=NAMESPACE)


async def test_a_maintenance_whose_journal_is_gone_says_how_it_is_let_go(
    world: World, harbour: Harbour
) -> None:
    [node] = await world.add_nodes(1)
    harbour.start()
    await harbour.maintain("lost", (node,), approved=False)
    status = await harbour.reaches("lost", "AwaitingApproval")
    assert status.journal is not None
    await _lose_plan(harbour, status.journal.name)
    await harbour.writer.delete(NODE_MAINTENANCE.resource, "lost")
    harbour.start()
    status = await harbour.reaches("lost", "Stopping")
    assert f"kubectl patch nm lost {LET_GO}" in status.message
    assert "shipkeeper nodes" in status.message
    await harbour.writer.patch(NODE_MAINTENANCE.resource, "lost", FREE)
    with pytest.raises(NotFoundError):
        await harbour.reader.get(NODE_MAINTENANCE.resource, "lost")


async def test_a_maintenance_whose_journal_may_not_be_read_stands_as_it_did(
    world: World, harbour: Harbour
) -> None:
    [node] = await world.add_nodes(1)
    harbour.start()
    await harbour.maintain("unread", (node,), approved=False)
    await harbour.reaches("unread", "AwaitingApproval")
    await harbour.retire()
    role = await harbour.kubectl("get", "role", ACCOUNT, "-n", NAMESPACE, "-o", "json")
    rules = json.loads(role)["rules"]
    await _allow(harbour, [each for each in rules if each["resources"] != ["configmaps"]])
    replica = harbour.start()
    await replica.says('cannot list resource "configmaps"')
    assert (await harbour.status("unread")).phase == "AwaitingApproval"
    await harbour.retire()
    await _allow(harbour, rules)
    harbour.start()
    await harbour.delete("unread")


async def _allow(harbour: Harbour, rules: list[dict[str, Any]]) -> None:
    """Let the operator do so much in its own namespace."""
    role = ("role", ACCOUNT, "-n", NAMESPACE, "--type=merge")
    await harbour.kubectl("patch", *role, "-p", json.dumps({"rules": rules}))


async def test_a_restore_whose_journal_is_gone_says_how_it_is_let_go(
    harbour: Harbour, vault: Vault
) -> None:
    await harbour.set_up(allowed=("backups", "restores"))
    harbour.start()
    await vault.back_up("some", objects={"kinds": ["configmaps"]})
    made = await vault.ended("some")
    await harbour.create(RESTORE, "lost", {"repository": vault.name, "backup": made.id})

    async def reaches(phase: str) -> RestoreStatus:
        return await stands(
            harbour, RESTORE, RestoreStatus, "lost", lambda seen: seen.phase == phase
        )

    status = await reaches("AwaitingApproval")
    assert status.journal is not None
    await _lose_plan(harbour, status.journal.name)
    await harbour.writer.delete(RESTORE.resource, "lost")
    harbour.start()
    status = await reaches("Stopping")
    assert f"kubectl patch rst lost {LET_GO}" in status.message
    await harbour.writer.patch(RESTORE.resource, "lost", FREE)
    with pytest.raises(NotFoundError):
        await harbour.reader.get(RESTORE.resource, "lost")
