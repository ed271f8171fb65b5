"""Telling how a ClusterUpgrade stands: in its status, in ConfigMaps, and by Events."""

from datetime import UTC, datetime

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.api.upgrades import (
    CLUSTER_UPGRADE,
    ClusterUpgradeSpec,
    ClusterUpgradeStatus,
)
from shipkeeper.operator.ledger import ClusterLedger, Home
from shipkeeper.operator.reports.standing import text_of
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.shown import ShownPlans, keep, show
from shipkeeper.operator.situation import Phase, Situation
from shipkeeper.operator.status import stuck, write_status
from shipkeeper.operator.telling import Voice
from shipkeeper.operator.told import explained
from shipkeeper.operator.upgrades.look import Look
from shipkeeper.operator.upgrades.run_standing import standing
from shipkeeper.operator.upgrades.standing import looked, plan_text, rejected, unseen

_KIND = CLUSTER_UPGRADE
_WARNINGS = (Phase.BLOCKED, Phase.PENDING)


class Teller(Voice):
    """Tells of ClusterUpgrades."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene, _KIND)
        self._shown = ShownPlans(lambda: scene.writer, plan_text)

    async def tell(self, found: CustomObject, ledger: ClusterLedger, situation: Situation) -> str:
        """Tell how one stands that has a run; returns why it stands so."""
        record = ledger.record
        judged = standing(
            status_of(found),
            found.metadata.generation,
            record,
            ledger.entries(record.id),
            situation,
            ObjectRef(namespace=ledger.home.namespace, name=ledger.home.name),
            await self._shown.of(found.uid, ledger),
            datetime.now(UTC),
        )
        await write_status(self._scene.writer, _KIND, found, judged)
        return judged.message

    async def looked(
        self, found: CustomObject, spec: ClusterUpgradeSpec, look: Look, home: Home
    ) -> None:
        """Tell what a look found, and what it takes now."""
        before, writer = status_of(found), self._scene.writer
        judged = looked(
            before,
            found.name,
            found.metadata.generation,
            spec,
            look,
            await show(writer, home, plan_text(look.plan, look.at)),
            await keep(writer, home, "report", text_of(look.findings)),
            datetime.now(UTC),
        )
        await self._write(found, before, judged)

    async def reject(self, found: CustomObject, error: Exception) -> None:
        """Tell that a spec is nonsense."""
        is_ours = isinstance(error, ShipkeeperError)
        reason = error.reason if is_ours else "Malformed"
        message = explained(error) if is_ours else str(error)
        before, now = status_of(found), datetime.now(UTC)
        judged = rejected(before, found.metadata.generation, reason, message, now)
        await self._write(found, before, judged)

    async def unseen(self, found: CustomObject, error: ShipkeeperError) -> None:
        """Tell that a look failed."""
        before = status_of(found)
        judged = unseen(before, found.metadata.generation, error, datetime.now(UTC))
        if await self._write(found, before, judged):
            self._scene.complain(f"{_KIND.kind} {found.name}", error)

    async def tell_stuck(self, found: CustomObject, error: ShipkeeperError) -> None:
        """Tell that a deleted one cannot be taken back, and how it is let go."""
        first = "first uncordon its nodes (shipkeeper nodes shows whose they are)"
        message = stuck(_KIND, found, error.message, first)
        told = msgspec.structs.replace(status_of(found), phase=Phase.STOPPING, message=message)
        if await write_status(self._scene.writer, _KIND, found, told):
            await self.say(found, error.reason, message, is_warning=True)

    def vanished(self, name: str) -> None:
        """There are no figures of single upgrades."""

    def forget(self, uid: str) -> None:
        """Nothing more is told of an object's plan."""
        self._shown.forget(uid)

    async def _write(
        self, found: CustomObject, before: ClusterUpgradeStatus, judged: ClusterUpgradeStatus
    ) -> bool:
        """Write a status; an Event tells of it where it is another than before."""
        is_written = await write_status(self._scene.writer, _KIND, found, judged)
        if is_written and (before.phase, before.message) != (judged.phase, judged.message):
            is_warning = judged.phase in _WARNINGS
            await self.say(found, judged.phase, judged.message, is_warning=is_warning)
        return is_written


def status_of(found: CustomObject) -> ClusterUpgradeStatus:
    """How an upgrade was told to stand."""
    return msgspec.json.decode(found.status, type=ClusterUpgradeStatus)
