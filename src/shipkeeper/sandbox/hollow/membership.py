"""Nodes that come and go."""

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import LEASES, NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.node import Node
from shipkeeper.sandbox.hollow.fleet import Fleet, encode_behaviour
from shipkeeper.sandbox.hollow.kubelets import Kubelets
from shipkeeper.sandbox.hollow.node import LEASE_NAMESPACE, NOT_READY_TAINT, node_manifest
from shipkeeper.sandbox.hollow.patience import until_each
from shipkeeper.sandbox.hollow.pod import BoundPod
from shipkeeper.sandbox.hollow.values import Behaviour, NodeGroup

_AT_ONCE = 32

T = TypeVar("T")


class Membership:
    """Registers nodes, and takes them away with everything that belongs to them."""

    def __init__(
        self,
        fleet: Fleet,
        kubelets: Kubelets,
        *,
        nodes: Reflector[Node],
        pods: Reflector[BoundPod],
        reader: Reader,
        writer: Writer,
    ) -> None:
        self._fleet = fleet
        self._kubelets = kubelets
        self._nodes = nodes
        self._pods = pods
        self._reader = reader
        self._writer = writer
        self._naming = asyncio.Lock()

    async def add(self, group: NodeGroup) -> tuple[str, ...]:
        """Register the nodes of a group; returns their names when they can be scheduled to."""
        async with self._naming:
            numbers = self._free_numbers(group)
            names = tuple(group.name(number) for number in numbers)
            self._fleet.departed.difference_update(names)
            version = group.kubelet_version or str(await self._reader.version())
            await _for_each(numbers, lambda number: self._register(group, number, version))
            await until_each(
                self._nodes, names, self._is_schedulable, otherwise=f"still has {NOT_READY_TAINT}"
            )
        return names

    async def remove(self, names: Iterable[str]) -> None:
        """Delete nodes, their leases and pods; returns when nothing is left of them.

        What waits for a finalizer is left to it.
        """
        leaving = [self._fleet.member(name).name for name in names]
        self._fleet.departed.update(leaving)
        await _for_each(leaving, self._delete)
        await until_each(
            self._nodes, leaving, lambda name: not self._fleet.get(name), otherwise="is not gone"
        )
        await until_each(self._pods, leaving, self._is_clear, otherwise="is gone but its pods stay")

    def _free_numbers(self, group: NodeGroup) -> list[int]:
        taken = self._nodes.objects
        free = (number for number in itertools.count(1) if group.name(number) not in taken)
        return list(itertools.islice(free, group.count))

    async def _register(self, group: NodeGroup, number: int, kubelet_version: str) -> None:
        behaviour = Behaviour(ready_after=group.ready_after, stops_after=group.stops_after)
        manifest = node_manifest(
            group,
            number,
            address=self._fleet.addresses.take(group.name(number)),
            kubelet_version=kubelet_version,
            boot_id=str(uuid.uuid4()),
            behaviour=encode_behaviour(behaviour),
        )
        await self._writer.create(NODES, manifest)

    def _is_schedulable(self, name: str) -> bool:
        member = self._fleet.get(name)
        return member is not None and not any(
            taint.key == NOT_READY_TAINT for taint in member.node.spec.taints
        )

    async def _delete(self, name: str) -> None:
        with suppress(NotFoundError):
            await self._writer.delete(NODES, name)
        with suppress(NotFoundError):
            await self._writer.delete(LEASES, name, namespace=LEASE_NAMESPACE)

    def _is_clear(self, name: str) -> bool:
        return all(pod.metadata.finalizers for pod in self._kubelets.pods_on(name))


async def _for_each(items: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Do something for each item, a few at once; raises the first error after ending the rest."""
    remaining = iter(items)

    async def work() -> None:
        for item in remaining:
            await do(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
