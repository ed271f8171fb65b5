"""The steps of a maintenance that a drain has not: work, Ready, health, steering, uncordon."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipkeeper.engine.action import Action, SelfEvident, StandingError, StepRecord
from shipkeeper.engine.journal import Phase
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import BlockedError, ShipkeeperError
from shipkeeper.kube.errors import ForbiddenError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.node import Node
from shipkeeper.nodes.comeback import (
    Residents,
    observe_residents,
    wait_for_node,
    wait_until_back,
)
from shipkeeper.nodes.cordon import put_in_service
from shipkeeper.nodes.eviction import Evictor
from shipkeeper.nodes.fleet.steering import steer_away, unsteer
from shipkeeper.nodes.health import Health
from shipkeeper.nodes.health_watch import HealthWatch
from shipkeeper.nodes.holding import Holding
from shipkeeper.nodes.options import MaintenanceOptions
from shipkeeper.nodes.plan import nodes_of
from shipkeeper.nodes.pod_host import PodRefusedError
from shipkeeper.nodes.steps import Daemons, drain_actions, missing_node, no_such_node, node_of
from shipkeeper.nodes.surge import SurgeOptions
from shipkeeper.nodes.surging import Surges
from shipkeeper.nodes.work import Before, WorkError, Works

_AT_ONCE = 32


class Update:
    """Do to the drained node what the maintenance is for."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        options: MaintenanceOptions,
        directory: Path,
        tell: Sink,
    ) -> None:
        self._reader = reader
        self._options = options
        self._works = Works(reader, writer, options, directory)
        self._seen: dict[str, Node] = {}
        self._tell = tell

    async def check(self, step: Step) -> Verdict | None:
        """The node must exist; whether it is Ready does not matter, it may be broken."""
        try:
            self._seen[step.id] = await self._reader.get(NODES, node_of(step))
        except NotFoundError:
            return no_such_node(step)
        return None

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Do the work; it is started once, however often we are killed."""
        node = self._seen.pop(step.id)
        # Work that was begun may have brought another Node of this name, which nobody cordoned.
        is_resumed = "info" in record.detail
        if not is_resumed:
            _require_cordoned(node)
        try:
            before = await self._before(node, record)
            finished = await self._works.do(
                node, before, lambda line: self._say(node.name, line), is_resumed=is_resumed
            )
            await record.write(Phase.BEFORE, reboots=finished.reboots)
        except ShipkeeperError as error:
            raise await self._failure(step, error) from error

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """If the host was to reboot, see another boot ID than before."""
        if record.detail["reboots"]:
            before = msgspec.convert(record.detail, Before).info.boot_id
            try:
                await wait_for_node(
                    self._reader,
                    node_of(step),
                    lambda node: node.status.node_info.boot_id != before,
                    self._options.ready_timeout,
                )
            except TimeoutError:
                message = f"its boot ID is still {before}"
                raise await self._failure(step, WorkError(message, reason="NotRebooted")) from None
        await self._works.clear_away(node_of(step))
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """What was done to the host stays done; only our way in goes.

        BlockedError while it is still being done: pods must not come back under it.
        """
        node = await self._node(step)
        if node is not None and record.phase is not Phase.AFTER:
            await self._require_quiet(node)
        await self._works.clear_away(node_of(step))
        return False

    async def _require_quiet(self, node: Node) -> None:
        try:
            goes_on = await self._works.goes_on(node)
        except (ForbiddenError, PodRefusedError) as error:
            raise BlockedError(
                f"it stays cordoned, as nobody can see whether its work runs: {error.message}",
                reason="WorkUnknown",
                hint=error.hint
                or "allow it, or see on the host that the work is over and "
                "uncordon the node by hand",
            ) from error
        if goes_on:
            raise BlockedError(
                "its work still runs, so it stays cordoned",
                reason="WorkGoesOn",
                hint="wait for the end of the work, or end it on the host; then abort again",
            )

    async def _node(self, step: Step) -> Node | None:
        try:
            return await self._reader.get(NODES, node_of(step))
        except NotFoundError:
            return None

    async def _before(self, node: Node, record: StepRecord) -> Before:
        """The node as the first attempt found it."""
        if "info" not in record.detail:
            residents = await observe_residents(self._reader, node.name)
            await record.write(
                Phase.BEFORE,
                info=msgspec.to_builtins(node.status.node_info),
                residents=msgspec.to_builtins(residents),
                at=datetime.now(UTC).isoformat(),
            )
        return msgspec.convert(record.detail, Before)

    async def _failure(self, step: Step, error: ShipkeeperError) -> ShipkeeperError:
        """The error to end with: a node that is not fit for pods must not be given back to them."""
        try:
            unfit = await self._unfit(step) if step.rollback else ""
            await self._works.clear_away(node_of(step))
        except ShipkeeperError as trouble:
            self._say(node_of(step), f"cannot clear up after the work: {trouble.message}")
            unfit = "it is not known whether it is Ready"
        if not step.rollback or not unfit:
            return error
        return StandingError(
            f"{error.message}; {unfit}, so it is not returned",
            reason=error.reason,
            hint=error.hint,
        )

    async def _unfit(self, step: Step) -> str:
        """Why no pods should come to a node; empty if they may."""
        node = await self._reader.get(NODES, node_of(step))
        if not node.is_ready:
            return "it is not Ready"
        return "its work still runs" if await self._works.goes_on(node) else ""

    def _say(self, node: str, line: str) -> None:
        self._tell(Note(f"{node}: {line}"))


def _require_cordoned(node: Node) -> None:
    """BlockedError if pods may have come back since the drain, or the node is another by now."""
    if not node.spec.unschedulable:
        raise BlockedError(
            f"node {node.name} was uncordoned after it was drained, or is a new one of this name",
            reason="NotCordoned",
            hint="nothing was done to it; run the same command again",
        )


class Ready(SelfEvident):
    """Wait for the node to come back."""

    def __init__(self, reader: Reader, timeout: float) -> None:
        self._reader = reader
        self._timeout = timeout

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Wait until pods can run there again; NodeNotReadyError when it takes too long."""
        worked = record.others[step.after[0]].detail
        await wait_until_back(
            self._reader,
            node_of(step),
            msgspec.convert(worked.get("residents", {}), Residents),
            rebooted=bool(worked.get("reboots")),
            timeout=self._timeout,
        )


class Gate(SelfEvident):
    """Let the next nodes be begun only while the cluster is as healthy as before the run."""

    def __init__(self, watch: HealthWatch, before: Health, tell: Sink) -> None:
        self._watch = watch
        self._before = before
        self._tell = tell

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Wait until health holds for the soak time; BlockedError when it does not come back."""
        done = [id_.partition("/")[0] for id_ in step.after]
        verdicts = await self._watch.hold(self._before, done, self._say)
        if verdicts:
            raise BlockedError(
                "; ".join(f"{each.target}: {each.message}" for each in verdicts),
                reason=verdicts[0].reason,
                hint=verdicts[0].remedy,
            )

    def _say(self, verdicts: tuple[Verdict, ...]) -> None:
        for each in verdicts:
            self._tell(Note(f"waiting: {each.target}: {each.message}"))


class Steer:
    """Let pods prefer nodes that are done to those that are not."""

    def __init__(self, reader: Reader, writer: Writer, nodes: tuple[str, ...], run: str) -> None:
        self._reader = reader
        self._writer = writer
        self._nodes = nodes
        self._run = run

    async def check(self, step: Step) -> Verdict | None:
        """A preference hurts nobody."""
        return None

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Put the soft taint on every node that is to be done."""
        await self._for_each(steer_away)

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """The patches' answers showed it."""
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Take away what is left of the taints."""
        await self._for_each(unsteer)
        return True

    async def _for_each(self, change: Callable[..., Awaitable[None]]) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def change_one(name: str) -> None:
            async with slots:
                await change(self._reader, self._writer, name, run=self._run)

        async with asyncio.TaskGroup() as group:
            for name in self._nodes:
                group.create_task(change_one(name))


class Unsteer(Steer):
    """Avoid no node any more, whatever became of the run."""

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Take away what is left of the taints."""
        await self._for_each(unsteer)

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """There is nothing to take back."""
        return False


class Uncordon:
    """Let new pods in again, if it was us who kept them out."""

    def __init__(self, reader: Reader, writer: Writer, owner: str, holding: Holding) -> None:
        self._reader = reader
        self._writer = writer
        self._owner = owner
        self._holding = holding

    async def check(self, step: Step) -> Verdict | None:
        """A node that is gone needs no uncordon, but the user should know."""
        return await missing_node(self._reader, step)

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Uncordon the node if the cordon is ours, let pods prefer it, leave it to other tools."""
        await put_in_service(self._reader, self._writer, node_of(step), owner=self._owner)
        await self._holding.give_back(node_of(step))

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """The patch's answer showed it; a cordon that stands now is somebody else's."""
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """A node in service is left in service."""
        return False


def maintenance_actions(
    reader: Reader,
    writer: Writer,
    evictor: Evictor,
    plan: Plan,
    options: MaintenanceOptions,
    owner: str,
    surges: Surges,
    tell: Sink,
    directory: Path,
    holding: Holding,
) -> Mapping[str, Action]:
    """What the steps of `plan_fleet` are done by; `directory` keeps the commands' records."""
    run = directory.name
    nodes = nodes_of(plan)
    # A DaemonSet has one pod a node, whatever the number of its pods.
    no_surges = Surges(reader, writer, SurgeOptions(), run)
    return {
        **drain_actions(reader, writer, evictor, options.drain, owner, surges, tell, holding),
        "daemons": Daemons(reader, writer, evictor, options.drain, no_surges, tell, run),
        "steer": Steer(reader, writer, nodes, run),
        "update": Update(reader, writer, options, directory, tell),
        "ready": Ready(reader, options.ready_timeout),
        "uncordon": Uncordon(reader, writer, owner, holding),
        "unsteer": Unsteer(reader, writer, nodes, run),
    }
