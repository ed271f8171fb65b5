"""ClusterUpgrades: checked, planned, approved, and carried out while a provider upgrades."""

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.errors import ApiError
from shipkeeper.kube.resources import NODES
from shipkeeper.nodes.cordon import OWNER_ANNOTATION
from shipkeeper.operator.api.upgrades import (
    CLUSTER_UPGRADE,
    ClusterUpgradeSpec,
    ClusterUpgradeStatus,
)
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from shipkeeper.operator.upgrades.options import options_of
from shipkeeper.upgrade import procedure
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.gist import gist_of
from tests.cli.run import run_cli
from tests.faults.faults import Answer
from tests.faults.proxy import FaultProxy
from tests.nodes.world import World
from tests.operator.harbour import ACCOUNT, Harbour
from tests.operator.vault import stands
from tests.operator.webhook import add_webhook

OLD, NEW = "v1.36.3", "v1.37.2"
SPEC: dict[str, Any] = {"to": NEW, "wait": {}, "failOn": "never", "noBackup": True}
FLAGS = ("--to", NEW, "--wait", "--no-backup", "--ignore-daemonsets")
CHECKS = "upgrade-checks"
CORDONED = {"spec": {"unschedulable": True}}
# Writes at which the leader dies by default; all of them with SHIPKEEPER_EXHAUSTIVE=1. In a new
# cluster the first of all makes the Lease.
SAMPLE = (2, 5, 8, 12, 17, 23)
WRITES = 60


class Cloud:
    """A cluster that looks old to the operator until its provider, the test, upgrades it."""

    def __init__(self, world: World, harbour: Harbour, proxy: FaultProxy) -> None:
        self.world = world
        self.harbour = harbour
        self.proxy = proxy
        proxy.inject(Answer(200, {"gitVersion": OLD}), path="^/version", times=None)
        self._work: asyncio.Task[None] | None = None

    def upgrade(self) -> None:
        """Upgrade the control plane, and from now on each node once it is drained for that."""
        self.proxy.heal()
        self._work = asyncio.create_task(self._upgrade_nodes())

    async def stop(self) -> None:
        """Upgrade nothing more."""
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work

    async def _upgrade_nodes(self) -> None:
        info = {"status": {"nodeInfo": {"kubeletVersion": NEW}}}
        while True:
            for name in self.world.nodes:
                node = await self.world.node(name)
                is_held = OWNER_ANNOTATION in node.metadata.annotations
                is_old = node.status.node_info.kubelet_version != NEW
                if is_held and is_old and not await self.world.pods(name):
                    await self.world.writer.patch(NODES, name, info, subresource="status")
            await asyncio.sleep(0.1)

    async def declare(self, name: str, **spec: Any) -> None:
        """Create a ClusterUpgrade as people do; None leaves a field out."""
        asked = {**SPEC, **spec}
        manifest = {
            "apiVersion": CLUSTER_UPGRADE.api_version,
            "kind": CLUSTER_UPGRADE.kind,
            "metadata": {"name": name},
            "spec": {key: value for key, value in asked.items() if value is not None},
        }
        await self.harbour.kubectl("create", "-f", "-", given=yaml.safe_dump(manifest))

    async def patch(self, name: str, spec: dict[str, Any]) -> None:
        """Change what it asks for."""
        await self.harbour.writer.patch(CLUSTER_UPGRADE.resource, name, {"spec": spec})

    async def approve(self, name: str, status: ClusterUpgradeStatus) -> None:
        """Do what its message says."""
        command = shlex.split(status.message.partition("then: kubectl ")[2])
        await self.harbour.kubectl(*command)
        assert name in command

    async def stands(
        self, name: str, predicate: Callable[[ClusterUpgradeStatus], bool]
    ) -> ClusterUpgradeStatus:
        """How it stands, once that is as wanted."""
        return await stands(self.harbour, CLUSTER_UPGRADE, ClusterUpgradeStatus, name, predicate)

    async def reaches(self, name: str, *phases: str) -> ClusterUpgradeStatus:
        """How it stands, once it is in one of some phases."""
        return await self.stands(name, lambda status: status.phase in phases)

    async def agreed(self, **spec: Any) -> str:
        """What approves the plan of a spec, as a command reckons it."""
        asked = msgspec.convert({**SPEC, **spec}, ClusterUpgradeSpec)
        seen = ConnectionOptions(kubeconfig=str(self.proxy.kubeconfig))
        async with connect(seen) as connection:
            options = options_of(asked, {}, ())
            return gist_of(await procedure.prepare(connection, options, catalog())).digest


@pytest.fixture
async def cloud(world: World, harbour: Harbour, tmp_path: Path) -> AsyncIterator[Cloud]:
    """A cluster of which the operator sees an old API server."""
    async with FaultProxy(world.sandbox.kubeconfig, tmp_path) as proxy:
        harbour.go_through(proxy.kubeconfig)
        found = Cloud(world, harbour, proxy)
        yield found
        await found.stop()
        harbour.end_all()


def conditions(status: ClusterUpgradeStatus) -> dict[str, str]:
    return {each.type: each.status for each in status.conditions}


async def test_it_is_seen_approved_and_carried_out(cloud: Cloud) -> None:
    world, harbour = cloud.world, cloud.harbour
    nodes = await world.add_nodes(2, kubelet_version=OLD)
    await world.up(world.deployment("web", 2), world.budget("web", max_unavailable=1))
    harbour.start()
    await cloud.declare("seen")
    planned = await cloud.reaches("seen", "AwaitingApproval")
    said = await run_cli(
        world.sandbox,
        *("upgrade", "plan", *FLAGS),
        environment={"KUBECONFIG": str(cloud.proxy.kubeconfig)},
    )
    assert planned.plan == said.stdout, said.stderr
    assert planned.server_version == OLD
    assert planned.hops == (NEW,)
    assert conditions(planned) == {
        "Accepted": "True",
        "Checked": "True",
        # It may not read all that a check looks at.
        "Clean": "Unknown",
        "Planned": "True",
        "Progressing": "False",
        "Succeeded": "Unknown",
    }
    assert planned.report_in
    heading, row = (await harbour.kubectl("get", "cu")).splitlines()
    assert heading.split()[:4] == ["NAME", "PHASE", "FROM", "TO"]
    assert row.split()[:4] == ["seen", "AwaitingApproval", OLD, NEW]
    explained = await harbour.kubectl("explain", "clusterupgrade.spec.approvedPlan")
    assert "by its hash (status.planHash)" in explained
    assert not any([(await world.node(name)).spec.unschedulable for name in nodes])
    await cloud.approve("seen", planned)
    waiting = await cloud.reaches("seen", "Running")
    assert waiting.plan_hash == planned.plan_hash
    await cloud.stands("seen", lambda status: "control plane to 1.37" in status.message)
    cloud.upgrade()
    status = await cloud.reaches("seen", "Succeeded")
    await harbour.kubectl("wait", "--for=condition=Succeeded", "cu/seen", "--timeout=400s")
    assert (status.progress, status.nodes.done) == ("2/2", 2)
    assert status.plan == planned.plan
    for name in nodes:
        node = await world.node(name)
        assert not node.spec.unschedulable
        assert node.status.node_info.kubelet_version == NEW
    evicted = world.accepted_evictions()
    assert len(evicted) == len(set(evicted))


async def test_of_a_plan_that_changed_nothing_is_begun(cloud: Cloud) -> None:
    first = await cloud.world.add_nodes(1, kubelet_version=OLD)
    cloud.harbour.start()
    await cloud.declare("changed")
    before = await cloud.reaches("changed", "AwaitingApproval")
    await cloud.world.add_nodes(1, kubelet_version=OLD)
    await cloud.approve("changed", before)
    status = await cloud.stands("changed", lambda status: status.observed_generation == 2)
    assert status.phase == "AwaitingApproval"
    assert status.plan_hash not in ("", before.plan_hash)
    assert "another by now" in status.message
    assert not status.run
    assert not (await cloud.world.node(first[0])).spec.unschedulable
    await cloud.approve("changed", status)
    await cloud.reaches("changed", "Running")
    cloud.upgrade()
    await cloud.reaches("changed", "Succeeded")


async def test_paused_and_resumed(cloud: Cloud) -> None:
    await cloud.world.add_nodes(3, kubelet_version=OLD)
    cloud.harbour.start()
    await cloud.declare("paused", approvedPlan=await cloud.agreed(), paused=True)
    status = await cloud.reaches("paused", "Paused")
    assert not status.run
    # Nothing is begun of a plan that is old by the time that it may go on.
    await cloud.world.add_nodes(1, kubelet_version=OLD)
    await cloud.patch("paused", {"paused": False})
    await cloud.approve("paused", await cloud.reaches("paused", "AwaitingApproval"))
    await cloud.stands("paused", lambda status: "waits until" in status.message)
    await cloud.patch("paused", {"paused": True})
    await cloud.reaches("paused", "Paused")
    cloud.upgrade()
    await cloud.patch("paused", {"paused": False})
    await cloud.reaches("paused", "Succeeded")


async def test_it_is_looked_at_again_when_its_turn_comes(cloud: Cloud) -> None:
    world, harbour = cloud.world, cloud.harbour
    (other,) = await world.add_nodes(1, kubelet_version=OLD)
    harbour.start()
    await harbour.maintain("before", (other,), action={"wait": "10h"})
    await harbour.stands("before", lambda status: bool(status.under_way))
    await cloud.declare("after")
    await cloud.approve("after", await cloud.reaches("after", "AwaitingApproval"))
    status = await cloud.stands("after", lambda status: "before is under way" in status.message)
    assert (status.phase, status.run) == ("Waiting", "")
    await world.add_nodes(1, kubelet_version=OLD)
    await harbour.delete("before")
    changed = await cloud.reaches("after", "AwaitingApproval")
    assert not changed.run
    await cloud.approve("after", changed)
    await cloud.reaches("after", "Running")


async def test_deleting_it_stops_it_safely(cloud: Cloud) -> None:
    world, harbour = cloud.world, cloud.harbour
    nodes = await world.add_nodes(3, kubelet_version=OLD)
    await world.writer.patch(NODES, nodes[2], CORDONED)
    harbour.start()
    await cloud.declare("stopped", approvedPlan=await cloud.agreed())
    await cloud.stands("stopped", lambda status: "control plane" in status.message)
    cloud.proxy.heal()
    begun = await cloud.stands("stopped", lambda status: bool(status.under_way))
    node = await world.node(begun.under_way[0])
    assert node.metadata.annotations[OWNER_ANNOTATION] == f"upgrade/{begun.run}"
    with pytest.raises(ApiError, match=r"only spec\.paused may change"):
        await cloud.patch("stopped", {"noBackup": False})
    await harbour.kubectl("delete", "cu/stopped", "--timeout=400s")
    for name in nodes[:2]:
        assert not (await world.node(name)).spec.unschedulable
    assert (await world.node(nodes[2])).spec.unschedulable


def _points() -> list[tuple[int, bool]]:
    if os.environ.get("SHIPKEEPER_EXHAUSTIVE"):
        return [(point, is_sent) for point in range(2, WRITES) for is_sent in (False, True)]
    return [(point, point % 2 == 0) for point in SAMPLE]


@pytest.mark.parametrize(("dies_at", "is_sent"), _points())
async def test_killed_at_a_write(cloud: Cloud, dies_at: int, is_sent: bool) -> None:
    world, harbour = cloud.world, cloud.harbour
    nodes = await world.add_nodes(2, kubelet_version=OLD)
    await world.up(world.deployment("web", 4), world.budget("web", max_unavailable=1))
    dying = harbour.start(dies_at=dies_at, is_sent=is_sent)
    await dying.leads()
    heir = harbour.start()
    await heir.says("standing by")
    name = f"killed-{dies_at}-{is_sent}".lower()
    await cloud.declare(name, approvedPlan=await cloud.agreed())
    await cloud.stands(name, lambda status: bool(status.run))
    cloud.upgrade()
    status = await cloud.reaches(name, "Succeeded")
    assert status.progress == "2/2"
    if dying.process.poll() is None:
        # On a busy machine some changes are told together, so that the last is never reached.
        assert dies_at >= SAMPLE[-1], "it was to die, and did not"
    evicted = world.accepted_evictions()
    assert len(evicted) == len(set(evicted))
    for each in nodes:
        node = await world.node(each)
        assert not node.spec.unschedulable
        assert node.status.node_info.kubelet_version == NEW


async def test_its_own_node_is_last_and_in_no_approval(cloud: Cloud) -> None:
    nodes = await cloud.world.add_nodes(3, kubelet_version=OLD)
    cloud.harbour.start(node=nodes[0])
    await cloud.declare("own")
    status = await cloud.reaches("own", "AwaitingApproval")
    cordons = [line.split()[1] for line in status.plan.splitlines() if " cordon " in line]
    assert cordons == [*nodes[1:], nodes[0]]
    assert status.plan_hash == await cloud.agreed()


async def test_what_forbids_it_is_said_with_what_helps(cloud: Cloud) -> None:
    await cloud.world.add_nodes(1, kubelet_version="v1.30.0")
    cloud.harbour.start()
    await cloud.declare("skewed")
    status = await cloud.reaches("skewed", "Blocked")
    assert status.blockers
    first = status.blockers[0]
    assert "kubelet v1.30.0 breaks the rule" in first.message
    assert first.remedy in status.message
    assert conditions(status)["Planned"] == "False"
    assert ("kubelet", "v1.30.0", 1) in [
        (each.component, each.version, each.count) for each in status.versions
    ]


async def test_findings_forbid_to_begin_until_they_are_borne_with(cloud: Cloud) -> None:
    await cloud.harbour.set_up(allowed=(CHECKS,))
    cloud.harbour.go_through(cloud.proxy.kubeconfig)
    await cloud.world.add_nodes(1, kubelet_version=OLD)
    await add_webhook(cloud.harbour, "strict", "kube-system", "nobody")
    try:
        cloud.harbour.start()
        await cloud.declare("found", failOn="high", approvedPlan=await cloud.agreed())
        status = await cloud.reaches("found", "Blocked")
        assert [each.reason for each in status.blockers] == ["Findings"]
        assert "BlockingWebhook" in {each.rule for each in status.worst}
        assert conditions(status)["Clean"] == "False"
        assert not status.run
        await cloud.patch("found", {"failOn": "never"})
        await cloud.reaches("found", "Running")
    finally:
        await cloud.harbour.kubectl("delete", "validatingwebhookconfigurations", "strict")
        # Later tests see what is told without this permission.
        await cloud.harbour.kubectl("delete", "clusterrolebinding", f"{ACCOUNT}-{CHECKS}")


async def test_without_wait_it_is_planned_for_the_command(cloud: Cloud) -> None:
    await cloud.world.add_nodes(1, kubelet_version=OLD)
    cloud.harbour.start()
    await cloud.declare("planned", wait=None)
    status = await cloud.reaches("planned", "Planned")
    assert f"shipkeeper upgrade run --to {NEW}" in status.message
    assert "systemctl restart kubelet" in status.plan
    assert conditions(status)["Planned"] == "True"


async def test_what_is_there_already_has_succeeded(world: World, harbour: Harbour) -> None:
    await world.add_nodes(1)
    cloud = Cloud(world, harbour, FaultProxy(world.sandbox.kubeconfig, harbour.directory))
    harbour.start()
    await cloud.declare("there")
    status = await cloud.reaches("there", "Succeeded")
    assert status.message == f"everything is {NEW} already"
    assert status.finished_at is not None
    await harbour.kubectl("delete", "cu/there", "--timeout=400s")


async def test_what_makes_no_sense_is_said(cloud: Cloud) -> None:
    await cloud.world.add_nodes(1, kubelet_version=OLD)
    cloud.harbour.start()
    await cloud.declare("windowless", windows=["weekend"])
    status = await cloud.stands("windowless", lambda status: bool(status.conditions))
    accepted = next(each for each in status.conditions if each.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "WindowNotFound")
    assert "weekend" in accepted.message
    window = {"cron": "0 0 * * *", "length": "24h"}
    await cloud.harbour.create(MAINTENANCE_WINDOW, "weekend", window)
    await cloud.reaches("windowless", "AwaitingApproval")


async def test_a_look_that_goes_wrong_ends_nothing_and_is_made_again(cloud: Cloud) -> None:
    await cloud.world.add_nodes(1, kubelet_version=OLD)
    replica = cloud.harbour.start()
    await replica.leads()
    await cloud.declare("unread")
    await cloud.reaches("unread", "AwaitingApproval")
    # What no version of ours has written.
    nonsense = {"metadata": {"name": "a"}, "status": {"lastSuccessAt": "noon"}}
    listing = {"metadata": {"resourceVersion": "1"}, "items": [nonsense]}
    cloud.proxy.inject(Answer(200, listing), method="GET", path="/backupschedules")
    await cloud.patch("unread", {"checkEvery": "2h"})
    status = await cloud.stands("unread", lambda status: conditions(status)["Checked"] == "False")
    assert (status.phase, conditions(status)["Accepted"]) == ("Waiting", "True")
    assert "ValidationError" in status.message
    await cloud.patch("unread", {"checkEvery": "3h"})
    await cloud.reaches("unread", "AwaitingApproval")
    assert replica.process.poll() is None
