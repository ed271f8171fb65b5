"""Hollow nodes on a real API server: how they come, what they say, how they go."""

import asyncio

import pytest

from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.resources import LEASES, NODES, PODS
from shipkeeper.model.node import Node, Taint
from shipkeeper.sandbox import Sandbox, workloads
from shipkeeper.sandbox.hollow import HollowError, HollowFleet, NodeGroup
from shipkeeper.sandbox.hollow.node import LEASE_NAMESPACE
from tests.sandbox.corner import Corner, eventually


async def test_nodes_are_registered_as_wished(corner: Corner) -> None:
    names = await corner.add(
        3,
        zones=2,
        roles=("worker", "gpu"),
        labels={"rack": "r1"},
        taints=(Taint(key="dedicated", value="tests", effect="NoSchedule"),),
        cpu="3",
        memory="5Gi",
        max_pods=7,
        kernel_version="6.1.0-test",
        os_image="Test OS 3",
        container_runtime_version="containerd://9.9.9",
    )
    assert names == tuple(f"{corner.name}-{number}" for number in (1, 2, 3))
    nodes = [await corner.reader.get(NODES, name) for name in names]
    assert [node.zone for node in nodes] == ["zone-1", "zone-2", "zone-1"]
    assert len({node.status.node_info.boot_id for node in nodes}) == 3
    assert len({node.address("InternalIP") for node in nodes}) == 3
    node = nodes[0]
    assert node.is_ready
    assert node.roles == ("gpu", "worker")
    assert node.metadata.labels["rack"] == "r1"
    assert [(taint.key, taint.value) for taint in node.spec.taints] == [("dedicated", "tests")]
    assert node.status.allocatable == {"cpu": "3", "memory": "5Gi", "pods": "7"}
    info = node.status.node_info
    assert info.kubelet_version == corner.sandbox.version
    assert (info.kernel_version, info.os_image) == ("6.1.0-test", "Test OS 3")
    assert info.container_runtime_version == "containerd://9.9.9"


async def test_a_node_holds_a_lease_that_belongs_to_it(corner: Corner) -> None:
    (name,) = await corner.add()
    node = await corner.reader.get(NODES, name)
    key = f"{LEASE_NAMESPACE}/{name}"
    leases = await corner.until(LEASES, lambda found: key in found, namespace=LEASE_NAMESPACE)
    lease = leases[key]
    assert lease.spec.holder_identity == name
    assert [owner.uid for owner in lease.metadata.owner_references] == [node.uid]


async def test_names_fill_the_gaps(corner: Corner) -> None:
    first, second, third = await corner.add(3)
    await asyncio.to_thread(corner.hollow.remove_nodes, [second])
    assert await corner.add(2) == (second, f"{corner.name}-4")
    told = [each.name for each in corner.hollow.nodes() if each.name.startswith(corner.name)]
    assert told == [first, second, third, f"{corner.name}-4"]


async def test_removed_nodes_leave_nothing(corner: Corner) -> None:
    names = await corner.add(3)
    shape = corner.shape(grace_seconds=600, stops_after="1h")
    await corner.apply(
        workloads.deployment("web", corner.name, replicas=6, shape=shape),
        workloads.daemon_set("agent", corner.name, shape=corner.shape()),
    )
    await corner.until(PODS, lambda pods: sum(pod.is_ready for pod in pods.values()) == 9)
    await asyncio.to_thread(corner.hollow.stop_heartbeat, names[0])
    await asyncio.to_thread(corner.hollow.hang_deletions, names[1])
    await asyncio.to_thread(corner.hollow.remove_nodes, names)
    pods = (await corner.reader.list(PODS, namespace=corner.name)).items
    assert [pod.key for pod in pods if pod.spec.node_name in names] == []
    for name in names:
        for resource, namespace in ((NODES, ""), (LEASES, LEASE_NAMESPACE)):
            with pytest.raises(NotFoundError):
                await corner.reader.get(resource, name, namespace)


async def test_a_node_deleted_by_others_is_forgotten(corner: Corner) -> None:
    (name,) = await corner.add()
    await corner.writer.delete(NODES, name)
    await corner.until(NODES, lambda nodes: name not in nodes)
    await eventually(lambda: name not in {each.name for each in corner.hollow.nodes()})
    assert await corner.add() == (name,)


async def test_nodes_that_are_not_hollow_are_left_alone(corner: Corner) -> None:
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"{corner.name}-real"}}
    node = await corner.writer.create(NODES, manifest)
    assert node.name not in {each.name for each in corner.hollow.nodes()}
    with pytest.raises(HollowError, match="no hollow node"):
        corner.hollow.remove_nodes([node.name])
    await corner.writer.delete(NODES, node.name)


async def test_unknown_nodes_and_pods_are_named(corner: Corner) -> None:
    (name,) = await corner.add()
    before = await corner.reader.get(NODES, name)
    hollow = corner.hollow
    for ask in (hollow.stop_heartbeat, hollow.resume_heartbeat, hollow.hang_deletions):
        with pytest.raises(HollowError, match="'nowhere'") as refused:
            ask("nowhere")
        assert refused.value.reason == "UnknownNode"
        assert "kubectl get nodes" in refused.value.hint
    with pytest.raises(HollowError, match="'nowhere'"):
        hollow.reboot("nowhere", down_for=1)
    with pytest.raises(HollowError, match="'nowhere'"):
        hollow.remove_nodes([name, "nowhere"])
    with pytest.raises(HollowError, match='pods "nothing" not found') as refused:
        hollow.hang_deletions(f"{corner.name}/nothing")
    assert refused.value.reason == "NotFound"
    after = await corner.reader.get(NODES, name)
    assert _orders(after) == _orders(before)


def _orders(node: Node) -> dict[str, str]:
    """What hollow nodes are told; a controller writes annotations of its own at any time."""
    annotations = node.metadata.annotations or {}
    return {key: text for key, text in annotations.items() if key.startswith("hollow.")}


async def test_a_group_that_makes_no_sense_is_refused(corner: Corner) -> None:
    with pytest.raises(HollowError, match="count") as refused:
        corner.hollow.add_nodes(NodeGroup(count=0, prefix=corner.name))
    assert refused.value.reason == "InvalidRequest"
    with pytest.raises(HollowError, match="Invalid value") as refused:
        corner.hollow.add_nodes(NodeGroup(prefix="Not_A_Name"))
    assert refused.value.reason == "Invalid"


def test_an_agent_that_does_not_run_is_told(sandbox: Sandbox) -> None:
    nobody = HollowFleet(sandbox.directory / "nobody.sock")
    assert not nobody.is_up()
    with pytest.raises(HollowError, match=r"nobody\.sock") as refused:
        nobody.nodes()
    assert refused.value.reason == "AgentUnreachable"
