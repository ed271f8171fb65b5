"""Cordoning with a memory: who cordoned a node stands on the node, and only they uncordon it.

A cordon changes `spec.unschedulable` and one annotation, in one patch that fails if the node
changed meanwhile; nothing else on the node is touched. A node that somebody else cordoned carries
no annotation of ours and stays as it is.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from shipkeeper.kube.errors import ConflictError, UnreachableError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.node import Node
from shipkeeper.nodes.filters import DAEMONS_TAINT
from shipkeeper.nodes.fleet.steering import PENDING
from shipkeeper.nodes.taint import RunTaint, change_node, removals

OWNER_ANNOTATION = "shipkeeper.dev/cordoned-by"
_POINTER = OWNER_ANNOTATION.replace("/", "~1")
# DaemonSets start no pods on such a node; see nodes/daemons.py.
NO_DAEMONS = RunTaint(DAEMONS_TAINT, "NoSchedule")

_MAINTENANCE = "maintain/"
_DELAYS = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds


def owner_of(node: Node) -> str:
    """Who of ours cordoned a node (`maintain/RUN`, `drain/RUN`, `cordon`); empty for others."""
    return node.metadata.annotations.get(OWNER_ANNOTATION, "") if node.spec.unschedulable else ""


def is_left_behind(node: Node) -> bool:
    """Whether a maintenance cordoned a node and failed there: the next one takes it over.

    A drain leaves its node cordoned on purpose, and for whoever drained it.
    """
    return owner_of(node).startswith(_MAINTENANCE)


async def cordon(reader: Reader, writer: Writer, name: str, *, owner: str) -> bool:
    """Cordon a node and remember the owner on it; False if it was cordoned already.

    A maintenance takes over what an earlier one left behind; hold the cluster's lock for that.
    """
    takes_over = owner.startswith(_MAINTENANCE)

    def patch(node: Node) -> dict[str, Any] | None:
        is_free = takes_over and is_left_behind(node) and owner_of(node) != owner
        if node.spec.unschedulable and not is_free:
            return None
        return _patch(node, unschedulable=True, owner=owner)

    return await _change(reader, writer, name, patch)


async def uncordon(reader: Reader, writer: Writer, name: str, *, owner: str = "") -> bool:
    """Uncordon a node, with `owner` only if that owner cordoned it; False if nothing changed.

    DaemonSets may start their pods there again, whoever cordoned it.
    """
    await NO_DAEMONS.take(reader, writer, name, run=owner.rpartition("/")[2])

    def patch(node: Node) -> dict[str, Any] | None:
        is_marked = OWNER_ANNOTATION in node.metadata.annotations
        if not node.spec.unschedulable and not is_marked:
            return None
        if owner and owner_of(node) != owner:
            return None
        return _patch(node, unschedulable=None, owner=None)

    return await _change(reader, writer, name, patch)


async def put_in_service(reader: Reader, writer: Writer, name: str, *, owner: str) -> None:
    """Take a run's taints off a node, and its cordon if it is the owner's, all in one change."""
    run = owner.rpartition("/")[2]

    def operations(node: Node) -> list[dict[str, Any]]:
        found = removals(node, (NO_DAEMONS, PENDING), run)
        if owner_of(node) == owner:
            mark = f"/metadata/annotations/{_POINTER}"
            found += [
                {"op": "test", "path": mark, "value": owner},
                {"op": "remove", "path": mark},
                {"op": "remove", "path": "/spec/unschedulable"},
            ]
        return found

    await change_node(reader, writer, name, operations)


async def _change(
    reader: Reader, writer: Writer, name: str, patch_for: Callable[[Node], dict[str, Any] | None]
) -> bool:
    """Patch the node as it is now; after a conflict or a lost answer read it again first."""
    may_be_done = False
    for delay in (*_DELAYS, None):
        node = await reader.get(NODES, name)
        patch = patch_for(node)
        if patch is None:
            return may_be_done
        try:
            await writer.patch(NODES, name, patch)
        except (ConflictError, UnreachableError) as error:
            if delay is None:
                raise
            may_be_done = isinstance(error, UnreachableError)
            await asyncio.sleep(delay)
        else:
            return True
    return False


def _patch(node: Node, *, unschedulable: bool | None, owner: str | None) -> dict[str, Any]:
    return {
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "annotations": {OWNER_ANNOTATION: owner},
        },
        "spec": {"unschedulable": unschedulable},
    }
