"""The node inventory: what runs where, on which kernel, and what would block a drain."""

from datetime import datetime

import msgspec

from shipkeeper.engine.verdict import Verdict
from shipkeeper.model.node import Node
from shipkeeper.nodes.cordon import owner_of
from shipkeeper.nodes.explain import explain_drain
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import DrainOptions

# A drain with the flag that hardly anybody leaves out; everything else is left to be decided.
_USUAL = DrainOptions(ignore_daemonsets=True)


class NodeRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One node; `pods` counts those that are not finished, `obstacles` hinder a drain of it."""

    name: str
    status: str
    roles: tuple[str, ...]
    creation_timestamp: datetime | None
    kubelet_version: str
    kernel_version: str
    os_image: str
    container_runtime_version: str
    zone: str
    internal_ip: str = msgspec.field(name="internalIP")
    pods: int
    unschedulable: bool
    cordoned_by: str
    obstacles: tuple[Verdict, ...]


def take_inventory(state: ClusterState, now: datetime) -> tuple[NodeRow, ...]:
    """A row for every node of the state, in its order."""
    explanations = explain_drain(state, _USUAL, now)
    return tuple(
        _row(node, state, explanation.obstacles)
        for node, explanation in zip(state.nodes, explanations, strict=True)
    )


def _row(node: Node, state: ClusterState, obstacles: tuple[Verdict, ...]) -> NodeRow:
    info = node.status.node_info
    return NodeRow(
        name=node.name,
        status=node_status(node),
        roles=node.roles,
        creation_timestamp=node.metadata.creation_timestamp,
        kubelet_version=info.kubelet_version,
        kernel_version=info.kernel_version,
        os_image=info.os_image,
        container_runtime_version=info.container_runtime_version,
        zone=node.zone,
        internal_ip=node.address("InternalIP"),
        pods=sum(not pod.is_finished for pod in state.pods_on(node.name)),
        unschedulable=node.spec.unschedulable,
        cordoned_by=owner_of(node),
        obstacles=obstacles,
    )


def node_status(node: Node) -> str:
    """kubectl's word: Ready, NotReady (also when the kubelet is silent) or Unknown.

    SchedulingDisabled is added for a cordoned node (kubectl's printer for nodes).
    """
    reported = "Ready" if node.is_ready else "NotReady"
    word = reported if node.ready is not None else "Unknown"
    return f"{word},SchedulingDisabled" if node.spec.unschedulable else word
