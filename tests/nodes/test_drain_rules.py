"""Rules 4 to 10, 12 and 16 to 23 and 25 of a drain, on the real API server."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest

from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.progress import ItemChanged
from shipkeeper.errors import BlockedError
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES, PODS, REPLICA_SETS
from shipkeeper.kube.writer import Writer
from shipkeeper.model.meta import OwnerReference
from shipkeeper.model.node import UNSCHEDULABLE_TAINT
from shipkeeper.model.pod import MIRROR_ANNOTATION, Pod, Toleration
from shipkeeper.nodes import kubelet
from shipkeeper.nodes.cordon import cordon, uncordon
from shipkeeper.nodes.still_cordoned import require_cordoned
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.watch_budgets import watch_budgets
from tests.cli.run import run_cli
from tests.faults.faults import refusal
from tests.nodes.test_eviction_rules import through_proxy
from tests.nodes.world import World, without_controllers


def names(pods: list[Pod]) -> set[str]:
    return {pod.name for pod in pods}


async def test_a_drain_moves_everything_and_breaks_nothing(world: World) -> None:
    first, _, _ = await world.add_nodes(3)
    await world.up(
        world.deployment("web", 6, spread_over=workloads.HOSTNAME_LABEL),
        world.budget("web", max_unavailable=1),
    )
    before = names(await world.pods(first))
    assert before
    result = await world.drain(first)
    assert result.outcome is Outcome.SUCCEEDED
    assert await world.pods(first) == []
    assert set(world.accepted_evictions()) == before
    assert (await world.node(first)).spec.unschedulable


async def test_rule_4_pods_are_listed_page_by_page(world: World) -> None:
    first, _ = await world.add_nodes(2)
    await world.up(world.deployment("web", 5, node_selector={"kubernetes.io/hostname": first}))
    done = await run_cli(world.sandbox, "drain", first, "--chunk-size=2", "--dry-run=client")
    assert done.returncode == 0, done.stderr
    assert "5 pods to move" in done.stdout
    uris = [line.request_uri for line in world.requests()]
    ours = [uri for uri in uris if f"nodeName%3D{first}" in uri and "limit=2" in uri]
    assert any("continue=" in uri for uri in ours)


async def test_rule_5_pods_that_are_long_deleted_are_not_waited_for(world: World) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", grace_seconds=1))
    await asyncio.to_thread(world.sandbox.hollow.hang_deletions, name)
    (pod,) = await world.pods(name)
    await world.writer.delete(PODS, pod.name, namespace=world.name, grace_period_seconds=1)
    await asyncio.sleep(2.5)
    waited = await world.drain(name, timeout=2)
    assert waited.failures[0].reason == "GlobalTimeout"
    assert pod.key in waited.failures[0].message
    skipped = await world.drain(name, skip_wait_for_delete_timeout=1)
    assert skipped.outcome is Outcome.SUCCEEDED
    assert pod.name in names(await world.pods(name))


async def test_rule_6_daemon_set_pods(world: World) -> None:
    (name,) = await world.add_nodes(1)
    shape = world.shape(tolerations=(Toleration(operator="Exists"),))
    await world.up(workloads.daemon_set("agent", world.name, shape=shape))
    (pod,) = await world.pods(name)
    refused = await world.plan(name)
    assert refused.steps == ()
    assert {v.reason for v in refused.blockers} == {"PodsRefused", "DaemonSetManaged"}
    ignored = await world.drain(name, ignore_daemonsets=True)
    assert ignored.outcome is Outcome.SUCCEEDED
    assert [each.uid for each in await world.pods(name)] == [pod.uid]
    assert not pod.is_deleting


async def test_rule_6_pods_of_a_daemon_set_that_is_gone(world: World) -> None:
    (name,) = await world.add_nodes(1)
    async with without_controllers(world):
        await create_pod(world, "orphan", name, daemon_set_owner("gone"))
        refused = await world.plan(name, ignore_daemonsets=True)
        assert "DaemonSetMissing" in {verdict.reason for verdict in refused.blockers}
        forced = await world.drain(name, ignore_daemonsets=True, force=True)
    assert forced.outcome is Outcome.SUCCEEDED
    assert await world.pods(name) == []


async def test_rule_6_finished_pods_of_a_daemon_set_may_go(world: World) -> None:
    (name,) = await world.add_nodes(1)
    shape = world.shape(tolerations=(Toleration(operator="Exists"),))
    await world.up(workloads.daemon_set("agent", world.name, shape=shape))
    (running,) = await world.pods(name)
    async with without_controllers(world):
        await create_pod(world, "finished", name, daemon_set_owner("agent"))
        await world.set_phase("finished", "Succeeded")
        result = await world.drain(name, ignore_daemonsets=True)
        assert [pod.uid for pod in await world.pods(name)] == [running.uid]
    assert result.outcome is Outcome.SUCCEEDED
    assert world.accepted_evictions() == ["finished"]


def daemon_set_owner(name: str) -> OwnerReference:
    return OwnerReference(
        api_version="apps/v1", kind="DaemonSet", name=name, uid="none", controller=True
    )


async def test_rule_7_mirror_pods_are_passed_over(world: World) -> None:
    (name,) = await world.add_nodes(1)
    manifest = world.bare_pod("static")
    manifest["metadata"]["annotations"][MIRROR_ANNOTATION] = "x"
    manifest["spec"]["nodeName"] = name
    await world.up(manifest)
    assert (await world.drain(name)).outcome is Outcome.SUCCEEDED
    assert names(await world.pods(name)) == {"static"}


async def test_rule_8_local_storage(world: World) -> None:
    first, second = await world.add_nodes(2)
    await world.up(
        world.deployment("cache", empty_dir=True, node_selector={"kubernetes.io/hostname": first})
    )
    refused = await world.plan(first)
    assert "LocalStorage" in {verdict.reason for verdict in refused.blockers}
    result = await world.drain(first, delete_emptydir_data=True)
    assert result.outcome is Outcome.SUCCEEDED
    assert second
    old_flag = await run_cli(
        world.sandbox, "drain", first, "--delete-local-data", "--dry-run=client"
    )
    assert old_flag.returncode == 0
    assert "deprecated" in old_flag.stderr


async def test_rule_9_pods_without_a_controller(world: World) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.bare_pod("lonely"))
    refused = await world.plan(name)
    assert "Unreplicated" in {verdict.reason for verdict in refused.blockers}
    assert (await world.drain(name, force=True)).outcome is Outcome.SUCCEEDED
    assert await world.pods(name) == []


async def test_rule_10_one_refusal_and_nothing_is_evicted(world: World) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(
        world.bare_pod("b"), world.bare_pod("a"), world.deployment("cache", empty_dir=True)
    )
    done = await run_cli(world.sandbox, "drain", name)
    assert done.returncode == 5
    one, other = f"{world.name}/a", f"{world.name}/b"
    assert (
        f"cannot delete Pods that declare no controller (use --force to override): {one}, {other}"
        in done.stderr
    )
    assert "cannot delete Pods with local storage" in done.stderr
    assert world.accepted_evictions() == []
    assert not (await world.node(name)).spec.unschedulable


@pytest.mark.parametrize(("asked", "given"), [(-1, 7), (3, 3)])
async def test_rule_12_a_grace_period_is_sent_only_when_asked_for(
    world: World, asked: int, given: int
) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", grace_seconds=7))
    await asyncio.to_thread(world.sandbox.hollow.hang_deletions, name)
    draining = asyncio.create_task(world.drain(name, grace_period=asked))
    async with asyncio.timeout(60):
        while not (deleting := [pod for pod in await world.pods(name) if pod.is_deleting]):
            await asyncio.sleep(0.05)
    draining.cancel()
    await asyncio.wait([draining])
    assert [pod.metadata.deletion_grace_period_seconds for pod in deleting] == [given]


async def test_rule_12_a_grace_period_of_0_is_immediate(world: World) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web"))
    await asyncio.to_thread(world.sandbox.hollow.hang_deletions, name)
    (pod,) = await world.pods(name)
    assert (await world.drain(name, grace_period=0)).outcome is Outcome.SUCCEEDED
    assert pod.name not in names(await world.pods(name))


async def test_rule_16_a_timeout_says_what_was_pending(world: World) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web"))
    (pod,) = await world.pods(name)
    await asyncio.to_thread(world.sandbox.hollow.hang_deletions, name)
    done = await run_cli(world.sandbox, "drain", name, "--timeout=5s")
    assert done.returncode == 1
    assert f"node/{name} cordoned" in done.stdout
    assert f"evicting pod {pod.key}" in done.stdout
    assert "global timeout reached: 5s" in done.stderr
    assert f'There are pending pods in node "{name}" when an error occurred' in done.stderr
    assert f'unable to drain node "{name}" due to error:' in done.stderr
    assert "There are pending nodes to be drained:" in done.stderr


async def test_rule_17_blocked_pods_hold_nothing_that_others_need(world: World) -> None:
    first, _ = await world.add_nodes(2)
    here = {"kubernetes.io/hostname": first}
    await world.up(
        # Its replacements never get Ready, so that its budget never allows a second eviction.
        world.deployment("stuck", 5),
        world.budget("stuck", max_unavailable=1),
        world.deployment("free", 5, node_selector=here),
    )
    await asyncio.to_thread(world.sandbox.hollow.set_ready_delay, first, 600.0)
    for node in world.nodes:
        await asyncio.to_thread(world.sandbox.hollow.set_ready_delay, node, 600.0)
    free = {pod.name for pod in await world.pods(first) if pod.name.startswith("free")}
    result = await world.drain(first, timeout=6)
    assert result.failures[0].reason == "GlobalTimeout"
    evicted = set(world.accepted_evictions())
    assert free <= evicted
    assert len([name for name in evicted if name.startswith("stuck")]) == 1


async def test_rule_18_another_pod_of_the_same_name_is_not_waited_for(world: World) -> None:
    first, second = await world.add_nodes(2)
    await world.writer.patch(NODES, second, {"spec": {"unschedulable": True}})
    await world.up(workloads.stateful_set("db", world.name, shape=world.shape()))
    await world.writer.patch(NODES, second, {"spec": {"unschedulable": None}})
    (before,) = await world.pods(first)
    assert (await world.drain(first)).outcome is Outcome.SUCCEEDED
    async with asyncio.timeout(20):
        while not (after := [p for p in await world.pods(second) if p.name == before.name]):
            await asyncio.sleep(0.1)
    assert after[0].uid != before.uid


async def test_rule_19_waiting_costs_no_requests(world: World) -> None:
    (name,) = await world.add_nodes(1, stops_after=4.0)
    await world.up(world.deployment("web", 5))
    await world.drain(name)
    mark = [
        line
        for line in world.requests()
        if line.verb in ("get", "list")
        and f"spec.nodeName%3D{name}" in line.request_uri
        and line.user_agent.startswith("shipkeeper")
    ]
    assert len(mark) <= 6
    assert len(world.audit(verb="get", resource="pods")) == 0


async def test_rule_20_a_dry_run_writes_nothing(world: World) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", 2))
    pods = {pod.name: pod.metadata.resource_version for pod in await world.pods(name)}
    client = await run_cli(world.sandbox, "drain", name, "--dry-run=client")
    assert client.returncode == 0, client.stderr
    assert world.audit(verb="create", resource="pods", subresource="eviction") == []
    server = await run_cli(world.sandbox, "drain", name, "--dry-run=server")
    assert server.returncode == 0, server.stderr
    sent = world.audit(verb="create", resource="pods", subresource="eviction")
    assert len(sent) == 2
    assert all("dryRun=All" in line.request_uri for line in sent)
    assert not (await world.node(name)).spec.unschedulable
    after = {pod.name: pod.metadata.resource_version for pod in await world.pods(name)}
    assert after == pods


async def test_rule_22_pods_that_come_meanwhile_are_moved_too(world: World) -> None:
    first, _ = await world.add_nodes(2, stops_after=3.0)
    await world.up(world.deployment("web", node_selector={"kubernetes.io/hostname": first}))
    (replica_set,) = (await world.reader.list(REPLICA_SETS, namespace=world.name)).items
    owner = OwnerReference(
        api_version="apps/v1",
        kind="ReplicaSet",
        name=replica_set.name,
        uid=replica_set.uid,
        controller=True,
    )
    async with without_controllers(world):
        draining = asyncio.create_task(world.drain(first))
        async with asyncio.timeout(20):
            while not world.accepted_evictions():
                await asyncio.sleep(0.05)
        # It may be gone before it was seen Ready.
        with contextlib.suppress(NotFoundError):
            await create_pod(world, "late", first, owner)
        assert (await draining).outcome is Outcome.SUCCEEDED
    assert "late" in world.accepted_evictions()
    assert await world.pods(first) == []


async def test_who_comes_to_a_node_that_was_uncordoned_meanwhile_stays(world: World) -> None:
    # The pod takes its time to end; its successor waits for this very node.
    first, _ = await world.add_nodes(2, stops_after=10.0)
    await world.up(world.deployment("web", node_selector={"kubernetes.io/hostname": first}))
    draining = asyncio.create_task(world.drain(first))
    async with asyncio.timeout(20):
        while not world.accepted_evictions():
            await asyncio.sleep(0.05)
    await uncordon(world.reader, Writer(world.connection), first)
    result = await draining
    assert result.outcome is Outcome.BLOCKED
    assert [each.reason for each in result.failures] == ["NotCordoned"]
    assert len(world.accepted_evictions()) == 1


async def test_a_refusal_that_passes_does_not_end_a_drain_that_pods_come_to(world: World) -> None:
    (first,) = await world.add_nodes(1)
    async with through_proxy(world) as (proxy, connection):
        refused = proxy.inject(refusal(403, "Forbidden"), path=f"/nodes/{first}", times=5)
        await cordon(world.reader, Writer(world.connection), first, owner="cordon")
        await require_cordoned(Reader(connection), first)
        assert refused.count == 5
        proxy.inject(refusal(403, "Forbidden"), path=f"/nodes/{first}", times=None)
        with pytest.raises(BlockedError, match="whether it is still cordoned may not be seen"):
            await require_cordoned(Reader(connection), first, patience=0)


async def test_rule_23_pods_that_come_back_forever_are_named(world: World) -> None:
    (name,) = await world.add_nodes(1)
    bears = Toleration(key=UNSCHEDULABLE_TAINT, operator="Exists", effect="NoSchedule")
    # The budget keeps one there while another leaves: for no moment is the node empty.
    await world.up(
        world.deployment("boomerang", replicas=2, tolerations=(bears,)),
        world.budget("boomerang", max_unavailable=1),
    )
    async with asyncio.timeout(300):
        result = await world.drain(name)
    assert result.outcome is Outcome.BLOCKED
    assert result.failures[0].reason == "ComesBack"
    assert "ReplicaSet boomerang-" in result.failures[0].message


async def test_rule_25_an_unreachable_node_is_said_and_never_forced(world: World) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web"))
    (pod,) = await world.pods(name)
    await asyncio.to_thread(world.sandbox.hollow.stop_heartbeat, name)
    await set_ready(world, name, "Unknown")
    plan = await world.plan(name)
    assert "NodeUnreachable" in {verdict.reason for verdict in plan.verdicts}
    async with asyncio.timeout(120):
        result = await world.drain(name)
    assert result.failures[0].reason == "NodeUnreachable"
    assert "out-of-service" in result.failures[0].remedy
    left = await world.pods(name)
    assert pod.name in names(left)
    assert not any("out-of-service" in t.key for t in (await world.node(name)).spec.taints)
    assert world.audit(verb="delete", resource="pods") == []


async def test_a_kubelet_that_is_silent_and_may_not_be_seen_is_not_awaited_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 20 seconds past its end, which is 1 second after its eviction.
    monkeypatch.setattr(kubelet, "_PATIENCE", timedelta(seconds=20))
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", grace_seconds=1))
    plan = await world.plan(name)
    await asyncio.to_thread(world.sandbox.hollow.stop_heartbeat, name)
    async with through_proxy(world) as (proxy, connection):
        draining = asyncio.create_task(world.execute(plan, connection))
        async with asyncio.timeout(60):
            while not world.accepted_evictions():
                await asyncio.sleep(0.05)
        proxy.inject(refusal(403, "Forbidden"), path=f"/nodes/{name}", times=None)
        async with asyncio.timeout(120):
            result = await draining
    assert result.outcome is Outcome.BLOCKED
    (verdict,) = result.failures
    assert verdict.reason == "Forbidden"
    assert "its deletion was due at" in verdict.message
    assert "whether its kubelet reports may not be seen: not allowed to get" in verdict.message
    assert "the permission to get nodes" in verdict.remedy
    told = [each.message for each in world.events if isinstance(each, ItemChanged)]
    assert any("whether its kubelet reports may not be seen" in each for each in told)


async def create_pod(world: World, name: str, node: str, owner: OwnerReference) -> None:
    """A pod that is bound to a node past the scheduler, and Ready."""
    manifest: dict[str, Any] = world.bare_pod(name)
    manifest["metadata"]["ownerReferences"] = [
        {
            "apiVersion": owner.api_version,
            "kind": owner.kind,
            "name": owner.name,
            "uid": owner.uid,
            "controller": True,
        }
    ]
    manifest["spec"]["nodeName"] = node
    await world.writer.create(PODS, manifest, namespace=world.name)
    async with asyncio.timeout(120):
        while not (await world.reader.get(PODS, name, world.name)).is_ready:
            await asyncio.sleep(0.05)


async def set_ready(world: World, node: str, status: str) -> None:
    """Say of a node what the node lifecycle controller says when its kubelet fell silent."""
    conditions = [{"type": "Ready", "status": status, "reason": "NodeStatusUnknown"}]
    await world.writer.patch(
        NODES,
        node,
        {"status": {"conditions": conditions}},
        subresource="status",
        content_type="application/strategic-merge-patch+json",
    )


async def test_the_disruption_controller_runs_and_a_naive_delete_breaks_a_budget(
    world: World,
) -> None:
    # What replaces them takes longer to get Ready than they take to go.
    (name,) = await world.add_nodes(1, ready_after=3.0)
    await world.up(world.deployment("web", 3), world.budget("web", max_unavailable=1))
    resource = await world.reader.budget_resource()
    budget = await world.reader.get(resource, "web", world.name)
    assert (budget.status.expected_pods, budget.status.disruptions_allowed) == (3, 1)
    with contextlib.ExitStack() as stack:
        watch = await asyncio.to_thread(
            stack.enter_context, watch_budgets(world.sandbox.kubeconfig)
        )
        # All at once: on a busy machine each would be replaced before the next is gone.
        pods = await world.pods()
        await asyncio.gather(
            *(world.writer.delete(PODS, pod.name, namespace=world.name) for pod in pods)
        )
        # The watchman ends with this block, whatever it has heard of by then.
        async with asyncio.timeout(60):
            while {each.uid for each in pods} & {each.uid for each in await world.pods()}:
                await asyncio.sleep(0.1)
    assert watch.report is not None
    assert watch.report.violations > 0
    assert name
