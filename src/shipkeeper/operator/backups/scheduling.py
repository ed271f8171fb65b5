"""Reconciling BackupSchedules: create Backups, prune after complete ones, check on a schedule.

A time's Backup has its name from that time: a leader that was replaced, or killed before it wrote
down that it created one, makes no second.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.kube.errors import ConflictError, NotFoundError, Status
from shipkeeper.model.words import counted
from shipkeeper.operator.api.backups import (
    BACKUP,
    BACKUP_SCHEDULE,
    BackupScheduleSpec,
    BackupScheduleStatus,
    Verified,
)
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.opening import Reading, open_named
from shipkeeper.operator.backups.schedule_standing import (
    OwnBackup,
    backup_name,
    heeded,
    let_go,
    mended,
    newest_complete,
    next_check,
    occasion,
    of_no_use,
    own_backups,
    policy_of,
    rejected,
    schedule_of,
    standing,
    stored_in,
    surplus,
    suspended,
)
from shipkeeper.operator.backups.standing import goes_on
from shipkeeper.operator.current import as_it_is
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.guarding import guarded
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.reports.standing import pause
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import tell_event, write_status
from shipkeeper.operator.told import whole
from shipkeeper.store import prune as pruning
from shipkeeper.store.verify import verify

_KIND = BACKUP_SCHEDULE
LAST_SUCCESS = "shipkeeper_backup_schedule_last_success_timestamp_seconds"
IN_VAIN = "shipkeeper_backup_schedule_times_without_success"
_AFTER_FAILURE = timedelta(minutes=5)


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune after a Backup came to: how many were let go of, and which are gone by name."""

    after: str
    repository: str
    forgotten: int
    gone: frozenset[str]


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
        # Each may take hours: both at once would leave no slot for backups.
        turn = asyncio.Lock()
        self._prunes: Errands[Pruned] = Errands(queue.add, scene.heavy, turn, of_spec=True)
        self._checks: Errands[Verified] = Errands(queue.add, scene.heavy, turn, of_spec=True)
        self._troubles: dict[str, tuple[str, dict[str, ShipkeeperError]]] = {}
        self._rests: dict[tuple[str, str], float] = {}
        scene.measures.count(_KIND.kind, everything)

    async def stop(self) -> None:
        """Stop what goes on beside: prunes and checks may be cut short anywhere."""
        await self._prunes.stop()
        await self._checks.stop()

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Do what is due; when to look again."""
        gauges = self._scene.measures.gauges
        successes, in_vain = gauges.setdefault(LAST_SUCCESS, {}), gauges.setdefault(IN_VAIN, {})
        if found is None or found.metadata.deletion_timestamp is not None:
            self._stop_work(key)
            self._troubles.pop(key, None)
            successes.pop(key, None)
            in_vain.pop(key, None)
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
            successes[key] = status.last_success_at.timestamp()
        in_vain[key] = status.times_without_success
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
            self._stop_work(found.key)
            return suspended(before, generation, now), None
        before = mended(before, began, now)
        own = own_backups(found, self._backups.values())
        is_busy = any(goes_on(each.status) for each in own)
        last = before.last_schedule_at or began
        due = occasion(schedule, found.uid, last, now, is_busy=is_busy)
        status = before
        retry_at = None
        if due.is_over and due.at is not None:
            passed = await self._heed(found, spec, before, due.at, is_made=due.is_made)
            if passed is None:
                retry_at = now + _AFTER_FAILURE
            else:
                status = passed
                due = occasion(schedule, found.uid, due.at, now, is_busy=True)
        for each in surplus(own):
            await self._remove(each)
        status = await self._prune(found, spec, status, own)
        check_at, status = self._check(found, spec, status, began, now)
        status = standing(status, generation, own, due.at, self._failed(found), now)
        moments = [each for each in (retry_at or due.at, check_at) if each is not None]
        return status, pause(min(moments, default=None), now)

    async def _heed(
        self,
        found: CustomObject,
        spec: BackupScheduleSpec,
        before: BackupScheduleStatus,
        at: datetime,
        *,
        is_made: bool,
    ) -> BackupScheduleStatus | None:
        """Let a time pass, with a backup or without; None if its Backup cannot be created now."""
        name = backup_name(found.name, at)
        taken = self._backups.get(name)
        if taken is not None and own_backups(found, (taken,)):
            # Who created it, a leader before us or we, did not hear or write down that it is there.
            self._note(found, "Succeeding", None)
            return heeded(before, at, name)
        if not is_made:
            self._scene.say(f"BackupSchedule {found.name}: {at:%F %T}Z passes without a backup")
            return heeded(before, at)
        if self._rests_now(found, "Succeeding"):
            return None
        try:
            if taken is not None:
                raise _name_taken(name)
            await self._scene.writer.create(BACKUP.resource, _manifest(found, spec, name))
        except ConflictError:
            raise  # It is on its way to us: then we see whose it is.
        except ShipkeeperError as error:
            self._note(found, "Succeeding", error)
            return None
        self._note(found, "Succeeding", None)
        return heeded(before, at, name)

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
        if spec.keep is None:
            self._prunes.drop(found.key)
        if spec.keep is None or complete is None or complete.name == status.pruned_after:
            return status
        if not self._prunes.is_under_way(found) and self._rests_now(found, "Pruned"):
            return status
        try:
            pruned = self._prunes.outcome(
                found, lambda: guarded(self._scene, self._thin_out(found, spec))
            )
        except (ConflictError, NotFoundError):
            raise  # It asks for something else by now: it is looked at again.
        except ShipkeeperError as error:
            self._note(found, "Pruned", error)
            return status
        if pruned is None:
            return status
        self._note(found, "Pruned", None)
        for each in of_no_use(own, pruned.repository, pruned.gone):
            await self._remove(each)
        return msgspec.structs.replace(
            status, pruned_after=pruned.after, forgotten=pruned.forgotten
        )

    async def _thin_out(self, found: CustomObject, spec: BackupScheduleSpec) -> Pruned:
        # It may have waited for hours: what is kept, and of what, is as it is now.
        await as_it_is(self._scene.reader, _KIND, found)
        own = own_backups(found, self._backups.values())
        complete = newest_complete(own)
        if spec.keep is None or complete is None:
            raise NotFoundError("there is nothing to prune after", Status())
        opened = await open_named(self._scene, self._repositories, spec.repository)
        backups = await opened.backups()
        names = frozenset(each.name for each in backups)
        forgotten: tuple[str, ...] = ()
        left = names
        # Else the schedule has another repository by now, where it made none that is complete.
        if complete.status.id in names:
            forgotten = let_go(backups, own, policy_of(spec.keep))
            await opened.forget(forgotten)
            await pruning.prune(opened)
            left = frozenset(each.name for each in await opened.backups())
        known = names | stored_in(opened.id, own)
        return Pruned(
            after=complete.name,
            repository=opened.id,
            forgotten=len(forgotten),
            gone=known - left,
        )

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
                self._checks.drop(found.key)
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
        opened = await open_named(
            self._scene, self._repositories, spec.repository, Reading.IF_NAMED
        )
        report = await verify(opened)
        harmful = [each for each in report.findings if not each.harmless]
        first = next((f"{each.blob}: {each.message}" for each in harmful), "")
        said = f"{counted(len(harmful), 'finding')}: {first}" if harmful else ""
        return Verified(at=at, depth=report.depth, findings=len(harmful), message=said)

    def _stop_work(self, key: str) -> None:
        """Nobody wants what goes on beside: what it comes to must not be told later."""
        self._prunes.drop(key)
        self._checks.drop(key)

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


def _name_taken(name: str) -> ShipkeeperError:
    return ShipkeeperError(
        f"there is a Backup {name} that this schedule did not create",
        reason="NameTaken",
        hint="delete that Backup; what is stored of it stays unless its deletionPolicy is Delete",
    )


def _manifest(found: CustomObject, spec: BackupScheduleSpec, name: str) -> dict[str, Any]:
    """The Backup of a time; it goes with its schedule, and what is stored stays."""
    owner = {
        "apiVersion": _KIND.api_version,
        "kind": _KIND.kind,
        "name": found.name,
        "uid": found.uid,
    }
    asked: dict[str, Any] = {
        "repository": spec.repository,
        "objects": msgspec.to_builtins(spec.objects),
        "retries": spec.retries,
    }
    for field, wish in (("volumes", spec.volumes), ("job", spec.job)):
        if wish is not None:
            asked[field] = msgspec.to_builtins(wish)
    return {
        "apiVersion": BACKUP.api_version,
        "kind": BACKUP.kind,
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": asked,
    }
