"""What can happen to nodes, to their agent, and to the API server."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.kube.changes import Change, Deleted
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import NODES
from shipkeeper.model.meta import Condition
from shipkeeper.model.node import Node
from shipkeeper.sandbox import Sandbox, names, workloads
from shipkeeper.sandbox.hollow import HollowError, command
from tests.sandbox.corner import Corner, eventually


class Diary:
    """Every state that a node went through: its bootID and whether it was Ready."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.pages: list[tuple[str, str]] = []

    def write(self, change: Change[Node]) -> None:
        node = change.object
        if node.name != self._node or isinstance(change, Deleted) or node.ready is None:
            return
        page = (node.status.node_info.boot_id, node.ready.status)
        if page not in self.pages[-1:]:
            self.pages.append(page)


async def test_a_reboot_brings_a_new_boot_and_kernel(corner: Corner) -> None:
    (name,) = await corner.add()
    await corner.pod("web")
    old = await corner.reader.get(NODES, name)
    diary = Diary(name)
    reflector = Reflector(corner.reader, NODES)
    reflector.subscribe(diary.write)
    async with reflector, asyncio.timeout(400):
        await asyncio.to_thread(
            corner.hollow.reboot, name, down_for=0.5, kernel_version="6.12.9", os_image="New 2"
        )
        boot = old.status.node_info.boot_id
        await reflector.wait_for(
            lambda nodes: nodes[name].status.node_info.boot_id != boot and nodes[name].is_ready
        )
    new = await corner.reader.get(NODES, name)
    assert diary.pages == [
        (boot, "True"),
        (new.status.node_info.boot_id, "False"),
        (new.status.node_info.boot_id, "True"),
    ]
    assert new.status.node_info.kernel_version == "6.12.9"
    assert new.status.node_info.os_image == "New 2"
    assert new.status.node_info.kubelet_version == old.status.node_info.kubelet_version
    assert new.metadata.annotations == old.metadata.annotations


async def test_a_reboot_may_go_without_not_ready(corner: Corner) -> None:
    (name,) = await corner.add()
    old = await corner.reader.get(NODES, name)
    diary = Diary(name)
    reflector = Reflector(corner.reader, NODES)
    reflector.subscribe(diary.write)
    async with reflector, asyncio.timeout(400):
        await asyncio.to_thread(corner.hollow.reboot, name, down_for=0, mark_not_ready=False)
        boot = old.status.node_info.boot_id
        await reflector.wait_for(lambda nodes: nodes[name].status.node_info.boot_id != boot)
    assert [ready for _, ready in diary.pages] == ["True", "True"]
    new = await corner.reader.get(NODES, name)
    assert new.status.node_info.kernel_version == old.status.node_info.kernel_version


async def test_containers_start_again_after_a_reboot(corner: Corner) -> None:
    (name,) = await corner.add()
    await corner.pod("web", ready_after="10ms")
    await corner.apply(once("once", corner))
    await corner.pod("leaving", stops_after="1h", grace_seconds=3600)
    for pod in ("web", "once"):
        await corner.pod_until(pod, lambda pod: pod.is_ready)
    before = await corner.get("web")
    await corner.delete("leaving")
    await asyncio.to_thread(corner.hollow.reboot, name, down_for=0)
    after = await corner.pod_until(
        "web", lambda pod: pod.status.container_statuses[0].restart_count == 1 and pod.is_ready
    )
    assert (after.uid, after.status.pod_ip) == (before.uid, before.status.pod_ip)
    (container,) = after.status.container_statuses
    assert container.last_state["terminated"]["exitCode"] == 255
    assert container.container_id != before.status.container_statuses[0].container_id
    await corner.pod_until("once", lambda pod: pod.status.phase == "Failed")
    await corner.gone("leaving")


def once(name: str, corner: Corner) -> dict[str, Any]:
    """A pod whose containers must not start twice."""
    pod = workloads.bare_pod(name, corner.name, shape=corner.shape())
    pod["spec"]["restartPolicy"] = "Never"
    return pod


async def test_a_node_reboots_once_at_a_time(corner: Corner) -> None:
    (name,) = await corner.add()
    await asyncio.to_thread(corner.hollow.reboot, name, down_for=3600)
    with pytest.raises(HollowError, match="rebooting already") as refused:
        corner.hollow.reboot(name, down_for=0)
    assert refused.value.reason == "AlreadyRebooting"


async def test_orders_given_at_once_all_hold(corner: Corner) -> None:
    (name,) = await corner.add()
    hollow = corner.hollow
    await asyncio.gather(
        asyncio.to_thread(hollow.set_ready_delay, name, 7),
        asyncio.to_thread(hollow.set_stop_delay, name, 8),
        asyncio.to_thread(hollow.hang_deletions, name),
        asyncio.to_thread(hollow.reboot, name, down_for=3600),
    )
    (behaviour,) = [each.behaviour for each in hollow.nodes() if each.name == name]
    assert (behaviour.ready_after, behaviour.stops_after) == (7, 8)
    assert behaviour.hangs_deletions
    assert behaviour.boot is not None


@pytest.mark.parametrize("go_dark", ["stop_heartbeat", "reboot"])
async def test_nothing_happens_on_a_dark_node(corner: Corner, go_dark: str) -> None:
    dark, light = await corner.add(2)
    await corner.pod("held", node=dark)
    await corner.pod("gone", node=light)
    tell: dict[str, Callable[[], None]] = {
        "stop_heartbeat": lambda: corner.hollow.stop_heartbeat(dark),
        "reboot": lambda: corner.hollow.reboot(dark, down_for=3600),
    }
    await asyncio.to_thread(tell[go_dark])
    await corner.apply(
        workloads.bare_pod("new", corner.name, shape=corner.shape(node=dark)),
        workloads.bare_pod("light", corner.name, shape=corner.shape(node=light)),
    )
    await corner.delete("held")
    await corner.delete("gone")
    await corner.gone("gone")
    await corner.pod_until("light", lambda pod: pod.is_ready)
    assert (await corner.get("held")).is_deleting
    assert (await corner.pod_until("new", lambda _: True)).status.phase == "Pending"
    if go_dark == "stop_heartbeat":
        await asyncio.to_thread(corner.hollow.resume_heartbeat, dark)
        await corner.gone("held")
        await corner.pod_until("new", lambda pod: pod.is_ready)


async def test_a_killed_agent_goes_on_where_it_was(corner: Corner) -> None:
    steady, rebooting, dead = await corner.add(3)
    await corner.pod("kept", node=steady)
    await corner.pod("held", node=dead)
    kept = await corner.pod_until("kept", lambda pod: pod.is_ready)
    await asyncio.to_thread(corner.hollow.set_stop_delay, steady, 5.0)
    await asyncio.to_thread(corner.hollow.stop_heartbeat, dead)
    await asyncio.to_thread(corner.hollow.reboot, rebooting, down_for=1, kernel_version="7.0.0")
    before = {each.name: each for each in corner.hollow.nodes()}
    boot = before[rebooting].behaviour.boot
    assert boot is not None

    await kill_agent(corner.sandbox)
    await corner.delete("held")
    await corner.apply(workloads.bare_pod("new", corner.name, shape=corner.shape(node=steady)))
    await asyncio.to_thread(corner.sandbox.start_component, names.HOLLOW_NODES)

    await corner.pod_until("new", lambda pod: pod.is_ready)
    up = await corner.node_until(
        rebooting, lambda node: node.status.node_info.boot_id == boot.boot_id and node.is_ready
    )
    assert up.status.node_info.kernel_version == "7.0.0"
    after = {each.name: each for each in corner.hollow.nodes()}
    assert after[steady].boot_id == before[steady].boot_id
    assert after[steady].behaviour == before[steady].behaviour
    assert after[dead] == before[dead]
    assert (await corner.get("held")).is_deleting
    same = await corner.get("kept")
    assert same.metadata.resource_version == kept.metadata.resource_version
    addresses = {pod.status.pod_ip for pod in (same, await corner.get("new"))}
    assert len(addresses) == 2


async def kill_agent(sandbox: Sandbox) -> None:
    """End the agent as the kernel would."""

    def pid() -> int | None:
        components = {each.name: each.pid for each in sandbox.status().components}
        return components[names.HOLLOW_NODES]

    running = pid()
    assert running is not None
    os.kill(running, signal.SIGKILL)
    await eventually(lambda: pid() is None)


async def test_nodes_outlive_a_restart_of_the_api_server(corner: Corner) -> None:
    (name,) = await corner.add()
    await corner.pod("leaving", stops_after="1s")
    await corner.delete("leaving")
    await asyncio.to_thread(corner.sandbox.restart, names.API_SERVER)
    await corner.gone("leaving")
    await corner.pod("new")
    await corner.pod_until("new", lambda pod: pod.is_ready)
    assert corner.hollow.is_up()
    assert name in {each.name for each in corner.hollow.nodes()}


async def test_the_whole_status_is_reported_now_and_then(corner: Corner, tmp_path: Path) -> None:
    (name,) = await corner.add()
    await asyncio.to_thread(corner.sandbox.stop_component, names.HOLLOW_NODES)
    kubeconfig = corner.sandbox.layout.kubeconfig(names.HOLLOW_NODES)
    options = command(kubeconfig, tmp_path / "s", lease_seconds=0.5, report_seconds=1)
    agent = await asyncio.create_subprocess_exec(*options)
    try:
        first = ready(await corner.reader.get(NODES, name))
        node = await corner.node_until(
            name, lambda node: ready(node).last_heartbeat_time != first.last_heartbeat_time
        )
        assert ready(node).last_transition_time == first.last_transition_time
    finally:
        agent.terminate()
        assert await agent.wait() == 0
        await asyncio.to_thread(corner.sandbox.start_component, names.HOLLOW_NODES)


def ready(node: Node) -> Condition:
    assert node.ready is not None
    return node.ready
