"""Bringing generated clusters up on a real control plane, in the very state that they want.

Of the controllers only the disruption controller runs, as the garbage collector would delete pods
whose owners are only named. Once it has worked out every budget it is stopped, too: what may go
then does not depend on who goes first.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import DAEMON_SETS, NAMESPACES, NODES, PODS, Resource
from shipkeeper.kube.writer import STRATEGIC_PATCH, Writer
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.pod import Pod
from shipkeeper.sandbox import names, workloads
from shipkeeper.sandbox.bring_up import start_component
from shipkeeper.sandbox.health import wait_healthy
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.record import read_record
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.parity.clusters import Cluster, PodState
from tests.nodes.parity.manifests import (
    budget_manifests,
    daemon_set_manifests,
    pod_manifests,
)

_AT_ONCE = 32
_WITHIN_SECONDS = 180.0
_SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", KubeObject)
_DELETION_GRACE = {PodState.LEAVING: 3600, PodState.OVERDUE: 1}
_PATCHED_PHASES = frozenset({PodState.PENDING, PodState.SUCCEEDED, PodState.FAILED})
_NEVER_READY = frozenset({PodState.UNREADY, PodState.PENDING})
# Longer than any limit after which a drain passes over pods that were due long ago.
_LONG_OVERDUE = timedelta(seconds=3)


class Twin(msgspec.Struct, frozen=True, kw_only=True):
    """One of the copies of a cluster, for one tool; node and namespace are named `place`."""

    cluster: Cluster
    tool: str

    @property
    def place(self) -> str:
        """Where it is: hollow nodes are numbered from 1 on."""
        return f"{self.tool}-{self.cluster.number + 1}"


class Stage:
    """Twins on their way to the state that their clusters want."""

    def __init__(self, sandbox: Sandbox, connection: Connection, twins: list[Twin]) -> None:
        self._sandbox = sandbox
        self._reader = Reader(connection)
        self._writer = Writer(connection)
        self._twins = twins
        self._states = {
            f"{twin.place}/{name}": state
            for twin in twins
            for name, state in twin.cluster.states.items()
        }

    async def set_up(self) -> None:
        """Bring all twins up; no controller runs when this returns."""
        await asyncio.to_thread(self._register_nodes)
        await asyncio.to_thread(_leave_only_disruption, self._sandbox)
        nodes = {node.name: node.uid for node in (await self._reader.list(NODES)).items}
        budgets = await self._reader.budget_resource()
        await self._for_each(lambda twin: self._create(twin, nodes[twin.place], budgets))
        await self._until(self._not_started)
        await self._for_each(self._disturb)
        await self._until(self._not_settled)
        await asyncio.to_thread(self._sandbox.stop_component, names.CONTROLLER_MANAGER)

    def _register_nodes(self) -> None:
        last = max(twin.cluster.number for twin in self._twins)
        for tool in {twin.tool for twin in self._twins}:
            self._sandbox.hollow.add_nodes(NodeGroup(count=last + 1, prefix=tool))

    async def _create(
        self, twin: Twin, node_uid: str, budgets: Resource[PodDisruptionBudget]
    ) -> None:
        place, cluster = twin.place, twin.cluster
        await self._writer.create(NAMESPACES, workloads.namespace(place))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await self._writer.create(_SERVICE_ACCOUNTS, account, namespace=place)
        for manifest in budget_manifests(cluster, place):
            versioned = {**manifest, "apiVersion": budgets.api_version}
            await self._writer.create(budgets, versioned, namespace=place)
        for manifest in daemon_set_manifests(cluster, place):
            await self._writer.create(DAEMON_SETS, manifest, namespace=place)
        for manifest in pod_manifests(cluster, place, node_uid):
            await self._writer.create(PODS, manifest, namespace=place)

    async def _not_started(self) -> list[str]:
        pods = (await self._reader.list(PODS)).items
        return [
            pod.key
            for pod in pods
            if pod.status.phase != "Running"
            or not (pod.is_ready or self._states[pod.key] in _NEVER_READY)
        ]

    async def _disturb(self, twin: Twin) -> None:
        """Let pods end, fall back, or be deleted, as their states want it; let the kubelet die."""
        for name, state in twin.cluster.states.items():
            if state in _PATCHED_PHASES:
                status = {"phase": state, "conditions": [{"type": "Ready", "status": "False"}]}
                patch = {"status": status}
                await self._writer.patch(
                    PODS, name, patch, namespace=twin.place, subresource="status"
                )
            elif state.is_deleting:
                grace = _DELETION_GRACE[state]
                await self._writer.delete(
                    PODS, name, namespace=twin.place, grace_period_seconds=grace
                )
        if not twin.cluster.is_reachable:
            await self._silence(twin.place)

    async def _not_settled(self) -> list[str]:
        """Pods that are not due long enough, and budgets that are not worked out."""
        pods = (await self._reader.list(PODS)).items
        neighbours: defaultdict[str, list[Pod]] = defaultdict(list)
        for pod in pods:
            neighbours[pod.namespace].append(pod)
        resource = await self._reader.budget_resource()
        budgets = (await self._reader.list(resource)).items
        shared = _of_several(budgets, neighbours, resource.version)
        pending = [pod.key for pod in pods if not self._is_due(pod)]
        for budget in budgets:
            covered = _covered(budget, neighbours, resource.version)
            is_shared = any(pod.key in shared for pod in covered)
            if not _is_worked_out(budget, covered, resource.version, is_shared=is_shared):
                pending.append(f"{budget.key}: {budget.status}")
        return pending

    def _is_due(self, pod: Pod) -> bool:
        if self._states[pod.key] is not PodState.OVERDUE:
            return True
        due = pod.metadata.deletion_timestamp
        return due is not None and datetime.now(UTC) - due > _LONG_OVERDUE

    async def _silence(self, node: str) -> None:
        await asyncio.to_thread(self._sandbox.hollow.stop_heartbeat, node)
        unknown = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
        await self._writer.patch(
            NODES,
            node,
            {"status": {"conditions": [unknown]}},
            subresource="status",
            content_type=STRATEGIC_PATCH,
        )

    async def _for_each(self, do: Callable[[Twin], Coroutine[Any, Any, None]]) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def do_one(twin: Twin) -> None:
            async with slots:
                await do(twin)

        async with asyncio.TaskGroup() as tasks:
            for twin in self._twins:
                tasks.create_task(do_one(twin))

    async def _until(self, pending: Callable[[], Awaitable[list[str]]]) -> None:
        """Wait until nothing is pending; fail with what it was when that takes too long."""
        async with asyncio.timeout(_WITHIN_SECONDS) as limit:
            while found := await pending():
                remaining = (limit.when() or 0.0) - asyncio.get_running_loop().time()
                assert remaining > 1.0, f"still pending: {found[:5]}"
                await asyncio.sleep(0.5)


def _leave_only_disruption(sandbox: Sandbox) -> None:
    """Start the controller manager again, without any controller but that of budgets."""
    name, layout = names.CONTROLLER_MANAGER, sandbox.layout
    before = read_record(layout).components[name].command
    others = (argument for argument in before if not argument.startswith("--controllers="))
    sandbox.stop_component(name)
    start_component(layout, name, (*others, "--controllers=disruption"))
    wait_healthy(layout, read_record(layout), name)


def _covered(
    budget: PodDisruptionBudget, neighbours: Mapping[str, list[Pod]], version: str
) -> list[Pod]:
    return [
        pod
        for pod in neighbours[budget.namespace]
        if budget.covers(pod, empty_matches_all=version == "v1")
    ]


def _of_several(
    budgets: Iterable[PodDisruptionBudget], neighbours: Mapping[str, list[Pod]], version: str
) -> set[str]:
    """The keys of the pods that more than one budget covers."""
    times = Counter(pod.key for budget in budgets for pod in _covered(budget, neighbours, version))
    return {key for key, count in times.items() if count > 1}


def _is_worked_out(
    budget: PodDisruptionBudget, covered: list[Pod], version: str, *, is_shared: bool
) -> bool:
    """Whether the disruption controller has seen all pods of a budget as they are now."""
    if budget.spec.max_unavailable is not None:
        # Of pods that nothing scales it never makes a number, only a condition in newer versions.
        return bool(budget.status.conditions) or version == "v1beta1"
    if is_shared:
        # It tells only one budget, by chance, what becomes of a pod that several share.
        return budget.is_current
    healthy = sum(pod.is_ready and not pod.is_deleting for pod in covered)
    status = budget.status
    return budget.is_current and (status.expected_pods, status.current_healthy) == (
        len(covered),
        healthy,
    )
