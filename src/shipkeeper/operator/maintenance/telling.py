"""Telling how a NodeMaintenance stands: in its status, by Events, and in figures."""

from datetime import UTC, datetime

import msgspec

from shipkeeper.engine.plan import Plan
from shipkeeper.errors import ShipkeeperError
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE, NodeMaintenanceStatus
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.maintenance.planning import NothingCanBeDoneError
from shipkeeper.operator.maintenance.standing import (
    PLAN_LIMIT,
    ShownPlan,
    plan_text,
    rejected,
    standing,
)
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.situation import Phase, Situation
from shipkeeper.operator.status import stuck, tell_event, write_status

_KIND = NODE_MAINTENANCE
_DONE = "shipkeeper_maintenance_nodes_done"
_TOTAL = "shipkeeper_maintenance_nodes_total"


class Teller:
    """Tells of NodeMaintenances; the text of a plan is made once, as it may be long."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._shown: dict[str, tuple[Plan, ShownPlan]] = {}

    async def tell(
        self,
        found: CustomObject,
        status: NodeMaintenanceStatus,
        ledger: ClusterLedger,
        situation: Situation,
    ) -> None:
        """Tell how one stands that has a run."""
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
        gauges.setdefault(_DONE, {})[found.name] = judged.nodes.done
        gauges.setdefault(_TOTAL, {})[found.name] = judged.nodes.total

    async def reject(
        self, found: CustomObject, status: NodeMaintenanceStatus, error: Exception
    ) -> None:
        """Tell that a spec is nonsense."""
        is_ours = isinstance(error, ShipkeeperError)
        reason = error.reason if is_ours else "Malformed"
        message = f"{error.message} ({error.hint})" if is_ours and error.hint else str(error)
        await self._refuse(found, status, reason, message, "Accepted")

    async def refuse(
        self, found: CustomObject, status: NodeMaintenanceStatus, refused: NothingCanBeDoneError
    ) -> None:
        """Tell that nothing can be done now."""
        await self._refuse(found, status, refused.reason, refused.message, "Planned")

    async def _refuse(
        self,
        found: CustomObject,
        status: NodeMaintenanceStatus,
        reason: str,
        message: str,
        condition: str,
    ) -> None:
        judged = rejected(
            status,
            found.metadata.generation,
            datetime.now(UTC),
            reason=reason,
            message=message,
            condition=condition,
        )
        if await write_status(self._scene.writer, _KIND, found, judged):
            await self.say(found, reason, message, is_warning=True)

    async def tell_stuck(
        self, found: CustomObject, status: NodeMaintenanceStatus, error: ShipkeeperError
    ) -> None:
        """Tell that a deleted one cannot be taken back, and how it is let go."""
        first = "first uncordon its nodes (shipkeeper nodes shows whose they are)"
        message = stuck(_KIND, found, error.message, first)
        told = msgspec.structs.replace(status, phase=Phase.STOPPING, message=message)
        if await write_status(self._scene.writer, _KIND, found, told):
            await self.say(found, error.reason, message, is_warning=True)

    async def started(self, found: CustomObject, ledger: ClusterLedger) -> None:
        """Tell that a run is begun, or gone on with."""
        run = ledger.record.id
        if not ledger.entries(run):
            await self.say(found, "Started", f"run {run}")
        elif self._scene.follows_setback:
            message = (
                f"etcd was restored to an older state: run {run} goes on from there, and looks "
                "again at all that it does"
            )
            await self.say(found, "WentBack", message, is_warning=True)
        else:
            await self.say(found, "Resumed", f"run {run} goes on where it was")

    async def say(
        self, found: CustomObject, reason: str, message: str, *, is_warning: bool = False
    ) -> None:
        """Tell what happens, in the log and by an Event."""
        self._scene.say(f"{_KIND.kind} {found.name}: {reason}: {message}")
        writer = self._scene.writer
        await tell_event(writer, _KIND, found, reason, message, is_warning=is_warning)

    def vanished(self, name: str) -> None:
        """Let no figures be told of an object that is gone."""
        for gauge in (_DONE, _TOTAL):
            self._scene.measures.gauges.get(gauge, {}).pop(name, None)

    def forget(self, uid: str) -> None:
        """Nothing more is told of an object's plan."""
        self._shown.pop(uid, None)

    async def _show(self, uid: str, ledger: ClusterLedger) -> ShownPlan:
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
