"""A run put together: the actions of its steps, and all that it heeds while it goes on."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import msgspec

from shipkeeper.engine.action import Action
from shipkeeper.engine.brake import Brake
from shipkeeper.engine.journal import Entry
from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Sink
from shipkeeper.engine.run import Circumstances, Run
from shipkeeper.engine.session import Session
from shipkeeper.kube.access import is_permitted
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.following import FollowingReader, NotingWriter
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.steady import SteadyConnection
from shipkeeper.kube.writer import Writer
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.node import Node
from shipkeeper.nodes.eviction import Evictor
from shipkeeper.nodes.fleet.observe import Look, look
from shipkeeper.nodes.fleet.review import FleetReviewer
from shipkeeper.nodes.fleet.steps import Gate, maintenance_actions
from shipkeeper.nodes.fleet.volume_steps import volume_actions
from shipkeeper.nodes.gate import Gates
from shipkeeper.nodes.health_watch import HealthWatch, health_before
from shipkeeper.nodes.holding import Holding
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, drain_options
from shipkeeper.nodes.permission import CONDITIONS
from shipkeeper.nodes.signals import Signals, signalling
from shipkeeper.nodes.steps import drain_actions
from shipkeeper.nodes.surging import Surges
from shipkeeper.nodes.volume_watch import VolumeWatch

Actions = Callable[[Reader, Writer, Sink, Mapping[str, Action]], Mapping[str, Action]]


@asynccontextmanager
async def assembled(
    connection: Connection,
    journal: Ledger,
    session: Session,
    sink: Sink,
    *,
    is_aborted: bool = False,
    more: Actions | None = None,
    look: Look = look,
) -> AsyncGenerator[Run]:
    """A run, ready to be executed or aborted; what it watches is watched for as long as it lasts.

    `more` takes the actions of a maintenance, and has those of steps that a procedure on top of it
    adds, or does in another way; by `look` a maintenance sees the whole cluster anew.

    Before its end is written down, nodes show nothing of it any more, nothing is scaled for it, and
    other tools may go on.
    """
    async with AsyncExitStack() as stack:
        assembly = _Assembly(connection, journal, session, stack, more, look)
        yield await assembly.make(sink, is_aborted=is_aborted)


class _Assembly:
    def __init__(
        self,
        connection: Connection,
        journal: Ledger,
        session: Session,
        stack: AsyncExitStack,
        more: Actions | None,
        look: Look,
    ) -> None:
        # Requests outlast the API server's absence, and change nothing without the lock.
        self._connection = SteadyConnection(connection, session.tenure)
        self._reader, self._writer = Reader(self._connection), Writer(self._connection)
        self._journal = journal
        self._session = session
        self._id, self._plan = session.run.id, session.run.plan
        self._options = options_of(self._plan)
        self._drain = drain_options(self._options)
        self._stack = stack
        self._more = more
        self._look = look

    async def make(self, sink: Sink, *, is_aborted: bool) -> Run:
        nodes = Reflector(self._reader, NODES)
        kind = await self._reader.budget_resource()
        budgets = await self._stack.enter_async_context(Reflector(self._reader, kind))
        if isinstance(self._options, MaintenanceOptions):
            # Many nodes, and many questions about each: one watch answers them all.
            await self._stack.enter_async_context(nodes)
            self._reader = FollowingReader(self._connection, nodes, NODES)
            self._reader.answer_lists(kind, budgets)
            self._writer = NotingWriter(self._connection, self._reader)
        gates = Gates(budgets, empty_matches_all=kind.version == "v1")
        signals, holding = await self._signals(sink), await self._holding(sink)
        surges = Surges(self._reader, self._writer, self._drain.surge, self._id)

        async def settle() -> None:
            await surges.end_all()
            await (signals.give_up() if is_aborted else signals.settle())
            await holding.release()

        if not is_aborted:
            await holding.begin()
        if isinstance(self._options, MaintenanceOptions):
            actions = await self._maintenance(self._options, surges, signals, holding, gates)
            if self._more is not None:
                actions = self._more(self._reader, self._writer, signals, actions)
            heeding = await self._circumstances(self._options, nodes, budgets, settle)
        else:
            actions = await self._draining(surges, signals, holding, gates)
            heeding = Circumstances(permit=self._session.tenure.firm, settle=settle)
        return Run(self._id, self._plan, actions, self._journal, signals, heeding)

    async def _signals(self, sink: Sink) -> Signals:
        entries = self._journal.entries(self._id)
        signals = await self._stack.enter_async_context(
            signalling(self._reader, self._writer, self._plan, self._id, entries, sink)
        )
        if not await is_permitted(self._connection, CONDITIONS):
            signals.forbid("not allowed to patch nodes/status")
        return signals

    async def _holding(self, sink: Sink) -> Holding:
        ignore = self._drain.ignore_holds
        holding = Holding(self._reader, self._writer, self._id, sink, ignore=ignore)
        return await self._stack.enter_async_context(holding)

    async def _evictor(self, gates: Gates) -> Evictor:
        version = await self._reader.eviction_version()
        return Evictor(self._writer, gates, self._drain, version)

    @property
    def _owner(self) -> str:
        return f"{self._plan.procedure}/{self._id}"

    async def _draining(
        self, surges: Surges, tell: Sink, holding: Holding, gates: Gates
    ) -> Mapping[str, Action]:
        evictor = await self._evictor(gates)
        return drain_actions(
            self._reader, self._writer, evictor, self._drain, self._owner, surges, tell, holding
        )

    async def _maintenance(
        self,
        options: MaintenanceOptions,
        surges: Surges,
        tell: Sink,
        holding: Holding,
        gates: Gates,
    ) -> Mapping[str, Action]:
        actions = maintenance_actions(
            self._reader,
            self._writer,
            await self._evictor(gates),
            self._plan,
            options,
            self._owner,
            surges,
            tell,
            self._session.directory,
            holding,
        )
        kinds = {step.action for step in self._plan.steps}
        if "gate" in kinds:
            watch = await self._stack.enter_async_context(HealthWatch(self._reader, options.health))
            before = await health_before(watch, self._journal, self._id)
            actions = {**actions, "gate": Gate(watch, before, tell)}
        if "detach" in kinds:
            recorded = partial(_entries_of, self._journal, self._id)
            volumes = await self._stack.enter_async_context(VolumeWatch(self._reader, recorded))
            actions = {**actions, **volume_actions(volumes, options.volumes, tell)}
        return actions

    async def _circumstances(
        self,
        options: MaintenanceOptions,
        nodes: Reflector[Node],
        budgets: Reflector[PodDisruptionBudget],
        settle: Callable[[], Awaitable[None]],
    ) -> Circumstances:
        return Circumstances(
            brake=Brake(self._session.directory, partial(_is_closed, options)),
            permit=self._session.tenure.firm,
            reviewer=await self._reviewer(options, nodes, budgets),
            settle=settle,
        )

    async def _reviewer(
        self,
        options: MaintenanceOptions,
        nodes: Reflector[Node],
        budgets: Reflector[PodDisruptionBudget],
    ) -> FleetReviewer | None:
        """Only a plan that is a maintenance and nothing else can be made anew as one."""
        if self._plan.procedure != "maintain":
            return None
        began_with, is_resumed = self._session.run.began_with, self._session.is_resumed
        review = FleetReviewer(
            self._reader,
            nodes,
            budgets,
            began_with,
            options,
            is_resumed=is_resumed,
            look=self._look,
        )
        return await self._stack.enter_async_context(review)


def _entries_of(journal: Ledger, run: str, step: str) -> list[Entry]:
    return journal.entries(run, step=step)


def _is_closed(options: MaintenanceOptions) -> bool:
    """Whether no maintenance window is open now."""
    return not options.windows.is_open(datetime.now(UTC))


def options_of(plan: Plan) -> DrainOptions | MaintenanceOptions:
    """What was asked for, read from a plan."""
    kind = DrainOptions if plan.procedure == "drain" else MaintenanceOptions
    return msgspec.convert(plan.request["options"], kind)
