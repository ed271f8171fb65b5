"""A drain as the API server would take it: every request is sent with dryRun=All.

Nothing is persisted, and so nothing is waited for.
"""

import asyncio
from collections.abc import Mapping

from shipkeeper.engine.plan import Item, Plan, Step
from shipkeeper.engine.progress import ItemChanged, Sink, StepDone, StepStarted
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.eviction import (
    Accepted,
    Gone,
    ManyBudgets,
    OverBudget,
    Replaced,
    delete,
    evict,
)
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.cordon import cordon
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.plan import PodAction, is_surging

_AT_ONCE = 64


async def rehearse_drain(
    connection: Connection, state: ClusterState, plan: Plan, options: DrainOptions, tell: Sink
) -> tuple[Verdict, ...]:
    """Send what the plan would send, once; the verdicts are about pods that are turned down now."""
    return await _Rehearsal(connection, state, options, tell).play(plan)


class _Rehearsal:
    def __init__(
        self, connection: Connection, state: ClusterState, options: DrainOptions, tell: Sink
    ) -> None:
        self._reader = Reader(connection)
        self._writer = Writer(connection, dry_run=True)
        self._version = state.eviction_version
        self._pods: Mapping[str, Pod] = {pod.uid: pod for pod in state.pods}
        self._options = options
        self._tell = tell
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def play(self, plan: Plan) -> tuple[Verdict, ...]:
        verdicts: list[Verdict] = []
        for step in plan.steps:
            self._tell(StepStarted(step))
            if step.action == "cordon":
                await cordon(self._reader, self._writer, _node_of(step), owner=plan.procedure)
            else:
                verdicts += await self._evict(step)
            self._tell(StepDone(step))
        return tuple(verdicts)

    async def _evict(self, step: Step) -> list[Verdict]:
        found = await asyncio.gather(*(self._ask(step, item) for item in step.items))
        return [verdict for verdict in found if verdict is not None]

    async def _ask(self, step: Step, item: Item) -> Verdict | None:
        if item.action not in (PodAction.EVICT, PodAction.DELETE):
            return None
        pod, grace = self._pods[item.uid], self._options.grace_period_seconds
        self._tell(ItemChanged(step.id, item.key, "Evicting"))
        async with self._slots:
            if item.action == PodAction.DELETE:
                await delete(self._writer, pod, grace_period_seconds=grace)
                return None
            outcome = await evict(
                self._writer, pod, version=self._version, grace_period_seconds=grace
            )
        if isinstance(outcome, Accepted | Gone | Replaced):
            return None
        if isinstance(outcome, OverBudget) and is_surging(item):
            return None  # its Deployment is scaled before
        self._tell(ItemChanged(step.id, item.key, "Waiting", outcome.message))
        return Verdict(
            target=f"pod/{item.key}",
            effect=Effect.BLOCK if isinstance(outcome, ManyBudgets) else Effect.WAIT,
            reason=type(outcome).__name__,
            message=outcome.message,
        )


def _node_of(step: Step) -> str:
    return step.target.removeprefix("node/")
