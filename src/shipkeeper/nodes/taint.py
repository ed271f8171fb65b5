"""Taints with a memory: their value is the run that set them, and only for it they are taken away.

All other taints stay as they are, byte by byte.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from shipkeeper.kube.errors import ConflictError, InvalidError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import JSON_PATCH, Writer
from shipkeeper.model.node import Node

_ATTEMPTS = 6
_FIRST_PAUSE = 0.1  # seconds


class RunTaint(msgspec.Struct, frozen=True):
    """A taint that runs set; a node bears one of a key at a time."""

    key: str
    effect: str

    def is_on(self, node: Node, run: str = "") -> bool:
        """Whether a run's taint, or any run's, is on a node."""
        return any(each.key == self.key and run in ("", each.value) for each in node.spec.taints)

    async def put(self, reader: Reader, writer: Writer, name: str, *, run: str) -> None:
        """Put a run's taint on a node, unless there is one; pass over a node that is gone."""

        def addition(node: Node) -> list[dict[str, Any]]:
            if self.is_on(node):
                return []
            taint = {"key": self.key, "value": run, "effect": self.effect}
            if not node.spec.taints:
                version = node.metadata.resource_version
                test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
                return [test, {"op": "add", "path": "/spec/taints", "value": [taint]}]
            return [{"op": "add", "path": "/spec/taints/-", "value": taint}]

        await change_node(reader, writer, name, addition)

    async def take(self, reader: Reader, writer: Writer, name: str, *, run: str = "") -> None:
        """Take a run's taint, or any run's, away from a node, if it is there."""

        await change_node(reader, writer, name, lambda node: removals(node, (self,), run))


def removals(node: Node, taints: Iterable[RunTaint], run: str) -> list[dict[str, Any]]:
    """The JSON patch that takes a run's taints, or with no run any run's, off a node."""
    keys = {each.key for each in taints}
    numbers = [
        number
        for number, each in enumerate(node.spec.taints)
        if each.key in keys and run in ("", each.value)
    ]
    operations: list[dict[str, Any]] = []
    # The last first: what is taken out moves up what comes behind it.
    for number in reversed(numbers):
        path = f"/spec/taints/{number}"
        operations += [
            {"op": "test", "path": f"{path}/key", "value": node.spec.taints[number].key},
            {"op": "remove", "path": path},
        ]
    return operations


async def change_node(
    reader: Reader,
    writer: Writer,
    name: str,
    operations_for: Callable[[Node], list[dict[str, Any]]],
) -> None:
    """Change the node as it was read; if what the operations test changed meanwhile, again.

    A node that is gone is passed over.
    """
    for attempt in range(_ATTEMPTS):
        try:
            node = await reader.get(NODES, name)
            operations = operations_for(node)
            if operations:
                await writer.patch(NODES, name, operations, content_type=JSON_PATCH)
        except NotFoundError:
            return
        except (ConflictError, InvalidError):
            # A failed test is answered as invalid, a change in between as a conflict.
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(_FIRST_PAUSE * 2**attempt)
        else:
            return
