"""A restore from end to end: look, plan, run; go on after a stop."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import msgspec

from shipkeeper.backup.archive import Archive
from shipkeeper.backup.assess import Assessment, Prepared, assess, context
from shipkeeper.backup.discovery import discover
from shipkeeper.backup.gist import gist_of
from shipkeeper.backup.owners import Owners
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.restore_plan import (
    PROVIDE,
    WRITES,
    Action,
    Candidate,
    plan_restore,
    request_of,
    skipped,
)
from shipkeeper.backup.restoring import RestoreContext, restore_actions, webhook_actions
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.destination import Return, VolumeStep, Wishes, plan_volumes
from shipkeeper.backup.volumes.filling import Filler, by_id
from shipkeeper.backup.volumes.record import VolumeRecord
from shipkeeper.backup.volumes.saving import OpenHosts
from shipkeeper.backup.volumes.world import observe
from shipkeeper.backup.webhooks import MUTATING, VALIDATING
from shipkeeper.backup.writing import ObjectWriter
from shipkeeper.engine.agreement import require_agreed
from shipkeeper.engine.journal import Journal, Outcome, RunRecord
from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Sink
from shipkeeper.engine.run import Circumstances, Run, RunResult
from shipkeeper.engine.session import Session, drive, open_session, require_same_cluster
from shipkeeper.engine.tenure import NAME, NAMESPACE
from shipkeeper.errors import UsageError
from shipkeeper.kube.access import Permission, require_permissions
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import LEASES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from shipkeeper.kube.steady import SteadyConnection
from shipkeeper.kube.writer import Writer


async def prepare(
    connection: Connection,
    archive: Archive,
    repository: str,
    options: RestoreOptions,
    home: str = "",
) -> Prepared:
    """Compare backup and cluster and plan what was asked for; writes nothing.

    `home` is the namespace in which a process lives that prunes: what it lives by is spared.
    """
    found = await assess(connection, archive, options, home)
    records = await archive.volumes() if options.volumes is not Return.NONE else ()
    volumes = await _volumes(connection, archive.backup.name, records, options, found)
    found = _without_volumes_of(found, records, volumes)
    request = request_of(repository, archive.backup.name, options)
    plan = plan_restore(request, found.candidates, found.extras, found.muted, volumes)
    return Prepared(plan, found, volumes)


async def _volumes(
    connection: Connection,
    backup: str,
    records: tuple[VolumeRecord, ...],
    options: RestoreOptions,
    found: Assessment,
) -> tuple[VolumeStep, ...]:
    if not records:
        return ()
    coming = {
        f"{options.namespaces.get(namespace, namespace)}/{name}"
        for each in found.candidates
        if each.action is Action.CREATE
        for kind, namespace, name in (each.key.split("/", 2),)
        if kind == "persistentvolumeclaims"
    }
    wishes = Wishes(
        how=options.volumes,
        backup=backup,
        selection=options.selection,
        only=options.only_volumes,
        places=options.volume_places,
        namespaces=options.namespaces,
        coming=coming,
    )
    return plan_volumes(records, await observe(connection, Selection()), wishes)


def _without_volumes_of(
    found: Assessment, records: tuple[VolumeRecord, ...], volumes: tuple[VolumeStep, ...]
) -> Assessment:
    """A claim that is made from a snapshot gets another volume than it had: that one stays away."""
    made = {each.volume for each in volumes if each.is_claim}
    keys = {
        f"persistentvolumes//{each.volume.volume}" for each in records if each.volume.id in made
    }
    candidates = tuple(
        _left_out(each) if each.key in keys and each.action in WRITES else each
        for each in found.candidates
    )
    return msgspec.structs.replace(found, candidates=candidates)


def _left_out(volume: Candidate) -> Candidate:
    verdict = skipped(volume.key, "FromSnapshot", "its claim is made anew, from a snapshot")
    return msgspec.structs.replace(volume, action=Action.SKIP, verdict=verdict)


async def execute(
    connection: Connection,
    archive: Archive,
    journal: Journal,
    prepared: Prepared,
    tell: Sink,
    count: Callable[[int], None],
    open_hosts: OpenHosts | None = None,
) -> RunResult:
    """Run a plan, or go on with the interrupted run of the same request.

    Before anything is written: NotPermittedError if the user may not do a part of it, and
    PlanChangedError if another plan was agreed to.
    """
    require_agreed(gist_of(prepared.plan))
    await require_permissions(connection, permissions_of(prepared))
    async with open_session(connection, journal, prepared.plan, tell) as session:
        return await carry_out(connection, archive, journal, session, tell, count, open_hosts)


async def carry_out(
    connection: Connection,
    archive: Archive,
    journal: Ledger,
    session: Session,
    tell: Sink,
    count: Callable[[int], None],
    open_hosts: OpenHosts | None = None,
) -> RunResult:
    """Execute the run of a session that is open already."""
    async with AsyncExitStack() as stack:
        plan = session.run.plan
        options = msgspec.convert(plan.request["options"], RestoreOptions)
        steady = SteadyConnection(connection, session.tenure)
        reader, writer = Reader(steady), Writer(steady)
        served_now = (await discover(steady)).served
        served, around = await context(archive, served_now, options.selection)
        owners = Owners(reader, served)
        filler = None
        if open_hosts is not None and options.volumes is not Return.NONE:
            hosts = await stack.enter_async_context(open_hosts(connection))
            records = by_id(await archive.volumes())
            filler = Filler(reader, writer, archive, records, hosts, session.run.id, options, tell)
        shared = RestoreContext(
            archive=archive,
            options=options,
            served=served,
            around=around,
            writer=ObjectWriter(reader, writer, owners, options.existing),
            tell=tell,
            count=count,
            filler=filler,
            data_sources=_data_sources(plan, filler),
        )
        actions = restore_actions(shared, reader, writer)
        heeding = Circumstances(permit=session.tenure.firm)
        return await Run(session.run.id, plan, actions, journal, tell, heeding).execute()


async def abort(connection: Connection, journal: Journal, run: RunRecord, tell: Sink) -> None:
    """Give a restore up: webhooks that it quieted are put back; what was made stays."""
    if run.outcome in (Outcome.SUCCEEDED, Outcome.ABORTED):
        raise UsageError(f"run {run.id} has ended: {run.outcome}", reason="RunEnded")
    await require_same_cluster(connection, run)
    async with drive(connection, journal, run, tell, is_given_up=True) as session:
        await take_back(connection, journal, session, tell)


async def take_back(connection: Connection, journal: Ledger, session: Session, tell: Sink) -> None:
    """Give up the run of a session that is open already."""
    quieted = [step for step in session.run.plan.steps if step.items and step.undo]
    plan = msgspec.structs.replace(session.run.plan, steps=tuple(quieted))
    steady = SteadyConnection(connection, session.tenure)
    actions = webhook_actions(Reader(steady), Writer(steady))
    await Run(session.run.id, plan, actions, journal, tell).abort()


def _data_sources(plan: Plan, filler: Filler | None) -> Mapping[str, str]:
    """The snapshots that claims are made from, for the claims that the plan makes so."""
    provided = any(step.action == PROVIDE for step in plan.steps)
    return filler.data_sources if filler is not None and provided else {}


def permissions_of(prepared: Prepared) -> list[Permission]:
    """What running it takes."""
    needed = [Permission(verb="patch", resource=LEASES, namespace=NAMESPACE, name=NAME)]
    written = {
        each.key.partition("/")[0]
        for each in prepared.assessment.candidates
        if each.action in (Action.CREATE, Action.UPDATE, Action.RECREATE)
    }
    for kind in prepared.assessment.kinds:
        if kind.name in written:
            needed += [
                Permission(verb=verb, resource=kind.resource) for verb in ("create", "patch")
            ]
    if prepared.plan.request["options"].get("volumes") == Return.NEW_CLAIM:
        needed += [
            Permission(verb="create", resource=each)
            for each in (PERSISTENT_VOLUMES, PERSISTENT_VOLUME_CLAIMS)
        ]
    if prepared.assessment.muted:
        needed += [Permission(verb="patch", resource=each) for each in (VALIDATING, MUTATING)]
    return needed
