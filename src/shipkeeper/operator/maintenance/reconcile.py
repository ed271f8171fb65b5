"""Reconciling NodeMaintenances: plan, wait for approval, run, and stop safely when deleted."""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.engine.journal import JournalError, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.session import cluster_identity
from shipkeeper.errors import LockHeldError, ShipkeeperError, UsageError
from shipkeeper.kube.errors import ConflictError
from shipkeeper.nodes.procedure import prepare
from shipkeeper.nodes.windows import ALWAYS
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.maintenance import (
    NODE_MAINTENANCE,
    MaintenanceWindowSpec,
    NodeMaintenanceSpec,
    NodeMaintenanceStatus,
    ObjectRef,
)
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.ledger import ClusterLedger, Home, begin_ledger, load_ledger
from shipkeeper.operator.maintenance.driver import Driver
from shipkeeper.operator.maintenance.options import options_of, targets_of
from shipkeeper.operator.maintenance.standing import (
    PLAN_LIMIT,
    Phase,
    ShownPlan,
    Situation,
    blockers_of,
    has_ended,
    plan_text,
    rejected,
    standing,
)
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import hold, let_go, tell_event, write_status

# Progress is written no more often than this.
_GATHERING = timedelta(seconds=1)
_LOOK_AGAIN = timedelta(minutes=1)
_LOCK_AGAIN = timedelta(seconds=10)
_KIND = NODE_MAINTENANCE


class MaintenanceReconciler:
    """Reconciles NodeMaintenances; one run at a time goes on beside, as in the whole cluster."""

    def __init__(
        self,
        scene: Scene,
        queue: WorkQueue,
        everything: Mapping[str, CustomObject],
        windows: Mapping[str, CustomObject],
    ) -> None:
        self._scene = scene
        self._queue = queue
        self._everything = everything
        self._windows = windows
        self._ledgers: dict[str, ClusterLedger] = {}
        self._drivers: dict[str, Driver] = {}
        self._plans: Errands[ClusterLedger] = Errands(queue.add)
        self._rests: dict[str, tuple[float, Situation]] = {}
        self._shown: dict[str, tuple[Plan, ShownPlan]] = {}
        scene.measures.count(_KIND.kind, everything)

    async def stop(self) -> None:
        """Stop every run where it is."""
        await self._plans.stop()
        for driver in self._drivers.values():
            await driver.stop()

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look at a maintenance, and do what is next."""
        if found is None:
            self._plans.drop(key)
            return None
        if found.metadata.deletion_timestamp is not None:
            return await self._end(found)
        status = msgspec.json.decode(found.status, type=NodeMaintenanceStatus)
        if has_ended(status):
            self._forget(found.uid)
            await let_go(self._scene.writer, _KIND, found)
            return None
        try:
            spec = _KIND.read(found)
            ledger = await self._ledger(found) or self._planned(found, spec)
        except (UsageError, msgspec.DecodeError) as error:
            return await self._reject(found, status, error)
        except _Refused as refused:
            return await self._refuse(found, status, refused)
        if ledger is None:
            return None
        return await self._go_on(found, status, spec, ledger)

    async def _ledger(self, found: CustomObject) -> ClusterLedger | None:
        if found.uid not in self._ledgers:
            home = self._home(found)
            loaded = await load_ledger(self._scene.reader, self._scene.writer, home)
            if loaded is None:
                return None
            self._ledgers[found.uid] = loaded
        return self._ledgers[found.uid]

    def _planned(self, found: CustomObject, spec: NodeMaintenanceSpec) -> ClusterLedger | None:
        """The journal with the plan, once it is made; None while it is being made."""
        return self._plans.outcome(found.key, lambda: self._plan(found, spec))

    async def _plan(self, found: CustomObject, spec: NodeMaintenanceSpec) -> ClusterLedger:
        """Make a plan and write it down; UsageError, or _Refused if nothing of it can be done."""
        names, selector = targets_of(spec)
        own = (self._scene.node,) if self._scene.node else ()
        options = options_of(spec, self._window_specs(), own)
        state, plan = await prepare(self._scene.connection, names, selector, options)
        if not state.nodes:
            raise _Refused("NoNodes", "no node is selected")
        if not plan.steps:
            raise _Refused(*blockers_of(plan.verdicts))
        await hold(self._scene.writer, _KIND, found)
        run = RunRecord(
            id=f"{plan.procedure}-{secrets.token_hex(4)}",
            procedure=plan.procedure,
            cluster=await cluster_identity(self._scene.reader),
            plan=plan,
            started_at=datetime.now(UTC),
        )
        home = self._home(found)
        ledger = await begin_ledger(self._scene.reader, self._scene.writer, home, run)
        self._ledgers[found.uid] = ledger
        await self._say(found, "Planned", f"{run.id}: {len(state.nodes)} nodes")
        return ledger

    async def _go_on(
        self,
        found: CustomObject,
        status: NodeMaintenanceStatus,
        spec: NodeMaintenanceSpec,
        ledger: ClusterLedger,
    ) -> timedelta | None:
        driver = self._drivers.get(found.uid)
        situation, again = await self._advance(found, spec, ledger, driver)
        if self._asks_for_more(spec, ledger):
            situation = msgspec.structs.replace(situation, is_spec_ignored=True)
        await self._write(found, status, ledger, situation)
        if ledger.record.finished_at is not None and driver is not None and driver.has_ended:
            self._forget(found.uid)
            await self._say(found, str(ledger.record.outcome), f"run {ledger.record.id} ended")
            self._wake_others(found.name)
        return again

    def _asks_for_more(self, spec: NodeMaintenanceSpec, ledger: ClusterLedger) -> bool:
        """Whether the spec asks for something else than what was planned."""
        planned = ledger.record.began_with.request["options"]
        last = planned["order"]["last"]
        try:
            asked = options_of(spec, self._window_specs(), last)
        except UsageError:
            return True
        # Windows are read when it is planned, and may be others now.
        asked = msgspec.structs.replace(asked, windows=ALWAYS)
        return msgspec.json.decode(msgspec.json.encode(asked)) != {
            **msgspec.json.decode(msgspec.json.encode(planned)),
            "windows": msgspec.json.decode(msgspec.json.encode(ALWAYS)),
        }

    async def _advance(
        self,
        found: CustomObject,
        spec: NodeMaintenanceSpec,
        ledger: ClusterLedger,
        driver: Driver | None,
    ) -> tuple[Situation, timedelta | None]:
        """Start, hold back or restart the run; how it stands then, and when to look again."""
        if driver is not None and driver.is_over and not driver.has_ended:
            return self._after(found, driver)
        if resting := self._resting(found.uid):
            return resting
        if driver is not None:
            driver.pause(is_paused=spec.paused)
            return _under_way(driver, spec), None
        if spec.approved is False:
            message = "see status.plan, then set spec.approved to true"
            return _situation(Phase.AWAITING_APPROVAL, "AwaitingApproval", message), None
        if spec.paused and not ledger.entries(ledger.record.id):
            return _situation(Phase.PAUSED, "Paused", "spec.paused is true"), None
        if busy := self._busy():
            message = f"{busy} is under way; one maintenance goes on at a time"
            return _situation(Phase.WAITING, "OtherMaintenance", message), None
        driver = self._drive(found, ledger, is_given_up=False)
        driver.pause(is_paused=spec.paused)
        driver.start()
        await self._say(found, "Started", f"run {ledger.record.id}")
        return _under_way(driver, spec), None

    def _after(self, found: CustomObject, driver: Driver) -> tuple[Situation, timedelta]:
        """A driver ended before its run did: say why, and have another start later."""
        del self._drivers[found.uid]
        error = driver.error
        if error is not None:
            self._scene.complain(f"run {driver.ledger.record.id}", error)
        if error is None or isinstance(error, JournalError):
            # Another process wrote it, or we were stopped: what it says now is read anew.
            self._ledgers.pop(found.uid, None)
            return _situation(Phase.WAITING, "Interrupted", ""), _GATHERING
        pause = _LOCK_AGAIN if isinstance(error, LockHeldError) else _LOOK_AGAIN
        message = f"{error.message} ({error.hint})" if error.hint else error.message
        situation = _situation(Phase.WAITING, error.reason, message)
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

    async def _end(self, found: CustomObject) -> timedelta | None:
        """The object is deleted: stop its run, take it back, and let the object go."""
        self._plans.drop(found.key)
        status = msgspec.json.decode(found.status, type=NodeMaintenanceStatus)
        driver = self._drivers.get(found.uid)
        if driver is not None and not driver.is_given_up:
            await driver.stop()
            del self._drivers[found.uid]
            driver = None
        ledger = None if has_ended(status) else await self._ledger(found)
        if ledger is None or _is_over(ledger) or _is_untouched(ledger):
            self._forget(found.uid)
            with suppress(ConflictError):
                await let_go(self._scene.writer, _KIND, found)
            self._wake_others(found.name)
            return None
        situation = _situation(Phase.STOPPING, "Stopping", "it is taken back: it was deleted")
        again = None
        if driver is None and (resting := self._resting(found.uid)):
            situation, again = resting
        elif driver is None:
            self._drive(found, ledger, is_given_up=True).start()
            await self._say(found, "Stopping", f"run {ledger.record.id} is taken back")
        elif driver.is_over:
            situation, again = self._after(found, driver)
        situation = msgspec.structs.replace(situation, phase=Phase.STOPPING)
        await self._write(found, status, ledger, situation)
        return again

    def _drive(self, found: CustomObject, ledger: ClusterLedger, *, is_given_up: bool) -> Driver:
        def changed() -> None:
            self._queue.add_after(found.key, _GATHERING)

        driver = Driver(self._scene, ledger, changed, is_given_up=is_given_up)
        self._drivers[found.uid] = driver
        return driver

    def _busy(self) -> str:
        """The name of the maintenance whose run this process carries out now, if any."""
        names = {each.uid: each.name for each in self._everything.values()}
        going = (uid for uid, driver in self._drivers.items() if not driver.is_over)
        return next((names.get(uid, "another") for uid in going), "")

    def _wake_others(self, name: str) -> None:
        """The turn is free: look at those that wait for it, the oldest first."""
        for each in sorted(
            self._everything.values(), key=lambda each: str(each.metadata.creation_timestamp)
        ):
            if each.name != name:
                self._queue.add(each.key)

    def _forget(self, uid: str) -> None:
        self._ledgers.pop(uid, None)
        self._drivers.pop(uid, None)
        self._rests.pop(uid, None)
        self._shown.pop(uid, None)

    async def _reject(
        self, found: CustomObject, status: NodeMaintenanceStatus, error: Exception
    ) -> timedelta | None:
        """The spec is nonsense: nothing comes of it until it, or a window, is another."""
        is_ours = isinstance(error, ShipkeeperError)
        reason = error.reason if is_ours else "Malformed"
        message = f"{error.message} ({error.hint})" if is_ours and error.hint else str(error)
        now = datetime.now(UTC)
        judged = rejected(status, found.metadata.generation, now, reason=reason, message=message)
        if await write_status(self._scene.writer, _KIND, found, judged):
            await self._say(found, reason, message, is_warning=True)
        return None

    async def _refuse(
        self, found: CustomObject, status: NodeMaintenanceStatus, refused: "_Refused"
    ) -> timedelta:
        """Nothing can be done now; the world may change, so it is planned again."""
        judged = rejected(
            status,
            found.metadata.generation,
            datetime.now(UTC),
            reason=refused.reason,
            message=refused.message,
            condition="Planned",
        )
        if await write_status(self._scene.writer, _KIND, found, judged):
            await self._say(found, refused.reason, refused.message, is_warning=True)
        return _LOOK_AGAIN

    async def _write(
        self,
        found: CustomObject,
        status: NodeMaintenanceStatus,
        ledger: ClusterLedger,
        situation: Situation,
    ) -> None:
        record = ledger.record
        judged = standing(
            status,
            found.metadata.generation,
            record,
            ledger.entries(record.id),
            situation,
            ObjectRef(namespace=ledger.home.namespace, name=ledger.home.name),
            await self._show(found.uid, ledger),
            datetime.now(UTC),
        )
        await write_status(self._scene.writer, _KIND, found, judged)
        gauges = self._scene.measures.gauges
        gauges.setdefault("shipkeeper_maintenance_nodes_done", {})[found.name] = judged.nodes.done
        gauges.setdefault("shipkeeper_maintenance_nodes_total", {})[found.name] = judged.nodes.total

    async def _show(self, uid: str, ledger: ClusterLedger) -> ShownPlan:
        """The plan's text, made once for each plan: it may be long."""
        plan = ledger.record.plan
        known = self._shown.get(uid)
        if known is not None and known[0] is plan:
            return known[1]
        text, places = plan_text(plan, ledger.record.started_at), ()
        if len(text) > PLAN_LIMIT:
            names = await ledger.show(text)
            text, places = (
                "",
                tuple(ObjectRef(namespace=ledger.home.namespace, name=name) for name in names),
            )
        shown = ShownPlan(text=text, places=places)
        self._shown[uid] = (plan, shown)
        return shown

    def _window_specs(self) -> dict[str, MaintenanceWindowSpec]:
        found: dict[str, MaintenanceWindowSpec] = {}
        for each in self._windows.values():
            with suppress(msgspec.DecodeError):
                found[each.name] = msgspec.json.decode(each.spec, type=MaintenanceWindowSpec)
        return found

    def _home(self, found: CustomObject) -> Home:
        return Home(
            namespace=self._scene.namespace,
            name=f"nodemaintenance-{found.uid}",
            owner={
                "apiVersion": _KIND.api_version,
                "kind": _KIND.kind,
                "name": found.name,
                "uid": found.uid,
            },
        )

    async def _say(
        self, found: CustomObject, reason: str, message: str, *, is_warning: bool = False
    ) -> None:
        self._scene.say(f"NodeMaintenance {found.name}: {reason}: {message}")
        writer = self._scene.writer
        await tell_event(writer, _KIND, found, reason, message, is_warning=is_warning)


class _Refused(Exception):  # noqa: N818 (it is no error of anybody's)
    """Nothing of what is asked for can be done now."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def _situation(phase: Phase, reason: str, message: str) -> Situation:
    return Situation(phase=phase, reason=reason, message=message)


def _under_way(driver: Driver, spec: NodeMaintenanceSpec) -> Situation:
    if spec.paused:
        message = "spec.paused is true: no further node is begun"
        return _situation(Phase.PAUSED, "Paused", message)
    return _situation(Phase.RUNNING, "Running", driver.note)


def _is_over(ledger: ClusterLedger) -> bool:
    return not ledger.record.is_unfinished


def _is_untouched(ledger: ClusterLedger) -> bool:
    """Whether nothing of the run was ever begun, nor anything of other tools held for it."""
    return ledger.record.outcome is None and not ledger.entries(ledger.record.id)
