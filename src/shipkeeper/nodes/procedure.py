"""Drain and maintenance from end to end: observe, plan, run, and go on or back after a stop."""

import asyncio
from datetime import UTC, datetime
from statistics import median

import msgspec

from shipkeeper.engine.agreement import require_agreed
from shipkeeper.engine.announce import announcing
from shipkeeper.engine.journal import Journal, Outcome, RunRecord
from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.onlooking import overheard
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Sink
from shipkeeper.engine.run import RunResult
from shipkeeper.engine.session import (
    Session,
    drive,
    open_session,
    require_resumable,
    require_same_cluster,
)
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import UsageError
from shipkeeper.kube.access import require_permissions
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.nodes.assembly import assembled, options_of
from shipkeeper.nodes.fleet.forecast import Forecast, Move, forecast_moves
from shipkeeper.nodes.fleet.observe import (
    FleetState,
    Look,
    Whole,
    fleet_of,
    look,
    observe_whole,
)
from shipkeeper.nodes.fleet.pace import observed_pace
from shipkeeper.nodes.fleet.plan import plan_fleet
from shipkeeper.nodes.fleet.surge_room import admit_surges
from shipkeeper.nodes.gist import gist_of
from shipkeeper.nodes.observe import ClusterState, observe, observe_nodes, observe_outside
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, drain_options
from shipkeeper.nodes.permission import permissions_of
from shipkeeper.nodes.plan import nodes_of, plan_drain
from shipkeeper.nodes.surging import observe_surge
from shipkeeper.nodes.work import require_work

_TRIPS = 5
PROCEDURES = frozenset({"drain", "maintain"})


async def prepare(
    connection: Connection,
    names: tuple[str, ...],
    selector: str,
    options: DrainOptions | MaintenanceOptions,
    whole: Whole | None = None,
) -> tuple[ClusterState, Plan]:
    """Observe the nodes and plan what was asked for; writes nothing.

    The `whole` cluster is read, too, where that matters and it was not a moment ago.
    """
    reader = Reader(connection)
    drain = drain_options(options)
    nodes = await observe_nodes(reader, names, selector)
    verdicts: tuple[Verdict, ...] = ()
    if drain.surge.enabled or isinstance(options, MaintenanceOptions):
        state = fleet_of(whole or await observe_whole(reader), nodes, drain.pod_selector)
        if drain.surge.enabled:
            state, verdicts = admit_surges(state, await observe_surge(reader), drain.surge)
    else:
        state = await observe(reader, nodes, pod_selector=drain.pod_selector)
    state = msgspec.structs.replace(state, outside=await observe_outside(reader, state))
    # In a thread, as a rehearsal is: a large fleet takes seconds, and the console serves others.
    plan = await asyncio.to_thread(_plan, state, options)
    return state, msgspec.structs.replace(plan, verdicts=(*plan.verdicts, *verdicts))


def _plan(state: ClusterState, options: DrainOptions | MaintenanceOptions) -> Plan:
    if isinstance(options, MaintenanceOptions):
        return plan_fleet(_as_fleet(state), options, datetime.now(UTC))
    return plan_drain(state, options, datetime.now(UTC))


def _as_fleet(state: ClusterState) -> FleetState:
    if not isinstance(state, FleetState):
        raise TypeError("a maintenance is planned, and rehearsed, on the state of a whole cluster")
    return state


async def rehearse_maintenance(
    connection: Connection,
    state: ClusterState,
    plan: Plan,
    options: MaintenanceOptions,
    update_takes: float | None,
    termination_takes: float | None = None,
) -> Forecast:
    """Play a planned maintenance in virtual time, at the pace that the cluster showed so far.

    update_takes, in seconds, is how long a node's own work takes, termination_takes how long a pod
    takes to end, if these are known.
    """
    told = await rehearse_moves(connection, state, plan, options, update_takes, termination_takes)
    return told[0]


async def rehearse_moves(
    connection: Connection,
    state: ClusterState,
    plan: Plan,
    options: MaintenanceOptions,
    update_takes: float | None,
    termination_takes: float | None = None,
) -> tuple[Forecast, tuple[Move, ...]]:
    """The same, with every move of a pod."""
    fleet = _as_fleet(state)
    round_trip = await _round_trip(Reader(connection), state.nodes[0].name)
    pace = observed_pace(fleet, options, update_takes, round_trip, termination_takes)
    now = datetime.now(UTC)
    return await asyncio.to_thread(forecast_moves, fleet, plan, pace, options.windows, now)


async def _round_trip(reader: Reader, node: str) -> float:
    """How many seconds a small request takes now."""
    clock = asyncio.get_running_loop().time
    took: list[float] = []
    for _ in range(_TRIPS):
        began = clock()
        await reader.get(NODES, node)
        took.append(clock() - began)
    return median(took)


async def execute(connection: Connection, journal: Journal, plan: Plan, tell: Sink) -> RunResult:
    """Run a plan, or go on with the interrupted run of the same request.

    Before anything is written: NotPermittedError if the user may not do a part of it, and what
    would forbid the work on hosts; PlanChangedError if another plan was agreed to.
    """
    require_agreed(gist_of(plan))
    await require_permissions(connection, permissions_of(plan))
    await _require_work(connection, plan)
    async with open_session(connection, journal, plan, tell) as session:
        return await carry_out(connection, journal, session, tell)


async def resume(connection: Connection, journal: Journal, run: RunRecord, tell: Sink) -> RunResult:
    """Go on with an interrupted run, with the plan that it began with.

    UsageError if it has ended, or began in another cluster; BlockedError if it is half aborted.
    """
    require_resumable(run)
    if not run.is_unfinished:
        raise UsageError(
            f"run {run.id} has ended: {run.outcome}",
            reason="RunEnded",
            hint="run its command again to begin a new one",
        )
    await require_same_cluster(connection, run)
    await _require_work(connection, run.plan)
    async with drive(connection, journal, run, tell) as session:
        return await carry_out(connection, journal, session, tell)


async def abort(connection: Connection, journal: Journal, run: RunRecord, tell: Sink) -> None:
    """Give a run up: nodes that it cordoned, and only those, are uncordoned.

    UsageError if it reached its end, or began in another cluster.
    """
    if run.outcome in (Outcome.SUCCEEDED, Outcome.ABORTED):
        raise UsageError(
            f"run {run.id} has ended: {run.outcome}",
            reason="RunEnded",
            hint="put nodes back in service with: shipkeeper uncordon",
        )
    await require_same_cluster(connection, run)
    async with drive(connection, journal, run, tell, is_given_up=True) as session:
        await take_back(connection, journal, session, tell)


async def _require_work(connection: Connection, plan: Plan) -> None:
    options, nodes = options_of(plan), nodes_of(plan)
    if isinstance(options, MaintenanceOptions) and nodes:
        await require_work(connection, options, nodes[0])


async def take_back(connection: Connection, journal: Ledger, session: Session, tell: Sink) -> None:
    """Give up the run of a session that is open already."""
    heard = overheard(session.directory, tell)
    async with assembled(connection, journal, session, heard, is_aborted=True) as prepared:
        await prepared.abort()


async def carry_out(
    connection: Connection, journal: Ledger, session: Session, tell: Sink, *, look: Look = look
) -> RunResult:
    """Execute the run of a session that is open already, and tell of it by Events."""
    async with (
        announcing(
            Writer(connection), session.run.id, overheard(session.directory, tell)
        ) as announce,
        assembled(connection, journal, session, announce, look=look) as run,
    ):
        return await run.execute()
