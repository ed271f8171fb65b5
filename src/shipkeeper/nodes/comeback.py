"""Seeing a node come back: Ready, open for pods again, and its DaemonSets' pods with it."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.following import wait_for_object
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import DAEMON_SETS, NODES, STARTED_PODS
from shipkeeper.model.container import StartedPod
from shipkeeper.model.duration import format_duration
from shipkeeper.model.node import UNREACHABLE_TAINT, Node
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.filters import daemon_set_of

# The node lifecycle controller, or a network plugin, takes them away once pods can run there.
_CLOSING_TAINTS = frozenset(
    {
        "node.kubernetes.io/not-ready",
        UNREACHABLE_TAINT,
        "node.kubernetes.io/network-unavailable",
    }
)
_CLOSING_EFFECTS = frozenset({"NoSchedule", "NoExecute"})


class NodeNotReadyError(ShipkeeperError):
    """A node did not come back in time."""


class Residents(msgspec.Struct, frozen=True, kw_only=True):
    """The DaemonSets that had a Ready pod on a node, each with the IDs of its containers."""

    containers: dict[str, tuple[str, ...]] = {}

    @classmethod
    def of(cls, pods: Iterable[StartedPod]) -> "Residents":
        """Those among the pods of a node."""
        found = {
            key: tuple(sorted(pod.container_ids))
            for pod in pods
            if pod.is_ready and not pod.is_deleting and (key := _daemon_set_key(pod))
        }
        return cls(containers=found)

    def missing(self, pods: Iterable[StartedPod], *, rebooted: bool) -> tuple[str, ...]:
        """The DaemonSets that have no Ready pod there now.

        After a reboot a pod that still shows a container from before it is not Ready: nobody has
        reported it since.
        """
        back = {
            key
            for pod in pods
            if (key := _daemon_set_key(pod))
            and pod.is_ready
            and not (rebooted and pod.container_ids & set(self.containers.get(key, ())))
        }
        return tuple(key for key in self.containers if key not in back)


def closing_taints(node: Node) -> tuple[str, ...]:
    """The taints that keep all pods off a node because it is not whole."""
    return tuple(
        taint.key
        for taint in node.spec.taints
        if taint.key in _CLOSING_TAINTS and taint.effect in _CLOSING_EFFECTS
    )


async def observe_residents(reader: Reader, node: str) -> Residents:
    """The DaemonSets that have a Ready pod on a node."""
    pods = await reader.list(STARTED_PODS, field_selector=f"spec.nodeName={node}", at_hand=True)
    return Residents.of(pods.items)


async def wait_for_node(
    reader: Reader, name: str, predicate: Callable[[Node], bool], timeout: float
) -> None:
    """Watch one node until it is as wanted; TimeoutError after so many seconds.

    The API server may be away meanwhile: the node can be the one that it runs on.
    """
    async with asyncio.timeout(timeout):
        await wait_for_object(reader, NODES, name, predicate)


async def wait_until_back(
    reader: Reader, name: str, before: Residents, *, rebooted: bool, timeout: float
) -> None:
    """Return when pods can run on a node again; NodeNotReadyError says what is missing."""
    try:
        async with asyncio.timeout(timeout):
            await wait_for_node(
                reader, name, lambda node: node.is_ready and not closing_taints(node), timeout
            )
            await _wait_for_residents(reader, name, before, rebooted=rebooted)
    except TimeoutError as error:
        raise await _not_back(reader, name, before, timeout, rebooted=rebooted) from error


async def _wait_for_residents(
    reader: Reader, name: str, before: Residents, *, rebooted: bool
) -> None:
    if not before.containers:
        return
    known = {each.key for each in (await reader.list(DAEMON_SETS)).items}
    left = {key: ids for key, ids in before.containers.items() if key in known}
    if not left:
        return
    async with Reflector(reader, STARTED_PODS, field_selector=f"spec.nodeName={name}") as pods:
        await pods.wait_for(
            lambda found: not Residents(containers=left).missing(found.values(), rebooted=rebooted)
        )


async def _not_back(
    reader: Reader, name: str, before: Residents, timeout: float, *, rebooted: bool
) -> NodeNotReadyError:
    node = await reader.get(NODES, name)
    after = f"after {format_duration(timedelta(seconds=timeout))}"
    hint = "it stays cordoned; look at its kubelet, then run the same command again"
    if not node.is_ready:
        return NodeNotReadyError(
            f"node/{name} is not Ready {after}", reason="NodeNotReady", hint=hint
        )
    if taints := closing_taints(node):
        return NodeNotReadyError(
            f"node/{name} is Ready, but {after} still tainted {', '.join(taints)}",
            reason="NodeTainted",
            hint="it stays cordoned; look at its network plugin and the controller manager",
        )
    pods = await reader.list(STARTED_PODS, field_selector=f"spec.nodeName={name}")
    missing = before.missing(pods.items, rebooted=rebooted)
    return NodeNotReadyError(
        f"node/{name} is Ready, but {after} has no Ready pod of DaemonSet {', '.join(missing)}",
        reason="DaemonSetNotReady",
        hint=f"it stays cordoned; look at its pods: kubectl get pods -A --field-selector "
        f"spec.nodeName={name}",
    )


def _daemon_set_key(pod: Pod) -> str:
    owner = daemon_set_of(pod)
    return f"{pod.namespace}/{owner.name}" if owner is not None else ""
