"""Telling how a NodeMaintenance stands: in its status, and in figures."""

import asyncio
from datetime import UTC, datetime

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.errors import ForbiddenError
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE, NodeMaintenanceStatus
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.maintenance.planning import NothingCanBeDoneError
from shipkeeper.operator.maintenance.standing import plan_text, rejected, standing
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.shown import ShownPlans
from shipkeeper.operator.situation import Phase, Situation
from shipkeeper.operator.status import stuck, write_status
from shipkeeper.operator.telling import Voice
from shipkeeper.operator.told import explained

_KIND = NODE_MAINTENANCE
_DONE = "shipkeeper_maintenance_nodes_done"
_TOTAL = "shipkeeper_maintenance_nodes_total"


class Teller(Voice):
    """Tells of NodeMaintenances."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene, _KIND)
        self._shown = ShownPlans(lambda: scene.writer, plan_text)

    async def tell(self, found: CustomObject, ledger: ClusterLedger, situation: Situation) -> str:
        """Tell how one stands that has a run; returns why it stands so."""
        record = ledger.record
        # In a thread: for thousands of nodes it takes a while, and others are to be looked at.
        judged = await asyncio.to_thread(
            standing,
            _status(found),
            found.metadata.generation,
            record,
            ledger.entries(record.id),
            situation,
            ObjectRef(namespace=ledger.home.namespace, name=ledger.home.name),
            await self._shown.of(found.uid, ledger),
            datetime.now(UTC),
        )
        await write_status(self._scene.writer, _KIND, found, judged)
        gauges = self._scene.measures.gauges
        gauges.setdefault(_DONE, {})[found.name] = judged.nodes.done
        gauges.setdefault(_TOTAL, {})[found.name] = judged.nodes.total
        return judged.message

    async def reject(self, found: CustomObject, error: Exception) -> None:
        """Tell that a spec is nonsense."""
        is_ours = isinstance(error, ShipkeeperError)
        reason = error.reason if is_ours else "Malformed"
        message = explained(error) if is_ours else str(error)
        await self._refuse(found, Phase.PENDING, reason, message)

    async def refuse(self, found: CustomObject, refused: NothingCanBeDoneError) -> None:
        """Tell that nothing can be done now."""
        await self._refuse(found, Phase.BLOCKED, refused.reason, refused.message)

    async def lack(self, found: CustomObject, error: ForbiddenError) -> None:
        """Tell that it waits for a permission."""
        await self._refuse(found, Phase.WAITING, error.reason, explained(error))

    async def _refuse(self, found: CustomObject, phase: Phase, reason: str, message: str) -> None:
        judged = rejected(
            _status(found),
            found.metadata.generation,
            datetime.now(UTC),
            phase=phase,
            reason=reason,
            message=message,
        )
        if await write_status(self._scene.writer, _KIND, found, judged):
            await self.say(found, reason, message, is_warning=True)

    async def tell_stuck(self, found: CustomObject, error: ShipkeeperError) -> None:
        """Tell that a deleted one cannot be taken back, and how it is let go."""
        first = "first uncordon its nodes (shipkeeper nodes shows whose they are)"
        message = stuck(_KIND, found, error.message, first)
        told = msgspec.structs.replace(_status(found), phase=Phase.STOPPING, message=message)
        if await write_status(self._scene.writer, _KIND, found, told):
            await self.say(found, error.reason, message, is_warning=True)

    def vanished(self, name: str) -> None:
        """Let no figures be told of an object that is gone."""
        for gauge in (_DONE, _TOTAL):
            self._scene.measures.gauges.get(gauge, {}).pop(name, None)

    def forget(self, uid: str) -> None:
        """Nothing more is told of an object's plan."""
        self._shown.forget(uid)


def _status(found: CustomObject) -> NodeMaintenanceStatus:
    return msgspec.json.decode(found.status, type=NodeMaintenanceStatus)
