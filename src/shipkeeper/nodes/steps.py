"""The steps of a drain, each checked against the live cluster and observed."""

from collections.abc import Mapping
from datetime import UTC, datetime

from shipkeeper.engine.action import Action, StepRecord
from shipkeeper.engine.journal import Phase
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import Sink
from shipkeeper.engine.verdict import Effect, Verdict, blocking
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.nodes.cordon import NO_DAEMONS, cordon, uncordon
from shipkeeper.nodes.daemons import plan_daemons
from shipkeeper.nodes.deadline import Deadline
from shipkeeper.nodes.drain import Judge, NodeDrain
from shipkeeper.nodes.eviction import Evictor
from shipkeeper.nodes.holding import Holding
from shipkeeper.nodes.holds import judge_holds, judge_node
from shipkeeper.nodes.observe import ClusterState, NodeNotFoundError, observe, observe_nodes
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.plan import PodAction, plan_items
from shipkeeper.nodes.surge import with_surges
from shipkeeper.nodes.surging import Surges


class Cordon:
    """Refuse new pods, and remember on the node that it was us."""

    def __init__(
        self, reader: Reader, writer: Writer, owner: str, holding: Holding, *, ignore_holds: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._owner = owner
        self._holding = holding
        self._ignore_holds = ignore_holds

    async def check(self, step: Step) -> Verdict | None:
        """A node that is gone, or that another tool works on by now, is not cordoned."""
        try:
            node = await self._reader.get(NODES, node_of(step))
        except NotFoundError:
            return no_such_node(step)
        return next(iter(blocking(judge_node(node, ignore=self._ignore_holds))), None)

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Hold other tools off, and cordon the node unless it is cordoned already."""
        await self._holding.take(node_of(step))
        await cordon(self._reader, self._writer, node_of(step), owner=self._owner)

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """See that the node refuses new pods."""
        node = await self._reader.get(NODES, node_of(step))
        if node.spec.unschedulable:
            return None
        return step_verdict(step, "NotCordoned", "somebody uncordoned it at once")

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Uncordon the node if it was us who cordoned it, and leave it to other tools."""
        undone = await uncordon(self._reader, self._writer, node_of(step), owner=self._owner)
        await self._holding.give_back(node_of(step))
        return undone


class Drain:
    """Move every pod that must go."""

    judge: Judge = staticmethod(plan_items)

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        evictor: Evictor,
        options: DrainOptions,
        surges: Surges,
        tell: Sink,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._evictor = evictor
        self._options = options
        self._surges = surges
        self._tell = tell
        self._checked: dict[str, ClusterState] = {}

    async def check(self, step: Step) -> Verdict | None:
        """Nothing is evicted while one pod of the node is refused, or new pods may still come."""
        try:
            state = await self._observe(step)
        except NodeNotFoundError:
            return no_such_node(step)
        if not state.nodes[0].spec.unschedulable:
            return step_verdict(step, "NotCordoned", "somebody uncordoned it", Effect.BLOCK)
        pods = state.pods_on(node_of(step))
        holds = judge_holds(
            state.nodes[0],
            pods,
            state.outside,
            datetime.now(UTC),
            ignore=self._options.ignore_holds,
        )
        if held := blocking(holds):
            return held[0]
        items = self.judge(pods, state, self._options, datetime.now(UTC))
        refused = (item for item in items if item.action == PodAction.REFUSE)
        verdicts = (each for item in refused for each in item.verdicts if each.blocks)
        self._checked[step.id] = state
        return next(verdicts, None)

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Evict, wait, look again, until the node is empty of what must go."""
        state = self._checked.pop(step.id)
        deadline = Deadline(self._writer, self._options, await self._began(record))
        drain = NodeDrain(
            step,
            self._reader,
            self._evictor,
            state,
            self._options,
            self.judge,
            deadline,
            record,
            self._tell,
        )
        async with self._surges.during_drain(state, at_most=deadline.seconds_left):
            await drain.run()

    async def _began(self, record: StepRecord) -> datetime:
        """When this drain was first begun; written down where a deadline counts from it."""
        if not self._options.deadline:
            return datetime.now(UTC)
        if "began" not in record.detail:
            await record.write(Phase.BEFORE, began=datetime.now(UTC).isoformat())
        return datetime.fromisoformat(record.detail["began"])

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """The drain itself ends only on a fresh list without a pod that must go."""
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Pods that moved stay where they are."""
        return False

    async def _observe(self, step: Step) -> ClusterState:
        nodes = await observe_nodes(self._reader, (node_of(step),), "")
        selector = self._options.pod_selector
        state = await observe(self._reader, nodes, pod_selector=selector, at_hand=True)
        return with_surges(state, await self._surges.candidates(state))


class Daemons(Drain):
    """End the DaemonSet pods of a node that everybody else has left, and start none again."""

    judge: Judge = staticmethod(plan_daemons)

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        evictor: Evictor,
        options: DrainOptions,
        surges: Surges,
        tell: Sink,
        run: str,
    ) -> None:
        super().__init__(reader, writer, evictor, options, surges, tell)
        self._run = run

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Put up the taint first: what is ended before would be started again."""
        await NO_DAEMONS.put(self._reader, self._writer, node_of(step), run=self._run)
        await super().perform(step, record)

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Let DaemonSets start their pods again."""
        await NO_DAEMONS.take(self._reader, self._writer, node_of(step), run=self._run)
        return False


def drain_actions(
    reader: Reader,
    writer: Writer,
    evictor: Evictor,
    options: DrainOptions,
    owner: str,
    surges: Surges,
    tell: Sink,
    holding: Holding,
) -> Mapping[str, Action]:
    """What the steps of `plan_drain` are done by."""
    ignore = options.ignore_holds
    return {
        "cordon": Cordon(reader, writer, owner, holding, ignore_holds=ignore),
        "drain": Drain(reader, writer, evictor, options, surges, tell),
    }


async def missing_node(reader: Reader, step: Step) -> Verdict | None:
    """The verdict on a step whose node is gone; None if it is there."""
    try:
        await reader.get(NODES, node_of(step))
    except NotFoundError:
        return no_such_node(step)
    return None


def no_such_node(step: Step) -> Verdict:
    """The verdict on a step whose node is gone."""
    return step_verdict(step, "NodeNotFound", "there is no such node any more", Effect.BLOCK)


def node_of(step: Step) -> str:
    """The name of the node that a step is about."""
    return step.target.removeprefix("node/")


def step_verdict(step: Step, reason: str, message: str, effect: Effect = Effect.WARN) -> Verdict:
    """A verdict on the target of a step."""
    return Verdict(target=step.target, effect=effect, reason=reason, message=message)
