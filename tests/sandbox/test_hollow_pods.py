"""Pods on hollow nodes: how they start, how they get Ready, how they end."""

import asyncio
from collections.abc import Mapping

from shipkeeper.kube.resources import PODS
from shipkeeper.model.node import Taint
from shipkeeper.model.pod import Pod
from shipkeeper.sandbox import workloads
from tests.sandbox.corner import Corner


async def test_a_pod_runs_and_is_ready(corner: Corner) -> None:
    (node,) = await corner.add()
    await corner.pod("one")
    await corner.pod("two")
    one = await corner.pod_until("one", lambda pod: pod.is_ready)
    two = await corner.pod_until("two", lambda pod: pod.is_ready)
    assert one.spec.node_name == node
    assert one.status.pod_ip != two.status.pod_ip
    assert one.status.start_time is not None
    (container,) = one.status.container_statuses
    assert (container.name, container.image) == ("main", workloads.IMAGE)
    assert (container.ready, container.started, container.restart_count) == (True, True, 0)
    assert "running" in container.state


async def test_readiness_can_be_delayed_by_node_and_by_pod(corner: Corner) -> None:
    (node,) = await corner.add(ready_after=3600)
    slow = await corner.pod("slow")
    never = await corner.pod("never", ready_after="1h")
    await corner.pod("quick", ready_after="10ms")
    await corner.pod_until("quick", lambda pod: pod.is_ready)
    assert not slow.is_ready
    assert not slow.status.container_statuses[0].ready
    assert not (await corner.get("slow")).is_ready
    await asyncio.to_thread(corner.hollow.set_ready_delay, node, 0)
    ready = await corner.pod_until("slow", lambda pod: pod.is_ready)
    assert ready.status.start_time == slow.status.start_time
    assert ready.status.container_statuses[0].ready
    assert not never.is_ready
    assert not (await corner.get("never")).is_ready


async def test_a_bad_annotation_falls_back_to_the_nodes_own_delay(corner: Corner) -> None:
    await corner.add()
    await corner.pod("vague", ready_after="soon")
    await corner.pod_until("vague", lambda pod: pod.is_ready)


async def test_a_deleted_pod_terminates_until_it_stops(corner: Corner) -> None:
    await corner.add()
    await corner.pod("stubborn", stops_after="2s")
    await corner.pod("eternal", stops_after="1h", grace_seconds=3600)
    await corner.pod("quick")
    for name in ("stubborn", "eternal", "quick"):
        await corner.delete(name)
    await corner.gone("quick")
    assert (await corner.get("stubborn")).is_deleting
    await corner.gone("stubborn")
    assert (await corner.get("eternal")).is_deleting


async def test_the_grace_period_ends_what_does_not_stop(corner: Corner) -> None:
    await corner.add()
    await corner.pod("short", stops_after="1h", grace_seconds=1)
    await corner.pod("cut", stops_after="1h", grace_seconds=3600)
    await corner.delete("short")
    await corner.delete("cut")
    await corner.gone("short")
    assert (await corner.get("cut")).is_deleting
    await corner.delete("cut", grace_seconds=1)
    await corner.gone("cut")


async def test_deletions_hang_on_a_node_until_released(corner: Corner) -> None:
    hung, free = await corner.add(2)
    await corner.pod("held", node=hung)
    await corner.pod("gone", node=free)
    await asyncio.to_thread(corner.hollow.hang_deletions, hung)
    await corner.delete("held")
    await corner.delete("gone")
    await corner.gone("gone")
    assert (await corner.get("held")).is_deleting
    await asyncio.to_thread(corner.hollow.release_deletions, hung)
    await corner.gone("held")


async def test_the_deletion_of_one_pod_hangs_until_released(corner: Corner) -> None:
    await corner.add()
    await corner.pod("held")
    await corner.pod("gone")
    await asyncio.to_thread(corner.hollow.hang_deletions, f"{corner.name}/held")
    await corner.delete("held")
    await corner.delete("gone")
    await corner.gone("gone")
    assert (await corner.get("held")).is_deleting
    await asyncio.to_thread(corner.hollow.release_deletions, f"{corner.name}/held")
    await corner.gone("held")


async def test_a_younger_pod_of_the_same_name_is_another_pod(corner: Corner) -> None:
    await corner.add(2)
    shape = corner.shape()
    await corner.apply(workloads.stateful_set("db", corner.name, replicas=1, shape=shape))
    before = await corner.pod_until("db-0", lambda pod: pod.is_ready)
    await corner.delete("db-0")
    after = await corner.pod_until("db-0", lambda pod: pod.uid != before.uid and pod.is_ready)
    assert after.status.container_statuses[0].restart_count == 0


async def test_daemon_pods_run_on_every_node(corner: Corner) -> None:
    taint = Taint(key="dedicated", effect="NoExecute")
    names = await corner.add(2, taints=(taint,))
    shape = workloads.PodShape(
        node_selector=corner.shape().node_selector, tolerations=workloads.EVERYWHERE.tolerations
    )
    await corner.apply(workloads.daemon_set("agent", corner.name, shape=shape))

    def on_every_node(pods: Mapping[str, Pod]) -> bool:
        return {pod.spec.node_name for pod in pods.values() if pod.is_ready} == set(names)

    await corner.until(PODS, on_every_node)


async def test_a_finished_pod_stays_finished(corner: Corner) -> None:
    await corner.add()
    await corner.pod("job", ready_after="1h")
    done = {"status": {"phase": "Succeeded"}}
    await corner.writer.patch(PODS, "job", done, namespace=corner.name, subresource="status")
    await corner.pod("other")
    await corner.pod_until("other", lambda pod: pod.is_ready)
    assert (await corner.get("job")).status.phase == "Succeeded"
    await corner.delete("job")
    await corner.gone("job")
