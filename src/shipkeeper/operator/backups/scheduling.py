"""Reconciling BackupSchedules: create Backups, prune after complete ones, check on a schedule.

A time's Backup has its name from that time: a leader that was replaced, or killed before it wrote
down that it created one, makes no second.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.model.words import counted
from shipkeeper.operator.api.backups import (
    BACKUP,
    BACKUP_SCHEDULE,
    BackupScheduleSpec,
    BackupScheduleStatus,
    Verified,
)
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.guarding import guarded
from shipkeeper.operator.backups.opening import open_named
from shipkeeper.operator.backups.schedule_standing import (
    OwnBackup,
    backup_name,
    let_go,
    newest_complete,
    next_check,
    occasion,
    own_backups,
    policy_of,
    rejected,
    schedule_of,
    standing,
    surplus,
    suspended,
)
from shipkeeper.operator.backups.standing import has_ended
from shipkeeper.operator.backups.told import whole
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.reports.standing import pause
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import tell_event, write_status
from shipkeeper.store import prune as pruning
from shipkeeper.store.verify import verify

_KIND = BACKUP_SCHEDULE
LAST_SUCCESS = "shipkeeper_backup_schedule_last_success_timestamp_seconds"
_AFTER_FAILURE = timedelta(minutes=5)


class Pruned(msgspec.Struct, frozen=True):
    """What was let go of, and the names of the backups that the repository holds now."""

    forgotten: int
    left: frozenset[str]


class ScheduleReconciler:
    """Reconciles BackupSchedules; prunes and checks go on beside."""

    def __init__(
        self,
        scene: Scene,
        queue: WorkQueue,
        everything: Mapping[str, CustomObject],
        backups: Mapping[str, CustomObject],
        repositories: Mapping[str, CustomObject],
    ) -> None:
        self._scene = scene
        self._backups = backups
        self._repositories = repositories
        self._prunes: Errands[Pruned] = Errands(queue.add)
        self._checks: Errands[Verified] = Errands(queue.add)
        self._troubles: dict[str, tuple[str, dict[str, ShipkeeperError]]] = {}
        self._rests: dict[tuple[str, str], float] = {}
        scene.measures.count(_KIND.kind, everything)

    async def stop(self) -> None:
        """Stop what goes on beside: prunes and checks may be cut short anywhere."""
        await self._prunes.stop()
        await self._checks.stop()

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Do what is due; when to look again."""
        gauges = self._scene.measures.gauges.setdefault(LAST_SUCCESS, {})
        if found is None or found.metadata.deletion_timestamp is not None:
            self._prunes.drop(key)
            self._checks.drop(key)
            self._troubles.pop(key, None)
            gauges.pop(key, None)
            return None
        before = msgspec.json.decode(found.status, type=BackupScheduleStatus)
        try:
            status, again = await self._go_on(found, before, datetime.now(UTC))
        except msgspec.DecodeError as error:
            refused = UsageError(str(error), reason="Malformed", hint="mend spec")
            status, again = self._reject(found, before, refused), None
        except UsageError as error:
            status, again = self._reject(found, before, error), None
        if status.last_success_at is not None:
            gauges[key] = status.last_success_at.timestamp()
        await self._tell(found, before, status)
        return again

    def _reject(
        self, found: CustomObject, before: BackupScheduleStatus, error: ShipkeeperError
    ) -> BackupScheduleStatus:
        return rejected(before, found.metadata.generation, error, datetime.now(UTC))

    async def _go_on(
        self, found: CustomObject, before: BackupScheduleStatus, now: datetime
    ) -> tuple[BackupScheduleStatus, timedelta | None]:
        spec, generation = _KIND.read(found), found.metadata.generation
        schedule = schedule_of(spec, now)
        began = found.metadata.creation_timestamp or now
        next_check(spec.verify, began, now)
        if spec.suspend:
            return suspended(before, generation, now), None
        own = own_backups(found, self._backups.values())
        is_busy = any(not has_ended(each.status) for each in own)
        last = before.last_schedule_at or began
        due = occasion(schedule, found.uid, last, now, is_busy=is_busy)
        status = before
        if due.is_over and due.at is not None:
            status = await self._heed(found, spec, before, due.at, is_made=due.is_made)
            due = occasion(schedule, found.uid, due.at, now, is_busy=True)
        for each in surplus(own):
            await self._remove(each)
        status = await self._prune(found, spec, status, own)
        check_at, status = self._check(found, spec, status, began, now)
        status = standing(status, generation, own, due.at, self._failed(found), now)
        moments = [each for each in (due.at, check_at) if each is not None]
        return status, pause(min(moments, default=None), now)

    async def _heed(
        self,
        found: CustomObject,
        spec: BackupScheduleSpec,
        before: BackupScheduleStatus,
        at: datetime,
        *,
        is_made: bool,
    ) -> BackupScheduleStatus:
        """Let a time pass, with a backup or without."""
        heeded = msgspec.structs.replace(before, last_schedule_at=whole(at))
        name = backup_name(found.name, at)
        if name in self._backups:
            # A leader before us created it, and did not write that down any more.
            return msgspec.structs.replace(heeded, last_backup=name)
        if not is_made:
            self._scene.say(f"BackupSchedule {found.name}: {at:%F %T}Z passes without a backup")
            return heeded
        with suppress(ConflictError):
            await self._scene.writer.create(BACKUP.resource, _manifest(found, spec, name))
        return msgspec.structs.replace(heeded, last_backup=name)

    async def _remove(self, backup: OwnBackup) -> None:
        with suppress(NotFoundError, ConflictError):
            await self._scene.writer.delete(BACKUP.resource, backup.name, uid=backup.object.uid)

    async def _prune(
        self,
        found: CustomObject,
        spec: BackupScheduleSpec,
        status: BackupScheduleStatus,
        own: list[OwnBackup],
    ) -> BackupScheduleStatus:
        """Let go of what is not kept, once after each complete backup."""
        complete = newest_complete(own)
        if spec.keep is None or complete is None or complete.name == status.pruned_after:
            return status
        if not self._prunes.is_under_way(found) and self._rests_now(found, "Pruned"):
            return status
        try:
            pruned = self._prunes.outcome(
                found, lambda: guarded(self._scene, self._thin_out(spec, own))
            )
        except ShipkeeperError as error:
            self._note(found, "Pruned", error)
            return status
        if pruned is None:
            return status
        self._note(found, "Pruned", None)
        for each in own:
            # One that is not held in the repository any more is of no use to anybody.
            is_stored = each.status.phase in ("Completed", "Incomplete")
            if is_stored and each.status.id not in pruned.left:
                await self._remove(each)
        return msgspec.structs.replace(
            status, pruned_after=complete.name, forgotten=pruned.forgotten
        )

    async def _thin_out(self, spec: BackupScheduleSpec, own: Sequence[OwnBackup]) -> Pruned:
        if spec.keep is None:
            raise TypeError("nothing says what is kept")
        opened = await open_named(self._scene, self._repositories, spec.repository)
        gone = let_go(await opened.backups(), own, policy_of(spec.keep))
        await opened.forget(gone)
        await pruning.prune(opened)
        left = frozenset(each.name for each in await opened.backups())
        return Pruned(len(gone), left)

    def _check(
        self,
        found: CustomObject,
        spec: BackupScheduleSpec,
        status: BackupScheduleStatus,
        began: datetime,
        now: datetime,
    ) -> tuple[datetime | None, BackupScheduleStatus]:
        """Check the repository if that is due; when it is looked at again."""
        last = status.verified.at if status.verified else began
        due = next_check(spec.verify, last, now)
        if not self._checks.is_under_way(found):
            if not due.is_over:
                return due.at, status
            if self._rests_now(found, "Verified"):
                return now + _AFTER_FAILURE, status
        try:
            checked = self._checks.outcome(found, lambda: guarded(self._scene, self._verify(spec)))
        except ShipkeeperError as error:
            self._note(found, "Verified", error)
            return now + _AFTER_FAILURE, status
        if checked is None:
            return None, status
        self._note(found, "Verified", None)
        return next_check(spec.verify, checked.at, now).at, msgspec.structs.replace(
            status, verified=checked
        )

    async def _verify(self, spec: BackupScheduleSpec) -> Verified:
        at = whole(datetime.now(UTC))
        opened = await open_named(self._scene, self._repositories, spec.repository)
        report = await verify(opened)
        harmful = [each for each in report.findings if not each.harmless]
        first = next((f"{each.blob}: {each.message}" for each in harmful), "")
        said = f"{counted(len(harmful), 'finding')}: {first}" if harmful else ""
        return Verified(at=at, depth=report.depth, findings=len(harmful), message=said)

    def _note(self, found: CustomObject, type_: str, error: ShipkeeperError | None) -> None:
        """Remember how a piece of work went last."""
        known = {each: told for each, told in self._failed(found).items() if each != type_}
        self._troubles[found.key] = (found.uid, {**known, type_: error} if error else known)
        if error is not None:
            until = asyncio.get_running_loop().time() + _AFTER_FAILURE.total_seconds()
            self._rests[found.uid, type_] = until

    def _failed(self, found: CustomObject) -> dict[str, ShipkeeperError]:
        """What failed last, by condition type."""
        uid, known = self._troubles.get(found.key, ("", {}))
        return known if uid == found.uid else {}

    def _rests_now(self, found: CustomObject, type_: str) -> bool:
        """Whether it failed a moment ago, and is not tried again yet."""
        return self._rests.get((found.uid, type_), 0.0) > asyncio.get_running_loop().time()

    async def _tell(
        self, found: CustomObject, before: BackupScheduleStatus, status: BackupScheduleStatus
    ) -> None:
        writer = self._scene.writer
        await write_status(writer, _KIND, found, status)
        if status.phase == before.phase and status.message == before.message:
            return
        self._scene.say(f"BackupSchedule {found.name}: {status.phase}: {status.message}")
        is_bad = status.phase == "Failing"
        message = status.message or "backups are made by schedule"
        await tell_event(writer, _KIND, found, status.phase, message, is_warning=is_bad)


def _manifest(found: CustomObject, spec: BackupScheduleSpec, name: str) -> dict[str, Any]:
    """The Backup of a time; it goes with its schedule, and what is stored stays."""
    owner = {
        "apiVersion": _KIND.api_version,
        "kind": _KIND.kind,
        "name": found.name,
        "uid": found.uid,
    }
    asked = {
        "repository": spec.repository,
        "objects": msgspec.to_builtins(spec.objects),
        "retries": spec.retries,
    }
    return {
        "apiVersion": BACKUP.api_version,
        "kind": BACKUP.kind,
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": asked,
    }
