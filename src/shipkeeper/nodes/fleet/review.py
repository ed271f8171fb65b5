"""Watching the world around a maintenance, to plan anew what has not begun when it changes."""

import asyncio
from collections.abc import Callable, Set
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Self

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.review import Revision
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.changes import Change, Modified
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.node import Node
from shipkeeper.nodes.fleet.observe import FleetState, Look, Whole, fleet_of, look
from shipkeeper.nodes.fleet.plan import leeway
from shipkeeper.nodes.fleet.revision import revise
from shipkeeper.nodes.fleet.surge_room import admit_surges
from shipkeeper.nodes.options import MaintenanceOptions
from shipkeeper.nodes.plan import nodes_of
from shipkeeper.nodes.surging import observe_surge

# Pods come and go all the time. Whether they still fit is looked at after so many seconds, or after
# so many times as long as looking takes.
_LOOK_EVERY = 30.0
_LOOK_SHARE = 20


class FleetReviewer:
    """Heeds the nodes and budgets that are followed, for the length of its context.

    A node or a budget that came, went or was changed by somebody holds the run back until the plan
    was looked at again; pods are looked at from time to time, beside the run.
    """

    def __init__(
        self,
        reader: Reader,
        nodes: Reflector[Node],
        budgets: Reflector[PodDisruptionBudget],
        base: Plan,
        options: MaintenanceOptions,
        *,
        is_resumed: bool,
        look: Look = look,
    ) -> None:
        self._look = look
        self._reader = reader
        self._nodes = nodes
        self._budgets = budgets
        self._base = base
        self._options = options
        self._changed = asyncio.Event()
        self._pause = _LOOK_EVERY
        self._stack = AsyncExitStack()
        if is_resumed:
            self._changed.set()

    async def __aenter__(self) -> Self:
        """Begin to heed what is followed."""
        self._stack.callback(self._nodes.subscribe(self._noting(_of_node)))
        self._stack.callback(self._budgets.subscribe(self._noting(_of_budget)))
        return self

    async def __aexit__(self, *failure: Any) -> None:
        """Heed it no more."""
        await self._stack.aclose()

    @property
    def has_seen_change(self) -> bool:
        """Whether a node or a budget is not as it was at the last look."""
        return self._changed.is_set()

    async def due(self) -> None:
        """Wait for a change, or until it is time to look at the pods."""
        try:
            async with asyncio.timeout(self._pause):
                await self._changed.wait()
        except TimeoutError:
            return

    async def review(self, plan: Plan, begun: Set[str]) -> Revision | None:
        """Observe the fleet and plan anew what has not begun."""
        began = asyncio.get_running_loop().time()
        try:
            return await self._review(plan, begun)
        except ShipkeeperError:
            # The API server is away, or turns us down: the plan stands, and is looked at later.
            return None
        finally:
            took = asyncio.get_running_loop().time() - began
            self._pause = max(_LOOK_EVERY, took * _LOOK_SHARE)

    async def _review(self, plan: Plan, begun: Set[str]) -> Revision | None:
        # A change that comes while we look asks for another look.
        self._changed.clear()
        async with self._look(self._reader) as whole:
            state = await self._state(whole)
            return await asyncio.to_thread(
                revise, self._base, plan, begun, state, self._options, datetime.now(UTC)
            )

    async def _state(self, whole: Whole) -> FleetState:
        names = set(nodes_of(self._base))
        nodes = tuple(node for node in whole.cluster if node.name in names)
        drain = self._options.drain
        state = fleet_of(whole, nodes, drain.pod_selector)
        if drain.surge.enabled:
            state, _ = admit_surges(state, await observe_surge(self._reader), drain.surge)
        return state

    def _noting(self, essence: Callable[[Any], object]) -> Callable[[Change[Any]], None]:
        """A callback that notes changes of what matters about an object."""

        def note(change: Change[KubeObject]) -> None:
            is_same = isinstance(change, Modified) and (
                essence(change.old) == essence(change.object)
            )
            if not is_same:
                self._changed.set()

        return note


def _of_node(node: Node) -> object:
    """What a plan goes by; what a run itself changes of a node is not in it."""
    return (node.uid, node.metadata.labels, node.status.allocatable)


def _of_budget(budget: PodDisruptionBudget) -> object:
    """What a budget asks for, and how many pods that lets be missing."""
    return (budget.uid, budget.spec, leeway(budget))
