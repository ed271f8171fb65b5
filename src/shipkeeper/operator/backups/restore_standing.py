"""How a Restore stands, as its status tells it; and what it asks for, as options. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from shipkeeper.backup.restore_options import Existing, RestoreOptions
from shipkeeper.backup.restore_plan import QUIET
from shipkeeper.backup.restore_report import restore_report
from shipkeeper.backup.volumes.destination import Return
from shipkeeper.engine.journal import Entry, Outcome, RunRecord
from shipkeeper.engine.journal import Phase as Written
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Format, render
from shipkeeper.errors import ShipkeeperError
from shipkeeper.operator.api.conditions import settled
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.api.restores import RestoreCount, RestoreSpec, RestoreStatus
from shipkeeper.operator.backups.restore_hosts import asks_for_other_pods
from shipkeeper.operator.backups.standing import selection_of
from shipkeeper.operator.told import accepted, condition, explained, spec_ignored, whole
from shipkeeper.store.repository import LATEST

# What is longer than this is kept in ConfigMaps: `kubectl get -o yaml` is to stay readable.
PLAN_LIMIT = 32_768
_NAMED = 3


class Situation(msgspec.Struct, frozen=True):
    """What a restore does now, and why.

    `is_spec_ignored` tells that the spec asks for something else than what was planned.
    """

    phase: str
    reason: str
    message: str = ""
    is_spec_ignored: bool = False


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The plan's text, or the ConfigMaps that it is in."""

    text: str = ""
    places: tuple[ObjectRef, ...] = ()


def restore_options(spec: RestoreSpec) -> RestoreOptions:
    """What is asked for, as the engine takes it."""
    volumes = spec.volumes
    return RestoreOptions(
        selection=selection_of(spec.objects),
        existing=Existing(spec.existing),
        namespaces=spec.namespace_map,
        storage_classes=spec.storage_class_map,
        images=spec.image_map,
        prune=spec.prune,
        scaled_to_zero=spec.scale_to_zero,
        keep_webhooks=spec.keep_webhooks,
        volumes=Return(volumes.how) if volumes else Return.NONE,
        only_volumes=volumes.only if volumes else (),
        volume_places=volumes.places if volumes else {},
    )


def asks_for_else(spec: RestoreSpec, plan: Plan) -> bool:
    """Whether a spec was changed after it was planned, which servers without CEL let pass."""
    backup = str(plan.request["backup"])
    is_another = spec.backup != LATEST and not backup.startswith(spec.backup)
    planned = msgspec.convert(plan.request["options"], RestoreOptions)
    is_other = planned != restore_options(spec) or asks_for_other_pods(spec, plan)
    return is_another or is_other


def plan_text(plan: Plan) -> str:
    """A plan as `shipkeeper backup restore --dry-run` prints it."""
    return render(restore_report(plan), Format.TEXT)


def unplanned(
    before: RestoreStatus,
    generation: int,
    error: ShipkeeperError,
    now: datetime,
    *,
    is_nonsense: bool,
) -> RestoreStatus:
    """The status of one that cannot be planned: nonsense (Accepted), or not as things are."""
    message = explained(error)
    first = condition("Accepted", False, error.reason, message) if is_nonsense else accepted()
    planned = condition("Planned", False, error.reason, message)
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase="Pending" if is_nonsense else "Waiting",
        message=message,
        conditions=settled(before.conditions, (first, planned), generation, now),
    )


def standing(
    before: RestoreStatus,
    generation: int,
    record: RunRecord,
    entries: Sequence[Entry],
    situation: Situation,
    home: ObjectRef,
    shown: Shown,
    now: datetime,
) -> RestoreStatus:
    """The status once there is a plan."""
    ended = record.outcome if not record.is_unfinished else None
    phase = str(ended) if ended else situation.phase
    message = _ending(record, entries) if ended else situation.message
    succeeded = "Unknown" if ended is None else ended is Outcome.SUCCEEDED
    conditions = (
        spec_ignored() if situation.is_spec_ignored else accepted(),
        condition("Planned", True, "Planned"),
        condition(
            "Progressing",
            ended is None and situation.phase in ("Running", "Stopping"),
            "Ended" if ended else situation.reason,
            message,
        ),
        condition("Succeeded", succeeded, phase if ended else "NotEnded", message if ended else ""),
    )
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=phase,
        message=message,
        run=record.id,
        backup=str(record.plan.request["backup"]),
        counts=_counts(record.plan),
        done=sum(1 for each in entries if each.item and each.phase is Written.AFTER),
        plan=shown.text,
        plan_in=shown.places,
        journal=home,
        job="" if ended else before.job,
        retry_at=None,
        started_at=_first(entries),
        finished_at=whole(record.finished_at) if ended and record.finished_at else None,
        conditions=settled(before.conditions, conditions, generation, now),
    )


def _first(entries: Sequence[Entry]) -> datetime | None:
    """When the first was begun: before that, it is certain that nothing was written."""
    moment = entries[0].written_at if entries else None
    return whole(moment) if moment else None


def left_behind(plan: Plan) -> str:
    """What stays of a run that stopped with nobody to take it back, in a sentence."""
    quieted = [item.key for step in plan.steps if step.action == QUIET for item in step.items]
    if not quieted:
        return "what was made stays"
    return (
        "what was made stays, and these webhooks may still be quieted; the next restore puts them "
        f"back: {', '.join(quieted)}"
    )


def _counts(plan: Plan) -> RestoreCount:
    found = Counter(item.action.lower() for step in plan.steps for item in step.items)
    known = RestoreCount.__struct_fields__
    return RestoreCount(**{name: found[name] for name in known})


def _ending(record: RunRecord, entries: Sequence[Entry]) -> str:
    if record.outcome is Outcome.SUCCEEDED:
        return "everything that was planned is there"
    if record.outcome is Outcome.ABORTED:
        return "given up; what was made stays, webhooks are as they were"
    failed = [
        f"{each.item}: {each.detail.get('message', '')}"
        for each in entries
        if each.item and each.phase is Written.FAILED
    ]
    refused = [f"{each.target}: {each.message}" for each in record.plan.blockers]
    said = [*failed, *refused]
    more = f" and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
    return f"not everything came back: {'; '.join(said[:_NAMED])}{more}"
