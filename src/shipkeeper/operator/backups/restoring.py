"""Reconciling Restores: plan, wait for approval, run, and stop safely when deleted."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.restore import permissions_of, prepare
from shipkeeper.backup.selection import require_known_kinds
from shipkeeper.engine.journal import JournalError
from shipkeeper.engine.plan import Plan
from shipkeeper.errors import LockHeldError, ShipkeeperError, UsageError
from shipkeeper.kube.access import require_permissions
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.api.restores import RESTORE, RestoreSpec, RestoreStatus
from shipkeeper.operator.backups.opening import Reading, known_as, open_named
from shipkeeper.operator.backups.restore_driver import RestoreDriver
from shipkeeper.operator.backups.restore_hosts import way_to_hosts, with_pods
from shipkeeper.operator.backups.restore_standing import (
    PLAN_LIMIT,
    Shown,
    Situation,
    asks_for_else,
    left_behind,
    plan_text,
    restore_options,
    standing,
    unplanned,
)
from shipkeeper.operator.current import as_it_is
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.guarding import guarded
from shipkeeper.operator.journals import Journals
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.pace import Pace, Rests
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.situation import CHANGED
from shipkeeper.operator.status import heed, hold, let_go, stuck, tell_event, write_status
from shipkeeper.operator.telling import end_of, is_bad_end
from shipkeeper.operator.told import explained

_KIND = RESTORE
_GATHERING = timedelta(seconds=1)
_LOOK_AGAIN = timedelta(minutes=1)
_LOCK_AGAIN = timedelta(seconds=10)
_AWAITS = "see status.plan, then set spec.approved to true"
_AWAITS_HALF_WAY = "it stopped half way: set spec.approved to true to go on, or delete it"


class RestoreReconciler:
    """Reconciles Restores; one run at a time goes on beside, as in the whole cluster."""

    def __init__(
        self,
        scene: Scene,
        queue: WorkQueue,
        everything: Mapping[str, CustomObject],
        repositories: Mapping[str, CustomObject],
    ) -> None:
        self._scene = scene
        self._queue = queue
        self._repositories = repositories
        self._plans: Errands[ClusterLedger] = Errands(queue.add, scene.heavy)
        self._journals = Journals(scene, _KIND)
        self._drivers: dict[str, RestoreDriver] = {}
        self._rests: dict[str, tuple[float, Situation]] = {}
        self._shown: dict[str, tuple[Plan, Shown]] = {}
        self._uids: dict[str, str] = {}
        self._pace = Pace(_GATHERING)
        self._refused = Rests(_LOOK_AGAIN)
        scene.measures.count(_KIND.kind, everything)

    async def stop(self) -> None:
        """Stop every run where it is."""
        await self._plans.stop()
        for driver in self._drivers.values():
            await driver.stop()

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look at a restore, and do what is next."""
        if found is None:
            return await self._vanished(key)
        await self.note(found)
        status = msgspec.json.decode(found.status, type=RestoreStatus)
        if found.metadata.deletion_timestamp is not None:
            return await self._end(found, status)
        if status.finished_at is not None:
            self._forget(found.uid)
            if await heed(self._scene.writer, _KIND, found, status.observed_generation):
                return None  # That change brings it here again.
            await let_go(self._scene.writer, _KIND, found)
            return None
        try:
            spec = _KIND.read(found)
        except msgspec.DecodeError as error:
            refused = UsageError(str(error), reason="Malformed", hint="mend spec")
            return await self._refuse(found, status, refused)
        try:
            ledger = await self._begun(found)
            if ledger is None:
                if left := self._refused_lately(found):
                    return left
                ledger = self._plans.outcome(
                    found, lambda: guarded(self._scene, self._plan(found, spec))
                )
        except (ConflictError, NotFoundError):
            raise
        except ShipkeeperError as error:
            return await self._refuse(found, status, error)
        return await self._go_on(found, status, spec, ledger) if ledger else None

    async def note(self, found: CustomObject) -> None:
        """Take note of whom a name means; what another object of that name had goes."""
        if self._uids.get(found.key, found.uid) != found.uid:
            # It was deleted and created again before anybody looked.
            await self._vanished(found.key)
        self._uids[found.key] = found.uid

    def _refused_lately(self, found: CustomObject) -> timedelta:
        """How long it is not planned again, as it failed a moment ago with the spec that it has."""
        if self._plans.is_under_way(found):
            return timedelta(0)
        return self._refused.left(_asked(found), asyncio.get_running_loop().time())

    async def _begun(self, found: CustomObject) -> ClusterLedger | None:
        """The journal of a restore; nothing is asked for while its plan is being made."""
        return None if self._plans.is_under_way(found) else await self._journals.find(found)

    async def _plan(self, found: CustomObject, spec: RestoreSpec) -> ClusterLedger:
        """Make a plan and write it down, if that is what is asked for still."""
        scene, options = self._scene, restore_options(spec)
        if spec.volumes is not None and not scene.is_job:
            # Old servers let it through.
            raise UsageError(
                "volumes are brought back by a Job, and spec has none",
                reason="VolumesWithoutJob",
                hint="create another Restore with spec.job",
            )
        await as_it_is(scene.reader, _KIND, found)
        opened = await open_named(scene, self._repositories, spec.repository, Reading.NEEDED)
        archive = await open_archive(opened, spec.backup)
        require_known_kinds(options.selection, [each.kind for each in archive.contents.kinds])
        prepared = await prepare(
            scene.connection, archive, opened.id, options, home=scene.namespace
        )
        await require_permissions(scene.steady, permissions_of(prepared))
        await hold(scene.writer, _KIND, await as_it_is(scene.reader, _KIND, found))
        ledger = await self._journals.begin(found, with_pods(prepared.plan, spec))
        await self._say(found, "Planned", f"run {ledger.record.id}")
        return ledger

    async def _go_on(
        self,
        found: CustomObject,
        status: RestoreStatus,
        spec: RestoreSpec,
        ledger: ClusterLedger,
    ) -> timedelta | None:
        driver = self._drivers.get(found.uid)
        situation, again = await self._advance(found, spec, ledger, driver)
        if asks_for_else(spec, ledger.record.began_with):
            situation = msgspec.structs.replace(situation, is_spec_ignored=True)
        if left := self._too_soon(found, status, situation):
            return left
        why = await self._write(found, status, ledger, situation)
        if driver is not None and driver.is_over and driver.has_ended:
            self._forget(found.uid)
            await self._say(found, *end_of(ledger, why), is_warning=is_bad_end(ledger))
        return again

    def _too_soon(
        self, found: CustomObject, status: RestoreStatus, situation: Situation
    ) -> timedelta:
        """How long to wait with telling mere progress; each write comes back by the watch."""
        driver = self._drivers.get(found.uid)
        is_going_on = driver is not None and not driver.is_over
        is_told = (status.phase, status.observed_generation) == (
            situation.phase,
            found.metadata.generation,
        )
        if not (is_going_on and is_told):
            return timedelta(0)
        return self._pace.begin(found.uid, asyncio.get_running_loop().time())

    async def _advance(
        self,
        found: CustomObject,
        spec: RestoreSpec,
        ledger: ClusterLedger,
        driver: RestoreDriver | None,
    ) -> tuple[Situation, timedelta | None]:
        """Start or restart the run; how it stands then, and when to look again."""
        if driver is not None and driver.is_over and not driver.has_ended:
            return self._after(found, driver)
        if resting := self._resting(found.uid):
            return resting
        if driver is not None or not ledger.record.is_unfinished:
            return Situation("Running", "Running"), None
        if ledger.is_untouched and asks_for_else(spec, ledger.record.began_with):
            return Situation("AwaitingApproval", "SpecIgnored", CHANGED), None
        if not spec.approved:
            message = _AWAITS if ledger.is_untouched else _AWAITS_HALF_WAY
            return Situation("AwaitingApproval", "AwaitingApproval", message), None
        if any(not each.is_over for each in self._drivers.values()):
            return Situation("Waiting", "OtherRestore", "another restore is under way"), _LOCK_AGAIN
        self._drive(found, ledger, spec)
        await self._say(found, "Started", f"run {ledger.record.id}")
        return Situation("Running", "Running"), None

    def _repository(self, spec: RestoreSpec, ledger: ClusterLedger) -> str:
        """The name of the one that a run was begun with, though old servers let the spec change."""
        if ledger.is_untouched:
            return spec.repository
        id_ = str(ledger.record.plan.request["repository"])
        return known_as(self._repositories, id_, spec.repository)

    def _drive(self, found: CustomObject, ledger: ClusterLedger, spec: RestoreSpec | None) -> None:
        """Carry a run out as its spec says, or take it back without one."""

        def changed() -> None:
            self._queue.add_after(found.key, _GATHERING)

        self._drivers[found.uid] = driver = RestoreDriver(
            self._scene,
            ledger,
            self._repositories,
            self._repository(spec, ledger) if spec else "",
            changed,
            open_hosts=way_to_hosts(spec, ledger.record.began_with) if spec else None,
            is_given_up=spec is None,
        )
        driver.start()

    def _after(self, found: CustomObject, driver: RestoreDriver) -> tuple[Situation, timedelta]:
        """A driver ended before its run did: say why, and have another start later."""
        del self._drivers[found.uid]
        error = driver.error
        if error is None or isinstance(error, JournalError):
            self._journals.forget(found.uid)
            return Situation("Waiting", "Interrupted"), _GATHERING
        self._scene.complain(f"run {driver.ledger.record.id}", error)
        pause = _LOCK_AGAIN if isinstance(error, LockHeldError) else _LOOK_AGAIN
        situation = Situation("Waiting", error.reason, explained(error))
        until = asyncio.get_running_loop().time() + pause.total_seconds()
        self._rests[found.uid] = (until, situation)
        return situation, pause

    def _resting(self, uid: str) -> tuple[Situation, timedelta] | None:
        """How a run stands that failed a moment ago, and is not to be begun again yet."""
        until, situation = self._rests.get(uid, (0.0, None))
        left = until - asyncio.get_running_loop().time()
        if situation is None or left <= 0:
            self._rests.pop(uid, None)
            return None
        return situation, timedelta(seconds=left)

    async def _end(self, found: CustomObject, status: RestoreStatus) -> timedelta | None:
        """The object is deleted: stop its run, put webhooks back, and let the object go."""
        self._plans.drop(found.key)
        driver = self._drivers.get(found.uid)
        if driver is not None and not driver.is_given_up:
            await driver.stop()
            del self._drivers[found.uid]
            driver = None
        try:
            ledger = None if status.finished_at else await self._journals.find(found)
        except JournalError as error:
            return await self._say_stuck(found, status, error)
        if ledger is None or not ledger.record.is_unfinished or ledger.is_untouched:
            self._forget(found.uid)
            with suppress(ConflictError):
                await let_go(self._scene.writer, _KIND, found)
            return None
        situation, again = Situation("Stopping", "Stopping", "it was deleted"), None
        if driver is None and (resting := self._resting(found.uid)):
            situation, again = resting
        elif driver is None:
            self._drive(found, ledger, None)
            await self._say(found, "Stopping", f"run {ledger.record.id} is taken back")
        elif driver.is_over:
            situation, again = self._after(found, driver)
        await self._write(
            found, status, ledger, msgspec.structs.replace(situation, phase="Stopping")
        )
        return again

    async def _say_stuck(
        self, found: CustomObject, status: RestoreStatus, error: JournalError
    ) -> timedelta:
        first = "webhooks that it may have quieted are put back by the next restore"
        message = stuck(_KIND, found, error.message, first)
        told = msgspec.structs.replace(status, phase="Stopping", message=message)
        if await write_status(self._scene.writer, _KIND, found, told):
            await self._say(found, error.reason, message, is_warning=True)
        return _LOOK_AGAIN

    async def _vanished(self, key: str) -> None:
        """The object is gone without our leave: its run has nobody who asks for it any more."""
        self._plans.drop(key)
        uid = self._uids.pop(key, "")
        driver = self._drivers.get(uid)
        if driver is not None and not driver.is_over:
            await driver.stop()
            self._scene.say(
                f"{_KIND.kind} {key} is gone in the midst of its run, which stops where it is: "
                f"{left_behind(driver.ledger.record.plan)}"
            )
        self._forget(uid)

    async def _refuse(
        self, found: CustomObject, status: RestoreStatus, error: ShipkeeperError
    ) -> timedelta | None:
        """It cannot be planned as it is, or as things are."""
        is_nonsense = isinstance(error, UsageError)
        now = datetime.now(UTC)
        self._refused.begin(_asked(found), asyncio.get_running_loop().time())
        judged = unplanned(status, found.metadata.generation, error, now, is_nonsense=is_nonsense)
        if await write_status(self._scene.writer, _KIND, found, judged):
            await self._say(found, error.reason, error.message, is_warning=True)
        return _LOOK_AGAIN

    async def _write(
        self,
        found: CustomObject,
        status: RestoreStatus,
        ledger: ClusterLedger,
        situation: Situation,
    ) -> str:
        """Tell how one stands that has a run; returns why it stands so."""
        record, home = ledger.record, ledger.home
        judged = standing(
            status,
            found.metadata.generation,
            record,
            ledger.entries(record.id),
            situation,
            ObjectRef(namespace=home.namespace, name=home.name),
            await self._show(found.uid, ledger),
            datetime.now(UTC),
        )
        await write_status(self._scene.writer, _KIND, found, judged)
        return judged.message

    async def _show(self, uid: str, ledger: ClusterLedger) -> Shown:
        """The plan's text, made once for each plan: it may be long."""
        plan = ledger.record.plan
        known = self._shown.get(uid)
        if known is not None and known[0] is plan:
            return known[1]
        shown = Shown(text=plan_text(plan))
        if len(shown.text) > PLAN_LIMIT:
            names = await ledger.show(shown.text)
            namespace = ledger.home.namespace
            places = tuple(ObjectRef(namespace=namespace, name=name) for name in names)
            shown = Shown(places=places)
        self._shown[uid] = (plan, shown)
        return shown

    def _forget(self, uid: str) -> None:
        self._journals.forget(uid)
        self._drivers.pop(uid, None)
        self._rests.pop(uid, None)
        self._shown.pop(uid, None)
        self._pace.forget(uid)

    async def _say(
        self, found: CustomObject, reason: str, message: str, *, is_warning: bool = False
    ) -> None:
        self._scene.say(f"Restore {found.name}: {reason}: {message}")
        writer = self._scene.writer
        await tell_event(writer, _KIND, found, reason, message, is_warning=is_warning)


def _asked(found: CustomObject) -> str:
    """What an object asks for: another once its spec changes."""
    return f"{found.uid}/{found.metadata.generation}"
