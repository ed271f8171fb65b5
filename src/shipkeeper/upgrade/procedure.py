"""An upgrade from end to end: observe, plan, run, and go on or back after a stop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipkeeper.engine.action import Action
from shipkeeper.engine.agreement import require_agreed
from shipkeeper.engine.announce import announcing
from shipkeeper.engine.journal import Journal, Outcome, RunRecord
from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.onlooking import overheard
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Note, Sink
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
from shipkeeper.kube.errors import ApiError, ForbiddenError, UnreachableError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.model.version import Version
from shipkeeper.nodes.assembly import Actions, assembled
from shipkeeper.nodes.fleet.observe import FleetState, observe_fleet
from shipkeeper.nodes.observe import observe_nodes, observe_outside
from shipkeeper.nodes.permission import permissions_of
from shipkeeper.upgrade.absence import Absence
from shipkeeper.upgrade.catalog import Catalog
from shipkeeper.upgrade.check import programs
from shipkeeper.upgrade.gist import gist_of
from shipkeeper.upgrade.observe import observe_system_maps, observe_versions
from shipkeeper.upgrade.options import UpgradeOptions, options_of
from shipkeeper.upgrade.plan import plan_upgrade
from shipkeeper.upgrade.replaced import unless_replaced
from shipkeeper.upgrade.replacements import Replacements
from shipkeeper.upgrade.starting import not_checked, refused_settings
from shipkeeper.upgrade.steps import upgrade_actions
from shipkeeper.upgrade.versions import ClusterVersions

_LOOK_EVERY = 2.0  # seconds


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What an upgrade is planned on, at one moment; `settings` as plan_upgrade takes them."""

    versions: ClusterVersions
    state: FleetState
    settings: tuple[Verdict, ...]
    at: datetime

    def plan(self, options: UpgradeOptions, catalog: Catalog) -> Plan:
        """Plan what was asked for; the proof may take seconds."""
        return plan_upgrade(self.versions, self.state, options, catalog, self.at, self.settings)


async def prepare(connection: Connection, options: UpgradeOptions, catalog: Catalog) -> Plan:
    """Observe the whole cluster and plan what was asked for; writes nothing."""
    seen = await observe(connection, options, catalog)
    # In a thread: the proof takes seconds, and the console serves others meanwhile.
    return await asyncio.to_thread(seen.plan, options, catalog)


async def observe(connection: Connection, options: UpgradeOptions, catalog: Catalog) -> Seen:
    """Observe the whole cluster for a plan of an upgrade; writes nothing."""
    reader = Reader(connection)
    nodes = await observe_nodes(reader, (), "")
    versions, state = await asyncio.gather(
        observe_versions(reader),
        observe_fleet(reader, nodes, pod_selector=options.nodes.drain.pod_selector),
    )
    state = msgspec.structs.replace(state, outside=await observe_outside(reader, state))
    settings = () if versions.is_managed else await _settings(reader, versions, options, catalog)
    return Seen(versions=versions, state=state, settings=settings, at=datetime.now(UTC))


async def _settings(
    reader: Reader, versions: ClusterVersions, options: UpgradeOptions, catalog: Catalog
) -> tuple[Verdict, ...]:
    """What is to be said of the flags and feature gates of what is upgraded."""
    try:
        given = programs.of_maps(await observe_system_maps(reader), versions)
    except ForbiddenError as error:
        return (not_checked(error.message, "allow list of configmaps in kube-system"),)
    return tuple(refused_settings(given, Version.parse(options.target).minor, catalog))


async def execute(connection: Connection, journal: Journal, plan: Plan, tell: Sink) -> RunResult:
    """Run a plan, or go on with the interrupted run of the same request.

    PlanChangedError if another plan was agreed to.
    """
    require_agreed(gist_of(plan))
    await require_permissions(connection, permissions_of(plan))
    async with open_session(connection, journal, plan, tell) as session:
        return await carry_out(connection, journal, session, tell)


async def resume(connection: Connection, journal: Journal, run: RunRecord, tell: Sink) -> RunResult:
    """Go on with an interrupted run, with the plan that it began with.

    The API server may be away meanwhile: kubeadm, which went on, replaces it.
    """
    require_resumable(run)
    if not run.is_unfinished:
        raise UsageError(
            f"run {run.id} has ended: {run.outcome}",
            reason="RunEnded",
            hint="run the same `shipkeeper upgrade run` again: it plans from where the cluster is",
        )

    absence = Absence(options_of(run.plan.request).nodes.ready_timeout)

    async def go_on() -> RunResult:
        await require_same_cluster(connection, run)
        async with drive(connection, journal, run, tell) as session:
            absence.note_there()
            return await carry_out(connection, journal, session, tell)

    return await _begin_anew_while_away(go_on, absence, tell)


async def abort(connection: Connection, journal: Journal, run: RunRecord, tell: Sink) -> None:
    """Give a run up: nodes that it cordoned are uncordoned; what was upgraded stays upgraded."""
    if run.outcome in (Outcome.SUCCEEDED, Outcome.ABORTED):
        raise UsageError(
            f"run {run.id} has ended: {run.outcome}",
            reason="RunEnded",
            hint="see what runs now with: shipkeeper upgrade versions",
        )
    await require_same_cluster(connection, run)
    async with drive(connection, journal, run, tell, is_given_up=True) as session:
        await take_back(connection, journal, session, tell)


async def take_back(connection: Connection, journal: Ledger, session: Session, tell: Sink) -> None:
    """Give up the run of a session that is open already."""
    more = _actions(session.run, session.directory)
    heard = overheard(session.directory, tell)
    async with assembled(
        connection, journal, session, heard, is_aborted=True, more=more
    ) as prepared:
        await prepared.abort()


async def carry_out(
    connection: Connection, journal: Ledger, session: Session, tell: Sink
) -> RunResult:
    """Execute the run of a session that is open already, and tell of it by Events."""
    more = _actions(session.run, session.directory)
    async with (
        announcing(
            Writer(connection), session.run.id, overheard(session.directory, tell)
        ) as announce,
        assembled(connection, journal, session, announce, more=more) as run,
    ):
        return await run.execute()


async def _begin_anew_while_away(
    go_on: Callable[[], Awaitable[RunResult]], absence: Absence, tell: Sink
) -> RunResult:
    """Try until the API server is there, or was away for too long; a run may be begun again."""
    while True:
        try:
            return await go_on()
        except (ApiError, UnreachableError) as error:
            absence.require_bearable(error)
            tell(Note(f"{error.message}; trying again"))
        await asyncio.sleep(_LOOK_EVERY)


def _actions(run: RunRecord, directory: Path) -> Actions:
    def complete(
        reader: Reader, writer: Writer, tell: Sink, of_nodes: Mapping[str, Action]
    ) -> Mapping[str, Action]:
        found = {**of_nodes, **upgrade_actions(reader, writer, run.plan, directory, tell)}
        options = options_of(run.plan.request).nodes
        if options.ssh is not None:
            return found
        return unless_replaced(found, reader, tell, Replacements(reader, run, options, tell))

    return complete
