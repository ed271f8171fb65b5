"""Reconciling NodeMaintenances: plan, wait for approval, run, and stop safely when deleted."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.kube.errors import ConflictError
from shipkeeper.nodes import procedure
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.maintenance import (
    NODE_MAINTENANCE,
    NodeMaintenanceSpec,
    NodeMaintenanceStatus,
)
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.journals import Journals
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.maintenance.planning import (
    NothingCanBeDoneError,
    asks_for_more,
    plan_maintenance,
    window_specs,
)
from shipkeeper.operator.maintenance.standing import has_ended
from shipkeeper.operator.maintenance.telling import Teller
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.runs import Asked, Runs
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import hold, let_go

_LOOK_AGAIN = timedelta(minutes=1)
_KIND = NODE_MAINTENANCE


class MaintenanceReconciler:
    """Reconciles NodeMaintenances; the runs go on beside, one at a time."""

    def __init__(
        self,
        scene: Scene,
        queue: WorkQueue,
        runs: Runs,
        everything: Mapping[str, CustomObject],
        windows: Mapping[str, CustomObject],
    ) -> None:
        self._scene = scene
        self._queue = queue
        self._runs = runs
        self._everything = everything
        self._windows = windows
        self._journals = Journals(scene, _KIND)
        self._teller = Teller(scene)
        self._plans: Errands[ClusterLedger] = Errands(queue.add)
        self._uids: dict[str, str] = {}
        scene.measures.count(_KIND.kind, everything)
        runs.when_free(self._wake_all)

    async def stop(self) -> None:
        """Stop every run where it is."""
        await self._plans.stop()
        await self._runs.stop()

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look at a maintenance, and do what is next."""
        if found is None:
            return await self._vanished(key)
        if self._uids.get(key, found.uid) != found.uid:
            # It was deleted and created again before anybody looked.
            await self._vanished(key)
        self._uids[key] = found.uid
        if found.metadata.deletion_timestamp is not None:
            return await self._end(found)
        status = msgspec.json.decode(found.status, type=NodeMaintenanceStatus)
        if has_ended(status):
            self._forget(found.uid)
            await let_go(self._scene.writer, _KIND, found)
            return None
        try:
            spec = _KIND.read(found)
            ledger = await self._journals.find(found) or self._planned(found, spec)
        except (UsageError, msgspec.DecodeError) as error:
            # Nothing comes of it until it, or a window, is another.
            await self._teller.reject(found, status, error)
            return None
        except NothingCanBeDoneError as refused:
            await self._teller.refuse(found, status, refused)
            return _LOOK_AGAIN
        if ledger is None:
            return None
        return await self._go_on(found, status, spec, ledger)

    def _planned(self, found: CustomObject, spec: NodeMaintenanceSpec) -> ClusterLedger | None:
        """The journal with the plan, once it is made; None while it is being made."""
        return self._plans.outcome(found, lambda: self._plan(found, spec))

    async def _plan(self, found: CustomObject, spec: NodeMaintenanceSpec) -> ClusterLedger:
        """Make a plan and write it down."""
        count, plan = await plan_maintenance(self._scene, spec, window_specs(self._windows))
        await hold(self._scene.writer, _KIND, found)
        ledger = await self._journals.begin(found, plan)
        await self._teller.say(found, "Planned", f"{ledger.record.id}: {count} nodes")
        return ledger

    async def _go_on(
        self,
        found: CustomObject,
        status: NodeMaintenanceStatus,
        spec: NodeMaintenanceSpec,
        ledger: ClusterLedger,
    ) -> timedelta | None:
        asked = self._asked(found, ledger)
        is_approved = spec.approved is not False
        stand = self._runs.advance(asked, is_approved=is_approved, is_paused=spec.paused)
        situation = stand.situation
        if asks_for_more(spec, ledger.record.began_with, window_specs(self._windows)):
            situation = msgspec.structs.replace(situation, is_spec_ignored=True)
        await self._teller.tell(found, status, ledger, situation)
        if stand.has_started:
            await self._teller.started(found, ledger)
        if self._runs.has_ended(asked):
            self._forget(found.uid)
            outcome = str(ledger.record.outcome)
            await self._teller.say(found, outcome, f"run {ledger.record.id} ended")
            self._runs.free()
        return stand.again

    async def _end(self, found: CustomObject) -> timedelta | None:
        """The object is deleted: stop its run, take it back, and let the object go."""
        self._plans.drop(found.key)
        await self._runs.halt(found.uid)
        status = msgspec.json.decode(found.status, type=NodeMaintenanceStatus)
        ledger = None if has_ended(status) else await self._journals.find(found)
        asked = self._asked(found, ledger) if ledger is not None else None
        if ledger is None or asked is None or asked.is_over or asked.is_untouched:
            self._forget(found.uid)
            with suppress(ConflictError):
                await let_go(self._scene.writer, _KIND, found)
            self._runs.free()
            return None
        stand = self._runs.take_back(asked)
        if stand.has_started:
            await self._teller.say(found, "Stopping", f"run {ledger.record.id} is taken back")
        await self._teller.tell(found, status, ledger, stand.situation)
        return stand.again

    async def _vanished(self, key: str) -> None:
        """The object is gone without our leave: its run has nobody who asks for it any more."""
        self._plans.drop(key)
        uid = self._uids.pop(key, "")
        if await self._runs.halt(uid):
            self._scene.say(
                f"{_KIND.kind} {key} is gone in the midst of its run, which stops where it is; "
                "shipkeeper nodes shows what it left cordoned"
            )
        self._forget(uid)
        self._runs.free()

    def _asked(self, found: CustomObject, ledger: ClusterLedger) -> Asked:
        return Asked(
            found=found,
            ledger=ledger,
            procedure=procedure,
            look_at=lambda pause: self._queue.add_after(found.key, pause),
            forget_journal=lambda: self._journals.forget(found.uid),
        )

    def _wake_all(self) -> None:
        """The turn is free: look at those that wait for it, the oldest first."""
        for each in sorted(
            self._everything.values(), key=lambda each: str(each.metadata.creation_timestamp)
        ):
            self._queue.add(each.key)

    def _forget(self, uid: str) -> None:
        self._journals.forget(uid)
        self._teller.forget(uid)
        self._runs.forget(uid)
